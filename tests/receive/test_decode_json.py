"""JSON bodies: what CRMs send is read whole, everything else is refused with its place."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.errors import DecodeError
from bridge.model import Decoder, Json
from bridge.receive.decode import decode


def read(body: bytes, **bounds: int) -> Json:
    return decode(Decoder.JSON, body, **{"max_depth": 64, **bounds})


documents = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
)


@given(document=documents, escaped=st.booleans(), mark=st.booleans())
def test_every_document_comes_back(document: Json, escaped: bool, mark: bool) -> None:
    text = json.dumps(document, ensure_ascii=escaped)
    assert read(text.encode("utf-8-sig" if mark else "utf-8")) == document


# Names repeat, so that an object holds less than its text; brackets and colons stand in strings.
tricky = st.text('[]{}:,"\\a', max_size=6).map(json.dumps)
texts = st.recursive(
    st.sampled_from(["0", "null", "[]", "{}"]) | tricky,
    lambda inner: (
        st.lists(inner, max_size=4).map(lambda found: f"[{','.join(found)}]")
        | st.lists(
            st.tuples(st.sampled_from(['""', '"a"', '"b"', '"{"', '"[:"']), inner), max_size=5
        ).map(lambda found: "{" + ",".join(f"{name}:{value}" for name, value in found) + "}")
    ),
    max_leaves=30,
)


def widest_by_level(document: Json, level: int = 1) -> dict[int, int]:
    """The most members that an object has on each level of objects and lists."""
    if not isinstance(document, dict | list):
        return {}
    found = {level: len(document) if isinstance(document, dict) else 0}
    for value in document.values() if isinstance(document, dict) else document:
        for below, members in widest_by_level(value, level + 1).items():
            found[below] = max(found.get(below, 0), members)
    return found


def complaint(document: Json, depth: int, keys: int) -> str | None:
    """What is wrong with a document, found by looking at all of it."""
    for level, members in sorted(widest_by_level(document).items()):
        if level > depth:
            return f"the body: nested deeper than {depth} levels"
        if members > keys:
            return f"an object of the body: more than {keys} keys"
    return None


@given(text=texts, depth=st.integers(1, 5), keys=st.integers(0, 5))
def test_limits_hold_whatever_the_text_seems_to_hold(text: str, depth: int, keys: int) -> None:
    why = None
    try:
        found = read(text.encode(), max_depth=depth, max_keys=keys)
    except DecodeError as error:
        why = str(error)
    else:
        assert found == json.loads(text)
    assert why == complaint(json.loads(text), depth, keys)


@pytest.mark.parametrize("beside", ["", '"[[[{{{",', '{"a":[[]],"a":0},', "[[],[]],"])
@pytest.mark.parametrize("levels", [63, 64, 65])
def test_the_last_level_that_is_too_deep_is_found_among_others(beside: str, levels: int) -> None:
    flat = ",".join(['{"a":"b"}'] * 100)
    text = f"[{flat},{beside}{'[' * (levels - 1)}{']' * (levels - 1)},{flat}]"
    if levels > 64:
        with pytest.raises(DecodeError, match="the body: nested deeper than 64"):
            read(text.encode())
    else:
        assert read(text.encode()) == json.loads(text)


long = (
    st.integers(10**18, 10**30)
    | st.integers(-(10**30), -(10**18))
    | st.integers(2**63 - 3, 2**64 + 3)
    | st.integers(-(2**63) - 3, -(2**63) + 3)
)


@given(number=st.integers(-(10**18), 10**18) | long)
def test_every_integer_stays_one_and_every_digit_counts(number: int) -> None:
    (found,) = read(f"[{number}]".encode())
    assert (type(found), found) == (int, number)


@given(before=st.text("0a,", max_size=8), number=long)
def test_wherever_a_long_integer_stands_it_keeps_its_digits(before: str, number: int) -> None:
    assert read(f'["{before}",{number}]'.encode()) == [before, number]


@given(text=st.from_regex(r"-?[0-9]{1,22}(\.[0-9]{1,22})?([eE][+-]?[0-9]{1,3})?", fullmatch=True))
def test_a_number_is_read_as_python_reads_it_or_refused(text: str) -> None:
    try:
        expected = json.loads(text)
    except ValueError:
        expected = None
    if expected is None or expected in (float("inf"), float("-inf")):
        with pytest.raises(DecodeError):
            read(text.encode())
    else:
        found = read(text.encode())
        assert (type(found), found) == (type(expected), expected)


@pytest.mark.parametrize(
    ("body", "document"),
    [
        (b'{"a":1,"a":2}', {"a": 2}),
        (
            b'{"id":508369434347508369434347508369434347}',
            {"id": 508369434347508369434347508369434347},
        ),
        (b' \r\n[{"a":null}]\n', [{"a": None}]),
        (b'"just text"', "just text"),
        (b'{"a":"x\\u0000y"}', {"a": "x\x00y"}),
        (b'{"note":"two\nlines\tand a tab"}', {"note": "two\nlines\tand a tab"}),
        (b'{"a":"\\ud83d\\ude00"}', {"a": "\U0001f600"}),
    ],
)
def test_what_is_read_and_how(body: bytes, document: Json) -> None:
    assert read(body) == document


def test_half_a_character_becomes_one_that_can_be_stored() -> None:
    document = read(b'{"cut\\ud83d":["ok \\ud83d","\\uDE00",{"x":"\\\\ud83d"}],"n":1}')
    assert document == {"cut\ufffd": ["ok \ufffd", "\ufffd", {"x": "\\ud83d"}], "n": 1}
    json.dumps(document, ensure_ascii=False).encode("utf-8")


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"", "empty"),
        (b" \n\t", "empty"),
        (b"\xef\xbb\xbf", "empty"),
        (b"\xef\xbb\xbf \n", "empty"),
        (b'{"a":}', "line 1 column 6: "),
        (b"[1,\n 2,\n x]", "line 3 column 2: "),
        (b"{'a':1}", "line 1 column 2: "),
        (b'{"a":1} {"b":2}', "line 1 column 9: "),
        (b'{"a":1', "line 1 column "),
        (b"[NaN]", "NaN"),
        (b"[Infinity]", "Infinity"),
        (b"[-Infinity]", "-Infinity"),
        (b"[1e999]", "too large"),
        (b'{"a":"\xe9"}', "byte 7: not UTF-8"),
        ('{"a":"é"}'.encode("utf-16"), "UTF-16"),
        ('{"a":"é"}'.encode("utf-16-le"), "NUL"),
        ('{"a":"é"}'.encode("utf-16-be"), "NUL"),
        ('{"a":"é"}'.encode("utf-32"), "UTF-32"),
        ('{"a":"é"}'.encode("utf-32-be"), "NUL"),
        (b"[" + b"9" * 5000 + b"]", "thousands of digits"),
    ],
)
def test_what_is_refused_says_where_or_why(body: bytes, why: str) -> None:
    with pytest.raises(DecodeError) as caught:
        read(body)
    assert why in str(caught.value)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize(("open_", "close"), [(b"[", b"]"), (b'{"a":', b"}")])
def test_depth_is_bounded_to_the_level(open_: bytes, close: bytes) -> None:
    def nested(levels: int) -> bytes:
        return open_ * (levels - 1) + b"[]" + close * (levels - 1)

    assert read(nested(64)) is not None
    for levels in (65, 900, 100_000):
        with pytest.raises(DecodeError, match="deeper than 64"):
            read(nested(levels))
    with pytest.raises(DecodeError, match="deeper than 64"):
        read(open_ * 100_000)


def test_an_object_has_a_bounded_number_of_members() -> None:
    def wide(count: int) -> bytes:
        return json.dumps({"list": [{str(n): n for n in range(count)}]}).encode()

    assert len(read(wide(50), max_keys=50)["list"][0]) == 50
    with pytest.raises(DecodeError, match="more than 50 keys"):
        read(wide(51), max_keys=50)


def test_members_are_counted_however_short_they_are() -> None:
    text = json.dumps({chr(ord("A") + n): 0 for n in range(26)}, separators=(",", ":")).encode()
    assert len(read(text, max_keys=26)) == 26
    with pytest.raises(DecodeError, match="more than 25 keys"):
        read(text, max_keys=25)
