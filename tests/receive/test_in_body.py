"""Secrets in the body, and whether a request is for the right tenant."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bridge.model import (
    AllOfScheme,
    AnyOfScheme,
    BodyScheme,
    Decoder,
    EqualScheme,
    NoneScheme,
    PathScheme,
    Refused,
    Verified,
)
from bridge.receive.verify.any_of import proves, verify

from .webhooks import make_request, secret

HOOK = "https://bridge.example.com/hooks/crm/tok"
PATH = PathScheme(secret("tok"))


def passes(scheme: Any, body: bytes, **headers: str) -> bool:
    request = make_request(url=HOOK, headers=headers, body=body)
    return isinstance(verify((scheme,), request, 0), Verified)


@pytest.mark.parametrize(
    ("document", "good"),
    [
        ({"a": {"token": "t0k€n"}}, True),
        ([{"a": {"token": "t0k€n"}}, {"a": {"token": "t0k€n"}}], True),
        ([{"a": {"token": "t0k€n"}}, {"a": {"token": "x"}}], False),
        ([{"a": {"token": "t0k€n"}}, {"a": {"token": None}}], False),
        ({"a": {"token": "T0k€n"}}, False),
        ({"a": {"token": ""}}, False),
        ({"a": {"token": None}}, False),
        ({"a": {"token": ["t0k€n"]}}, False),
        ({"a": {"token": {"t0k€n": 1}}}, False),
        ({"a": {}}, False),
        ({"a.token": "t0k€n"}, False),
        ([], False),
        ("t0k€n", False),
    ],
)
def test_a_token_in_the_body(document: Any, good: bool) -> None:
    scheme = BodyScheme(("a", "token"), secret("old", "t0k€n"), Decoder.JSON)
    assert passes(scheme, json.dumps(document).encode()) is good


@pytest.mark.parametrize(
    ("decoder", "body"),
    [
        (Decoder.FORM, b"x=1&token=t0k"),
        (Decoder.NESTED_FORM, b"token=t0k&x[y]=1"),
        (Decoder.JSON, b'{"token":"t0k"}'),
    ],
)
def test_every_decoder_finds_it(decoder: Decoder, body: bytes) -> None:
    scheme = BodyScheme(("token",), secret("t0k"), decoder)
    assert passes(scheme, body)
    assert not passes(scheme, body.replace(b"t0k", b"t1k"))


def test_a_body_that_cannot_be_read_is_refused_with_little_work() -> None:
    scheme = BodyScheme(("token",), secret("t0k"), Decoder.JSON)
    for body in (b"", b"{", b"[" * 100_000, b'{"token": NaN}', b"\xff\xfe"):
        verdict = verify((scheme,), make_request(body=body), 0)
        assert isinstance(verdict, Refused)
        assert "cannot be read" in verdict.reason


def test_a_large_body_is_opened_only_once_a_secret_was_right() -> None:
    token = BodyScheme(("token",), secret("t0k"), Decoder.JSON)
    body = b'{"token": "t0k"' + b" " * 1000 + b"}"
    request = make_request(url=HOOK, body=body)
    verdict = verify((token,), request, 0, max_unverified=1000)
    assert isinstance(verdict, Refused)
    assert "BRIDGE_MAX_UNVERIFIED" in verdict.reason
    for scheme in (AllOfScheme((token, PATH)), AllOfScheme((AnyOfScheme((token,)), PATH))):
        assert isinstance(verify((scheme,), request, 0, max_unverified=1000), Verified)


@pytest.mark.parametrize(
    ("given", "good"),
    [
        ("00D5e00000A1bCdEAJ", True),
        ("00D5e00000A1bCd", True),
        ("00d5e00000a1bcdEAJ", False),
        ("00D5e00000A1bC", False),
        ("00D5e00000A1bCeEAJ", False),
    ],
)
def test_a_tenant_by_its_first_characters(given: str, good: bool) -> None:
    tenant = EqualScheme(
        Decoder.JSON, body=("org",), values=("other-000000000", "00D5e00000A1bCdXYZ"), length=15
    )
    both = AllOfScheme((tenant, PATH))
    assert passes(both, json.dumps({"org": given}).encode()) is good


def test_two_parts_of_a_request_that_must_agree() -> None:
    same = AllOfScheme((PATH, EqualScheme(Decoder.JSON, body=("id",), header="X-Id")))
    assert passes(same, b'{"id": 12}', **{"X-Id": "12"})
    assert not passes(same, b'{"id": 12}', **{"X-Id": "13"})
    assert not passes(same, b'{"id": 12}')
    assert not passes(same, b"{}", **{"X-Id": "12"})


def test_nothing_passes_that_takes_no_secret() -> None:
    tenant = EqualScheme(Decoder.JSON, body=("a",), values=("1",))
    nobody = NoneScheme("signs nothing")
    for scheme in (
        tenant,
        nobody,
        AllOfScheme((tenant, nobody)),
        AnyOfScheme((PATH, tenant)),
        AllOfScheme((AnyOfScheme((tenant, PATH)), nobody)),
    ):
        assert not proves(scheme)
        assert not passes(scheme, b'{"a": "1"}')
    assert passes(AllOfScheme((nobody, PATH)), b"")


def test_any_of_inside_all_of() -> None:
    one = BodyScheme(("token",), secret("one"), Decoder.JSON)
    two = BodyScheme(("token",), secret("two"), Decoder.JSON)
    scheme = AllOfScheme((AnyOfScheme((one, two)), PATH))
    assert passes(scheme, b'{"token": "two"}')
    assert not passes(scheme, b'{"token": "three"}')
