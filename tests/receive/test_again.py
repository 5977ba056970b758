"""Refused requests are judged again; of one whose credential was not kept nothing false is said."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from bridge.errors import StoreBusy
from bridge.model import Refused, Request, Source
from bridge.receive.accept import Acceptor, Limits, new_refusal
from bridge.receive.again import NotKept, judge_again
from bridge.receive.sign import sign
from bridge.store.deliveries import NewDelivery
from bridge.store.packing import LEAST_BYTES, unpacked
from bridge.store.refusals import BODY, NOT_KEPT, KeptRefusal, NewRefusal

from .declared import declared
from .webhooks import NOW, URL, make_request

LIMITS = Limits(body_bytes=1000, depth=64, unverified_bytes=1000, checked_bytes=1000)
PLAIN = {
    "the header authorization": 'bearer: {token: "${SECRET}"}',
    "the header x-token": 'header: {name: X-Token, token: "${SECRET}"}',
    "the query parameter key": 'query: {name: key, token: "${SECRET}"}',
    "the token in the path": 'path: {token: "${SECRET}"}',
    "token of the body": 'body: {at: token, token: "${SECRET}"}',
}
NOW_SET = "s3cret-of-now"
SIGNED = 'hmac: {secret: "${SECRET}", header: X-Signature}'


def source_of(*schemes: str, set_to: str = NOW_SET) -> Source:
    lines = "".join(f"  - {scheme}\n" for scheme in schemes)
    return declared(f"verify:\n{lines}", set_to)


def sent(
    source: Source, body: bytes = b'{"phone": "1"}', headers: Mapping[str, str] | None = None
) -> Request:
    """The request as its sender makes it."""
    made = sign(
        source.verify,
        method="POST",
        url=URL,
        body=body,
        now_ms=NOW,
        headers=headers or {},
    )
    return make_request(url=made.url, headers=made.headers, body=made.body)


def judged(source: Source, refusal: NewRefusal) -> NewDelivery | Refused | NotKept:
    kept = KeptRefusal(
        1,
        refusal.receipt,
        refusal.source,
        refusal.received_at,
        refusal.address,
        refusal.method,
        refusal.url,
        refusal.headers,
        refusal.body,
    )
    return judge_again(source, kept, public_url=None, depth=64)


def too_large(source: Source, request: Request, length: int | None) -> NewRefusal:
    """What is kept of a request over the limit."""
    kept: list[NewRefusal] = []

    def keep(item: NewDelivery | NewRefusal) -> bool:
        assert isinstance(item, NewRefusal)
        kept.append(item)
        return True

    reply = Acceptor(dict, keep, LIMITS).too_large(source, request, length)
    assert reply.status == 413
    [refusal] = kept
    assert refusal.receipt in reply.body.decode()
    return refusal


@pytest.mark.parametrize("part", PLAIN)
def test_a_request_whose_credential_was_not_kept_cannot_be_verified(part: str) -> None:
    """Also where the secret of now is the very one it came with."""
    source = source_of(PLAIN[part])
    body = b'{"token": "%s"}' % NOW_SET.encode() if "body" in part else b"{}"
    request = sent(source, body)
    assert NOW_SET in f"{request.headers} {request.url} {request.body!r}"
    refusal = new_refusal(source, request, "wrong", LIMITS)
    assert NOW_SET not in str(refusal.headers) + refusal.url + refusal.body.decode()
    assert refusal.headers[NOT_KEPT] == [part]
    found = judged(source, refusal)
    assert isinstance(found, NotKept)
    assert found.reason == f"{part} was not kept"


def test_a_request_that_came_without_a_credential_is_told_so() -> None:
    source = source_of(PLAIN["the header authorization"])
    refusal = new_refusal(source, make_request(body=b"{}"), "none", LIMITS)
    assert NOT_KEPT not in refusal.headers
    found = judged(source, refusal)
    assert isinstance(found, Refused)
    assert "Authorization" in found.reason


def test_a_signature_is_judged_whatever_else_was_not_kept() -> None:
    source = source_of(SIGNED, PLAIN["the header authorization"])
    signed = sent(source, headers={"Authorization": "Bearer for-somebody-else"})
    refusal = new_refusal(source, signed, "wrong", LIMITS)
    assert isinstance(judged(source, refusal), NewDelivery)
    other = source_of(SIGNED, PLAIN["the header authorization"], set_to="another")
    found = judged(other, refusal)
    assert isinstance(found, Refused)
    assert "does not match" in found.reason
    assert "the header authorization was not kept" in found.reason


def test_a_large_body_is_taken_in_whole() -> None:
    source, body = source_of(SIGNED), b'{"phone": "1"}'.ljust(2 * LEAST_BYTES)
    found = judged(source, new_refusal(source, sent(source, body), "wrong", LIMITS))
    assert isinstance(found, NewDelivery)
    assert len(found.body) < len(body)
    assert unpacked(found.body, found.body_size) == body


def test_nobody_says_for_the_bridge_what_was_not_kept() -> None:
    source = source_of(SIGNED)
    lie = sent(source, headers={"Bridge-Dropped": BODY})
    refusal = new_refusal(source, lie, "wrong", LIMITS)
    assert NOT_KEPT not in refusal.headers
    assert isinstance(judged(source, refusal), NewDelivery)


@pytest.mark.parametrize(("length", "said"), [(5000, "5,000 bytes"), (None, "more than 1,000")])
def test_a_body_over_the_limit_is_kept_as_a_refusal_without_it(
    length: int | None, said: str
) -> None:
    source = source_of(SIGNED)
    refusal = too_large(source, sent(source), length)
    assert refusal.body == b""
    assert said in refusal.reason
    assert "BRIDGE_MAX_BODY" in refusal.reason
    assert "x-signature" in refusal.headers


def test_a_body_that_was_not_kept_is_never_taken_in_as_an_empty_one() -> None:
    """Whoever signs nothing of the body would pass by what is left of it."""
    source = source_of('jwt: {secret: "${SECRET}", header: X-Jwt, audience: me}', SIGNED)
    empty = sign(source.verify[1:], method="POST", url=URL, body=b"", now_ms=NOW, headers={})
    refusal = too_large(source, make_request(headers=empty.headers), 5000)
    found = judged(source, refusal)
    assert isinstance(found, NotKept)
    assert found.parts == (BODY,)


def test_a_body_over_the_limit_is_still_too_large_where_nothing_can_be_kept() -> None:
    def keep(_: object) -> bool:
        raise StoreBusy("locked")

    source = source_of(SIGNED)
    reply = Acceptor(dict, keep, LIMITS).too_large(source, sent(source), 5000)
    assert reply.status == 413
    assert "receipt" not in reply.body.decode()
