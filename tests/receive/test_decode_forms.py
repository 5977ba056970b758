"""Flat and nested forms: nothing that was sent is lost, no shape is guessed."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.errors import DecodeError
from bridge.model import Decoder, Json
from bridge.receive.decode import decode

from .webhooks import VECTORS


def flat(body: bytes, **bounds: int) -> Json:
    return decode(Decoder.FORM, body, **{"max_depth": 64, **bounds})


def nested(body: bytes, **bounds: int) -> Json:
    return decode(Decoder.NESTED_FORM, body, **{"max_depth": 64, **bounds})


pairs = st.lists(st.tuples(st.text(min_size=1), st.text()), min_size=1, max_size=8)


@given(pairs=pairs)
def test_every_pair_comes_back_in_order(pairs: list[tuple[str, str]]) -> None:
    expected: dict[str, list[str]] = {}
    for name, value in pairs:
        expected.setdefault(name, []).append(value)
    document = flat(urlencode(pairs).encode())
    assert document == {
        name: values if len(values) > 1 else values[0] for name, values in expected.items()
    }


@pytest.mark.parametrize(
    ("body", "document"),
    [
        (b"a=1&b=&c", {"a": "1", "b": "", "c": ""}),
        (b"a=1&a=2&a=1", {"a": ["1", "2", "1"]}),
        (b"a=&a=", {"a": ["", ""]}),
        (b"a=x+y%2Bz&b=1=2", {"a": "x y+z", "b": "1=2"}),
        (b"&&a=1&&", {"a": "1"}),
        (b"=x", {"": "x"}),
        (b"a=100%&b=%zz", {"a": "100%", "b": "%zz"}),
        (b"n=Jos%C3%A9&m=Jos\xc3\xa9", {"n": "José", "m": "José"}),
        (b"\xef\xbb\xbfa=1\r\n", {"a": "1"}),
        (b"a[b]=1&a[]=2", {"a[b]": "1", "a[]": "2"}),
        (b"a=1;b=2", {"a": "1;b=2"}),
    ],
)
def test_a_flat_form(body: bytes, document: Json) -> None:
    assert flat(body) == document


MULTIPART = (
    b"--kQ1x\r\nContent-Type: text/plain; charset=UTF-8\r\n"
    b'Content-Disposition: form-data; name="do_not_call"\r\n\r\ntrue\r\n--kQ1x--\r\n'
)


@pytest.mark.parametrize(
    ("body", "name"),
    [
        (b'{"phone": "+12025550143", "do_not_call": "true"}', "JSON"),
        (b' {\n  "phone": "+12025550143&x=1"\n}', "JSON"),
        (b'[{"phone": "+12025550143"}]', "JSON"),
        (b"\xef\xbb\xbf{}", "JSON"),
        (b'<?xml version="1.0"?><lead><phone>+12025550143</phone></lead>', "XML"),
        (MULTIPART, "multipart"),
    ],
)
@pytest.mark.parametrize("read", [flat, nested])
def test_what_is_no_form_says_so(read: Callable[[bytes], Json], body: bytes, name: str) -> None:
    """Read as one it would be a name without a value, and an opt-out in it would say nothing."""
    with pytest.raises(DecodeError, match=f"the body is {name}, and"):
        read(body)


@pytest.mark.parametrize("body", [b"--=1", b"{x}=1", b"[a]=1", b"<=2", b"--a=form&b=data"])
def test_a_name_that_begins_oddly_is_a_name_all_the_same(body: bytes) -> None:
    name, _, value = body.split(b"&")[0].decode().partition("=")
    assert flat(body)[name] == value


def test_a_real_text_message() -> None:
    document = flat((VECTORS / "twilio-stop.txt").read_bytes())
    assert document["Body"].strip().upper() == "STOP"
    assert document["ToCity"] == ""
    assert document["From"].startswith("+1")


@pytest.mark.parametrize(
    ("body", "document"),
    [
        (b"a=1&b=", {"a": "1", "b": ""}),
        (b"a[b][c]=1&a[b][d]=2&a[e]=", {"a": {"b": {"c": "1", "d": "2"}, "e": ""}}),
        (b"a[]=1&a[]=2", {"a": ["1", "2"]}),
        (b"a%5B%5D=1&a%5b%5d=", {"a": ["1", ""]}),
        (b"a[1]=y&a[0]=x&a[2]=z", {"a": ["x", "y", "z"]}),
        (b"a[10]=k&a[9]=j", {"a": ["j", "k"]}),
        (b"a[999999999999]=x", {"a": ["x"]}),
        (b"a[9999999999999999999999]=x", {"a": {"9999999999999999999999": "x"}}),
        (b"a[5]=x&a[]=y", {"a": ["x", "y"]}),
        (b"a[0][b]=1&a[0][c]=2&a[1][b]=3", {"a": [{"b": "1", "c": "2"}, {"b": "3"}]}),
        (b"a[][b]=1&a[][b]=2", {"a": [{"b": "1"}, {"b": "2"}]}),
        (b"a[x]=1&a[0]=2", {"a": {"x": "1", "0": "2"}}),
        (b"a[01]=1&a[-1]=2", {"a": {"01": "1", "-1": "2"}}),
        (b"a=1&a=2", {"a": ["1", "2"]}),
        (b"a[b]=1&a[b]=2", {"a": {"b": ["1", "2"]}}),
        (b"0=a&1=b", {"0": "a", "1": "b"}),
        (b"=x&=y", {"": ["x", "y"]}),
        (b"a[b=1&[c]=2&a[b]c=3&]=4", {"a[b": "1", "[c]": "2", "a[b]c": "3", "]": "4"}),
        (b"a[b[c]=1", {"a": {"b[c": "1"}}),
        (b"a[ ]=1", {"a": {" ": "1"}}),
    ],
)
def test_a_nested_form(body: bytes, document: Json) -> None:
    assert nested(body) == document


def test_real_nested_forms() -> None:
    document = nested((VECTORS / "activecampaign-contact-update.txt").read_bytes())
    assert document["contact"]["fields"] == {"do_not_call": "Yes", "plan": ""}
    document = nested((VECTORS / "mailchimp-unsubscribe.txt").read_bytes())
    assert document["data"]["merges"]["GROUPINGS"] == [
        {"id": "51", "name": "Contact me by", "groups": "Email, Phone"}
    ]


@pytest.mark.parametrize(
    "body",
    [b"a=1&a[b]=2", b"a[b]=1&a=2", b"a[b]=1&a[b][c]=2", b"a[b][c]=1&a[b]=2", b"a[]=1&a[0][x]=2"],
)
def test_conflicting_shapes_are_refused(body: bytes) -> None:
    with pytest.raises(DecodeError, match="both as a value and as an object or list"):
        nested(body)


@pytest.mark.parametrize("read", [flat, nested])
@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"", "empty"),
        (b" \r\n", "empty"),
        (b"a=1&b=%E9", "pair 2 of the form: not UTF-8"),
        (b"%FF=1", "pair 1"),
        (b"a=\xe9", "pair 1"),
        (b"a=%ED%A0%80", "pair 1"),
    ],
)
def test_what_cannot_be_read_says_where(read: object, body: bytes, why: str) -> None:
    assert callable(read)
    with pytest.raises(DecodeError, match=why):
        read(body)


@pytest.mark.parametrize("read", [flat, nested])
def test_the_number_of_pairs_is_bounded(read: object) -> None:
    assert callable(read)
    assert len(read(b"&".join(b"k%d=v" % n for n in range(50)), max_keys=50)) == 50
    with pytest.raises(DecodeError, match="more than 50 keys"):
        read(b"&".join(b"k%d=v" % n for n in range(51)), max_keys=50)


def test_a_list_of_repeated_values_is_a_level_of_its_own() -> None:
    assert flat(b"a=1&b=2", max_depth=1) == {"a": "1", "b": "2"}
    with pytest.raises(DecodeError, match="deeper than 1 levels"):
        flat(b"a=1&a=2", max_depth=1)


def test_the_depth_of_names_is_bounded() -> None:
    assert nested(b"a" + b"[b]" * 3 + b"=1", max_depth=4) == {"a": {"b": {"b": {"b": "1"}}}}
    with pytest.raises(DecodeError, match=r"deeper than 4 levels") as caught:
        nested(b"a" + b"[b]" * 1000 + b"=1", max_depth=4)
    assert len(str(caught.value)) < 120


def test_many_short_names_cannot_open_endless_levels() -> None:
    with pytest.raises(DecodeError, match="more than 20000 keys"):
        nested(b"&".join([b"a" + b"[]" * 60 + b"="] * 15_000))
