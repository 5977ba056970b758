"""Shared secrets in header, query and path: only the exact value opens."""

from __future__ import annotations

import base64
from dataclasses import replace

import pytest

from bridge.model import (
    AllOfScheme,
    BasicScheme,
    BearerScheme,
    HeaderScheme,
    PathScheme,
    QueryScheme,
    Refused,
    Request,
    Scheme,
    Verified,
)
from bridge.receive.verify.any_of import verify

from .webhooks import NOW, URL, make_request, secret

BEARER = BearerScheme(secret("tok-1", "tok-2"))
BASIC = BasicScheme("bridge", secret("p:äss word"))
HEADER = HeaderScheme("X-Token", secret("s3cret"))
QUERY = QueryScheme("code", secret("a+b c/é"))
PATH = PathScheme(secret("p4th"))


def passes(scheme: Scheme, request: Request) -> bool:
    return isinstance(verify((scheme,), request, NOW), Verified)


def basic(login: str) -> str:
    return base64.b64encode(login.encode()).decode()


@pytest.mark.parametrize(
    ("value", "good"),
    [
        ("Bearer tok-1", True),
        ("Bearer tok-2", True),
        ("bEARER  tok-1", True),
        ("Bearer tok-3", False),
        ("Bearer tok-1x", False),
        ("Bearer tok-", False),
        ("Bearer TOK-1", False),
        ("Bearer", False),
        ("Bearer ", False),
        ("tok-1", False),
        ("Basic tok-1", False),
        ("Bearer tok-1 tok-2", False),
        ("Bearer\ttok-1", False),
        ("Bearer tok-1é", False),
    ],
)
def test_bearer(value: str, good: bool) -> None:
    assert passes(BEARER, make_request(headers={"Authorization": value})) is good


@pytest.mark.parametrize(
    ("value", "good"),
    [
        (f"Basic {basic('bridge:p:äss word')}", True),
        (f"basic {basic('bridge:p:äss word')}", True),
        (f"Basic {basic('bridge:p:ass word')}", False),
        (f"Basic {basic('bridge:p')}", False),
        (f"Basic {basic('Bridge:p:äss word')}", False),
        (f"Basic {basic('bridge')}", False),
        (f"Basic {basic('')}", False),
        ("Basic !!!", False),
        (f"Bearer {basic('bridge:p:äss word')}", False),
        # The same password in ISO 8859-1: other bytes, so another password.
        ("Basic " + base64.b64encode("bridge:p:äss word".encode("latin-1")).decode(), False),
    ],
)
def test_basic(value: str, good: bool) -> None:
    assert passes(BASIC, make_request(headers={"Authorization": value})) is good


@pytest.mark.parametrize(
    ("headers", "good"),
    [
        ([("x-token", "s3cret")], True),
        ([("X-TOKEN", "s3cret"), ("x-token", "s3cret")], True),
        ([("X-Token", "s3cret"), ("X-Token", "other")], False),
        ([("X-Token", "other"), ("X-Token", "s3cret")], False),
        ([("X-Token", "s3cret ")], False),
        ([("X-Token", "")], False),
        ([("X-Tokens", "s3cret")], False),
        ([], False),
    ],
)
def test_header(headers: list[tuple[str, str]], good: bool) -> None:
    assert passes(HEADER, make_request(headers=headers)) is good


def test_a_header_in_utf_8_arrives_as_iso_8859_1_and_still_matches() -> None:
    scheme = HeaderScheme("X-Token", secret("geheim-ü"))
    wire = "geheim-ü".encode().decode("latin-1")
    assert passes(scheme, make_request(headers={"X-Token": wire}))
    assert not passes(scheme, make_request(headers={"X-Token": "geheim-u"}))


@pytest.mark.parametrize(
    ("query", "good"),
    [
        ("code=a%2Bb%20c%2F%C3%A9", True),
        ("x=1&code=a%2bb+c/%c3%a9".replace("%2bb+c", "%2bb%20c"), True),
        ("co%64e=a%2Bb%20c/%C3%A9", True),
        ("code=a%2Bb+c/%C3%A9", True),
        ("code=a+b%20c/%C3%A9", True),
        ("code=a%2Bb%20c%2F%C3%A9&code=a%2Bb%20c%2F%C3%A9", False),
        ("code=a%2Bb%20c%2F%C3%A9&co%64e=x", False),
        ("code=a%2Bb%20c%2Fe", False),
        ("CODE=a%2Bb%20c%2F%C3%A9", False),
        ("code=", False),
        ("code", False),
        ("", False),
        ("code=a%2Bb%20c/" + "é".encode().decode("latin-1"), True),
        ("code=%25", False),
        ("code=%", False),
    ],
)
def test_query(query: str, good: bool) -> None:
    assert passes(QUERY, make_request(url=f"{URL}?{query}")) is good


def test_a_flood_of_parameters_is_refused_unlooked() -> None:
    verdict = verify((QUERY,), make_request(url=f"{URL}?{'a&' * 100_000}"), NOW)
    assert isinstance(verdict, Refused)
    assert "too many" in verdict.reason


@pytest.mark.parametrize(
    ("url", "good"),
    [(f"{URL}/p4th", True), (f"{URL}/P4th", False), (f"{URL}/p4th%00", False), (URL, False)],
)
def test_path(url: str, good: bool) -> None:
    assert passes(PATH, make_request(url=url)) is good


@pytest.mark.parametrize("token", ["t/ö", "t%2F%C3%B6", "t/ö".encode().decode("latin-1")])
def test_a_path_token_matches_however_the_router_hands_it_over(token: str) -> None:
    scheme = PathScheme(secret("t/ö"))
    assert passes(scheme, replace(make_request(), token=token))
    assert not passes(scheme, replace(make_request(), token=token + "x"))


def test_all_of_needs_every_one() -> None:
    both = AllOfScheme((PATH, HEADER))
    whole = make_request(url=f"{URL}/p4th", headers={"X-Token": "s3cret"})
    assert verify((both,), whole, NOW) == Verified("path+header")
    for part in (
        make_request(url=f"{URL}/p4th"),
        make_request(headers={"X-Token": "s3cret"}),
        make_request(),
    ):
        verdict = verify((both,), part, NOW)
        assert isinstance(verdict, Refused)
        assert verdict.reason.startswith("all_of: ")
    assert not passes(AllOfScheme(()), whole)


def test_any_one_is_enough_and_is_named() -> None:
    request = make_request(headers={"X-Token": "s3cret"})
    assert verify((BEARER, PATH, HEADER), request, NOW) == Verified("header")


@pytest.mark.parametrize("values", [(), ("",)])
def test_an_empty_secret_lets_nobody_in(values: tuple[str, ...]) -> None:
    empty = secret(*values)
    request = make_request(
        url=f"{URL}/?code=", headers={"Authorization": f"Basic {basic('bridge:')}", "X-Token": ""}
    )
    for scheme in (
        BearerScheme(empty),
        BasicScheme("bridge", empty),
        HeaderScheme("X-Token", empty),
        QueryScheme("code", empty),
        PathScheme(empty),
    ):
        assert not passes(scheme, request)
