"""Bodies made to hurt: only ``DecodeError`` comes out, soon, and it shows little of the body."""

from __future__ import annotations

import json
import time
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.errors import DecodeError
from bridge.model import Decoder, Json
from bridge.receive.decode import decode

LIMIT_S = 5.0

PIECES = (
    b'{ } [ ] : , " \\ \\ud800 \\u0000 1 -0 1e400 NaN null true a= & % %E9 %5B a[b] a[] a[0] '
    b"[ ]= <a> </a> <a/> <!DOCTYPE <!ENTITY &x; <![CDATA[ ]]> <?xml ?> xsi:nil "
    b"\xef\xbb\xbf \xff\xfe \x00 \n"
).split(b" ")
bodies = st.one_of(
    st.binary(max_size=300),
    st.text(max_size=100).map(str.encode),
    st.lists(st.sampled_from(PIECES), max_size=25).map(b"".join),
)


@settings(max_examples=500, deadline=None)
@given(decoder=st.sampled_from(Decoder), body=bodies, depth=st.integers(1, 6))
def test_any_bytes_decode_or_are_refused(decoder: Decoder, body: bytes, depth: int) -> None:
    refusal = ""
    document: Json = None
    try:
        document = decode(decoder, body, max_depth=depth, max_keys=30)
    except DecodeError as error:
        refusal = str(error) or "no reason at all" * 99
    if refusal:
        assert len(refusal) < 300
        assert refusal.isprintable()
    else:
        # What comes out can be written down again, which a lone surrogate or NaN could not.
        json.dumps(document, allow_nan=False, ensure_ascii=False).encode("utf-8")
        # In XML an element may be an object in a list, and the whole stands in one object more.
        assert depth_of(document) <= (2 * depth + 1 if decoder is Decoder.XML else depth)


def depth_of(document: Json) -> int:
    if isinstance(document, dict):
        return 1 + max(map(depth_of, document.values()), default=0)
    if isinstance(document, list):
        return 1 + max(map(depth_of, document), default=0)
    return 0


BOMBS: dict[str, tuple[Decoder, Callable[[], bytes]]] = {
    "deep json": (Decoder.JSON, lambda: b"[" * 1_000_000),
    "deep json, closed": (Decoder.JSON, lambda: b'{"a":' * 200_000 + b"1" + b"}" * 200_000),
    "wide json": (
        Decoder.JSON,
        lambda: b"{" + b",".join(b'"%d":0' % n for n in range(200_000)) + b"}",
    ),
    "long integer": (Decoder.JSON, lambda: b"9" * 2_000_000),
    "long string, not closed": (Decoder.JSON, lambda: b'"' + b"\\\\" * 1_000_000),
    "a million pairs": (Decoder.FORM, lambda: b"&".join(b"%d=" % n for n in range(1_000_000))),
    "a million nested pairs": (
        Decoder.NESTED_FORM,
        lambda: b"&".join(b"a[%d]=" % n for n in range(1_000_000)),
    ),
    "a name of brackets": (Decoder.NESTED_FORM, lambda: b"a" + b"[]" * 1_000_000 + b"=1"),
    "a name of opening brackets": (Decoder.NESTED_FORM, lambda: b"a" + b"[" * 2_000_000),
    "brackets, then none": (Decoder.NESTED_FORM, lambda: b"a" + b"[b]" * 600_000 + b"[=1"),
    "deep xml": (Decoder.XML, lambda: b"<a>" * 600_000),
    "wide xml": (Decoder.XML, lambda: b"<a>" + b"<b/>" * 500_000 + b"</a>"),
    "many attributes": (
        Decoder.XML,
        lambda: b"<a " + b" ".join(b'x%d=""' % n for n in range(200_000)) + b"/>",
    ),
    "a tag that never ends": (Decoder.XML, lambda: b"<a b='" + b"x" * 2_000_000),
    "laughs": (
        Decoder.XML,
        lambda: b'<!DOCTYPE a [<!ENTITY b "' + b"x" * 50_000 + b'">]><a>' + b"&b;" * 50_000,
    ),
}
HARMLESS = {"a name of opening brackets", "brackets, then none"}


@pytest.mark.parametrize("name", sorted(BOMBS))
def test_a_bomb_is_put_out_in_time(name: str) -> None:
    decoder, make = BOMBS[name]
    body = make()
    started = time.perf_counter()
    if name in HARMLESS:
        # Not bracketed to its end, so it is one plain name, however long.
        assert len(decode(decoder, body, max_depth=64)) == 1
    else:
        with pytest.raises(DecodeError) as caught:
            decode(decoder, body, max_depth=64)
        assert len(str(caught.value)) < 200
    assert time.perf_counter() - started < LIMIT_S


def test_refusals_show_little_of_the_body() -> None:
    person = "+12025550143"
    for decoder, body in (
        (Decoder.JSON, f'{{"phone":"{person}",}}'),
        (Decoder.JSON, f'"{person}'),
        (Decoder.FORM, f"phone={person}%E9"),
        (Decoder.NESTED_FORM, f"phone={person}&phone[x]={person}"),
        (Decoder.XML, f"<phone>{person}"),
    ):
        with pytest.raises(DecodeError) as caught:
            decode(decoder, body.encode(), max_depth=8)
        assert person not in str(caught.value)
