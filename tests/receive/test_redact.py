"""What is stored of a body: the same document without what must not be kept."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.model import Decoder, Json, Place, Request, Source
from bridge.places import values_at, with_lists, without
from bridge.receive.decode import decode, redacted
from bridge.receive.withhold import kept, kept_refusal

from .declared import BY_VECTOR, declared
from .test_declared_schemes import VECTORS, request_of, secret_of
from .webhooks import make_request

names = st.sampled_from(["a", "b", "c", "0"])
places = st.lists(st.lists(names, min_size=1, max_size=3).map(tuple), min_size=1, max_size=2)
texts = st.text(max_size=8) | st.sampled_from(["", "S3CRET", "a&b=c", "<x/>", "é]]>"])
documents = st.recursive(
    texts | st.none() | st.integers() | st.floats(allow_nan=False, allow_infinity=False),
    lambda below: st.lists(below, max_size=3) | st.dictionaries(names, below, max_size=3),
    max_leaves=12,
)


@settings(max_examples=300, deadline=None)
@given(document=documents, wanted=places)
def test_json_keeps_all_the_rest(document: Json, wanted: list[Place]) -> None:
    body = json.dumps(document).encode()
    left = decode(Decoder.JSON, redacted(Decoder.JSON, body, document, wanted), max_depth=64)
    assert not any(values_at(left, place) for place in wanted if "0" not in place)
    assert left == without(document, wanted)


@settings(max_examples=300, deadline=None)
@given(
    pairs=st.lists(
        st.tuples(st.sampled_from(["a", "a[b]", "a[0][b]", "a[b][c]", "c[]", "b"]), texts),
        max_size=5,
    ),
    wanted=places,
)
def test_forms_keep_all_the_rest(pairs: list[tuple[str, str]], wanted: list[Place]) -> None:
    body = "&".join(f"{quote(name)}={quote(value)}" for name, value in pairs).encode()
    flat = decode(Decoder.FORM, body or b"&", max_depth=64)
    ones = [place for place in wanted if len(place) == 1]
    left = decode(Decoder.FORM, redacted(Decoder.FORM, body or b"&", flat, ones), max_depth=64)
    assert left == without(flat, ones)


@pytest.mark.parametrize(
    ("body", "place", "left"),
    [
        (b"a[b]=1&a[c]=2", ("a", "b"), {"a": {"c": "2"}}),
        (b"a[0][b]=1&a[1][b]=2&a[1][c]=3", ("a", "b"), {"a": [{"c": "3"}]}),
        (b"a[b][c]=1&a[b][d]=2&e=3", ("a", "b"), {"e": "3"}),
        (b"%61%5Bb%5D=1&e=3", ("a", "b"), {"e": "3"}),
        (b"\xef\xbb\xbftoken=1", ("token",), {}),
        (b"token=1&token=2&x=", ("token",), {"x": ""}),
    ],
)
def test_nested_forms(body: bytes, place: Place, left: Json) -> None:
    document = decode(Decoder.NESTED_FORM, body, max_depth=9)
    after = redacted(Decoder.NESTED_FORM, body, document, [place])
    assert decode(Decoder.NESTED_FORM, after, max_depth=9) == left


XML = """<?xml version="1.0" encoding="{0}"?>
<!-- S3CRET --><s:E xmlns:s="urn:s" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" s:k="&lt;&quot;">
<s:N><SessionId>S3CRET</SessionId><x xsi:nil="true"/><y>a&amp;b &#233;<![CDATA[<c>]]></y><z q="'&#13;&#10;&#9;">&#13;</z></s:N>
<N><s:SessionId a=">" ><deep>S3CRET</deep></s:SessionId><y/>tail</N><SessionId>stays</SessionId>
</s:E>"""  # noqa: E501 - one start tag


@pytest.mark.parametrize("encoding", ["UTF-8", "UTF-16", "ISO-8859-1"])
def test_xml_keeps_all_the_rest(encoding: str) -> None:
    body = XML.format(encoding).encode(encoding)
    document = decode(Decoder.XML, body, max_depth=9)
    place = ("E", "N", "SessionId")
    assert len(values_at(document, place)) == 2
    after = redacted(Decoder.XML, body, document, [place])
    assert b"S3CRET" not in after
    assert decode(Decoder.XML, after, max_depth=9) == without(document, [place])


def test_nothing_to_drop_leaves_every_byte() -> None:
    body = b'{ "a" : 1.0 }'
    assert redacted(Decoder.JSON, body, {"a": 1.0}, [("b",)]) is body


@pytest.mark.parametrize(
    ("document", "place", "expected"),
    [
        ({"a": {"b": {"c": 1}}}, ("a", "b"), {"a": {"b": [{"c": 1}]}}),
        ({"a": {"b": [1]}}, ("a", "b"), {"a": {"b": [1]}}),
        ({"a": {"b": None}}, ("a", "b"), {"a": {"b": None}}),
        ({"a": {}}, ("a", "b"), {"a": {}}),
        ({"a": [{"b": 1}, {"b": [2]}, 3]}, ("a", "b"), {"a": [{"b": [1]}, {"b": [2]}, 3]}),
        ("text", ("a",), "text"),
    ],
)
def test_declared_elements_are_always_a_list(document: Json, place: Place, expected: Json) -> None:
    assert with_lists(document, [place]) == expected


def stored(name: str, **changes: Any) -> tuple[Source, Request]:
    vector = VECTORS[name]
    source = declared(BY_VECTOR[name], secret_of(vector))
    return source, request_of({**vector, **changes})


@pytest.mark.parametrize("name", ["zoho-body-token", "copper-body-secret"])
def test_a_token_in_the_body_is_not_stored(name: str) -> None:
    source, request = stored(name)
    token = VECTORS[name]["secret"].encode()
    delivery = kept(source, request, max_depth=64)
    assert token in request.body
    assert token not in delivery.body
    assert delivery.headers["bridge-dropped"].startswith(("token", "secret"))
    refusal = kept_refusal(source, request, max_depth=64, max_bytes=9_999)
    assert token not in refusal.body
    assert "without" in refusal.note


def test_a_session_of_salesforce_is_not_stored() -> None:
    body = VECTORS["salesforce-organization"]["body"].replace(
        '<SessionId xsi:nil="true"/>', "<SessionId>S3CRET</SessionId>"
    )
    assert "S3CRET" in body
    source, request = stored("salesforce-organization", body=body)
    delivery = kept(source, request, max_depth=64)
    assert b"S3CRET" not in delivery.body
    envelope = decode(source.decode, delivery.body, max_depth=64)["Envelope"]
    assert "SessionId" not in envelope["Body"]["notifications"]
    assert len(envelope["Body"]["notifications"]["Notification"]) == 2


def test_a_body_that_cannot_be_read_is_kept_if_verified_and_not_if_refused() -> None:
    source, _ = stored("zoho-body-token")
    request = make_request(body=b'{"token": "S3CRET"')
    delivery = kept(source, request, max_depth=64)
    assert delivery.body == request.body
    assert "could not be taken out" in str(delivery.problem)
    refusal = kept_refusal(source, request, max_depth=64, max_bytes=9_999)
    assert refusal.body == b""
    assert "without its body" in refusal.note


def test_a_large_body_is_not_opened_for_a_stranger() -> None:
    source, request = stored("zoho-body-token")
    refusal = kept_refusal(source, request, max_depth=64, max_bytes=len(request.body) - 1)
    assert refusal.body == b""
    assert "without its body" in refusal.note


def test_headers_and_parameters_to_drop() -> None:
    source = declared(
        'verify:\n  - bearer: {token: "${SECRET}"}\ndrop: {headers: [X-Private], query: [sig]}\n',
        "s3cret",
    )
    request = make_request(
        url="https://bridge.example.com/hooks/crm?sig=1&x=2",
        headers={"X-Private": "p", "X-Public": "q", "Bridge-Dropped": "a lie"},
        body=b"{}",
    )
    delivery = kept(source, request, max_depth=64)
    assert delivery.headers == {"x-public": "q"}
    assert delivery.query == {"x": "2"}
    refusal = kept_refusal(source, request, max_depth=64, max_bytes=9_999)
    assert "x-private" not in refusal.headers
    assert "sig" not in refusal.url
