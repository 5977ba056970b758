"""Handshakes answer what they are declared for, echo safely, and never swallow a delivery."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bridge.receive.handshake import echoed, greeting, methods
from bridge.receive.reply import Reply

from .declared import declared
from .webhooks import make_request

HOOK = "https://bridge.example.com/hooks/crm"
AUTH = 'verify:\n  - bearer: {token: "${SECRET}"}\n'
ALL = (
    AUTH
    + """\
handshakes:
  - challenge: {field: challenge, beside: [type]}
  - header: {name: X-Hook-Secret}
  - query: {name: validationToken}
"""
)


def answer(receive: str, **request: Any) -> Reply | None:
    return greeting(declared(receive, "s3cret"), make_request(**{"url": HOOK, **request}))


def test_nothing_is_answered_unless_declared() -> None:
    for request in (
        {"method": "GET"},
        {"method": "HEAD"},
        {"body": b""},
        {"body": b'{"challenge": "x"}'},
        {"headers": {"X-Hook-Secret": "x"}},
        {"url": f"{HOOK}?validationToken=x", "method": "GET"},
    ):
        assert answer(AUTH, **request) is None


def test_a_challenge_comes_back_as_json() -> None:
    body = {"challenge": "3eZbrw1aBm2rZgRNFdxV2595E9CY3gmdALWMmHkvFXO7tYXAYM8P"}
    reply = answer(ALL, body=json.dumps(body).encode())
    assert reply is not None
    assert (reply.status, json.loads(reply.body), reply.content_type) == (
        200,
        body,
        "application/json",
    )
    markup = answer(ALL, body=b'{"challenge": "<script>", "type": "url_verification"}')
    assert markup is not None
    assert ("X-Content-Type-Options", "nosniff") in markup.headers


@pytest.mark.parametrize(
    "body",
    [
        b'{"challenge": "x", "event": {"do_not_call": true}}',
        b'{"challenge": {"do_not_call": true}}',
        b'{"challenge": ""}',
        b'{"challenge": "' + b"x" * 1001 + b'"}',
        b'{"challenge": "x"}' + b" " * 10_000,
        b'[{"challenge": "x"}]',
        b'{"challenge": "x"',
        b"[" * 100_000,
        b"",
    ],
)
def test_what_may_be_more_than_a_challenge_is_none(body: bytes) -> None:
    assert answer(ALL, body=body) is None


@pytest.mark.parametrize("body", [b"", b"  ", b"{}", b"[]"])
def test_a_header_comes_back(body: bytes) -> None:
    reply = answer(ALL, headers={"X-Hook-Secret": "abc=123"}, body=body)
    assert reply is not None
    assert (reply.status, reply.body) == (200, b"")
    assert ("X-Hook-Secret", "abc=123") in reply.headers


def test_a_header_with_a_body_is_a_delivery_and_comes_back_with_its_answer() -> None:
    source = declared(ALL, "s3cret")
    request = make_request(url=HOOK, headers={"X-Hook-Secret": "abc"}, body=b'{"id": 1}')
    assert greeting(source, request) is None
    assert echoed(source, request) == (("X-Hook-Secret", "abc"),)


@pytest.mark.parametrize("value", ["a b", "é", "a\r\nSet-Cookie: x", "x" * 257, ""])
def test_a_header_that_is_not_safe_does_not_come_back(value: str) -> None:
    source = declared(ALL, "s3cret")
    request = make_request(url=HOOK, headers={"X-Hook-Secret": value})
    assert greeting(source, request) is None
    assert echoed(source, request) == ()


def test_a_parameter_comes_back_as_plain_text() -> None:
    url = f"{HOOK}?validationToken=Validation%3A+a%2Bb+%3Cb%3E"
    for method, body in (("GET", b""), ("POST", b"")):
        reply = answer(ALL, url=url, method=method, body=body)
        assert reply is not None
        assert reply.body == b"Validation: a+b <b>"
        assert reply.content_type == "text/plain; charset=utf-8"
        assert ("X-Content-Type-Options", "nosniff") in reply.headers
    assert answer(ALL, url=url, method="POST", body=b'{"value": []}') is None
    assert answer(ALL, url=f"{HOOK}?validationToken=%0d%0a", method="GET") is None
    assert answer(ALL, url=f"{HOOK}?validationToken={'x' * 1001}", method="GET") is None
    assert answer(ALL, url=f"{HOOK}?validationToken=a&validationToken=b", method="GET") is None
    assert answer(ALL, url=HOOK, method="GET") is None


def test_a_parameter_may_need_a_proof() -> None:
    receive = AUTH + (
        "handshakes:\n"
        '  - query: {name: hub.challenge, proof: hub.verify_token, token: "${SECRET}"}\n'
    )
    good = f"{HOOK}?hub.mode=subscribe&hub.challenge=12&hub.verify_token=s3cret"
    reply = answer(receive, url=good, method="GET")
    assert reply is not None
    assert reply.body == b"12"
    assert answer(receive, url=good + "x", method="GET") is None
    assert answer(receive, url=f"{HOOK}?hub.challenge=12", method="GET") is None


def test_get_and_an_empty_post_succeed_where_declared() -> None:
    receive = AUTH + "handshakes: [get, empty_post]\n"
    for method in ("GET", "HEAD", "POST"):
        reply = answer(receive, method=method, body=b"")
        assert reply is not None
        assert (reply.status, reply.body) == (200, b"")
    assert answer(receive, body=b"type=unsubscribe") is None
    assert methods(declared(receive, "s3cret")) == ("POST", "GET", "HEAD")
    assert methods(declared(AUTH, "s3cret")) == ("POST",)


def test_an_address_without_its_secret_is_told_at_once() -> None:
    receive = 'verify:\n  - path: {token: "${SECRET}"}\nhandshakes: [get]\n'
    assert answer(receive, url=f"{HOOK}/s3cret", method="GET") is not None
    assert answer(receive, url=f"{HOOK}/s3cert", method="GET") is None
    assert answer(receive, url=HOOK, method="GET") is None
    either = receive.replace("handshakes", '  - bearer: {token: "${SECRET}"}\nhandshakes')
    assert answer(either, url=HOOK, method="GET") is not None
    assert answer(either, url=f"{HOOK}/s3cert", method="GET") is None


def test_a_crm_that_shows_its_secret_later_is_answered_before() -> None:
    source = declared(AUTH + "handshakes: [get]\n")
    assert source.missing == ("SECRET",)
    assert greeting(source, make_request(url=HOOK, method="GET")) is not None
