"""Tokens that say who sent a request: one algorithm, one audience, and an end."""

from __future__ import annotations

import base64
import json
from typing import Any

import jwt
import pytest

from bridge.model import JwtScheme, Refused, Verified
from bridge.receive.verify import over_url, plain_credentials
from bridge.receive.verify.any_of import verify
from bridge.receive.verify.sanity import check_scheme

from .declared import declared
from .webhooks import NOW, URL, make_request, secret

KEY = "signing-secret-0123456789-0123456789"
NOW_S = NOW // 1000
GOOD = {"aud": URL, "exp": NOW_S + 60}
SCHEMES = declared('verify:\n  - jwt: {secret: "${SECRET}"}\n', KEY).verify


def judged(token: str, schemes: Any = SCHEMES, now_ms: int = NOW) -> Verified | Refused:
    return verify(schemes, make_request(headers={"Authorization": token}, body=b"{}"), now_ms)


def made(claims: dict[str, Any], key: str = KEY, algorithm: str = "HS256") -> str:
    return jwt.encode(claims, key, algorithm=algorithm)


@pytest.mark.parametrize(
    "claims",
    [
        GOOD,
        {"aud": [URL, "https://elsewhere.example.com"], "exp": NOW_S + 60},
        {"aud": URL, "exp": NOW_S - 29},
        {"aud": URL, "exp": NOW_S + 60, "nbf": NOW_S + 20, "iat": NOW_S + 900},
        {"aud": URL, "exp": NOW_S + 60.5},
    ],
)
def test_a_good_token_passes(claims: dict[str, Any]) -> None:
    assert judged(made(claims)) == Verified("jwt")
    assert judged(f"Bearer {made(claims)}") == Verified("jwt")


@pytest.mark.parametrize(
    ("claims", "why"),
    [
        ({"exp": NOW_S + 60}, "aud"),
        ({"aud": URL}, "exp"),
        ({"aud": f"{URL}/", "exp": NOW_S + 60}, "aud"),
        ({"aud": "", "exp": NOW_S + 60}, "aud"),
        ({"aud": URL, "exp": NOW_S - 31}, "expired"),
        ({"aud": URL, "exp": 0}, "expired"),
        ({"aud": URL, "exp": True}, "expired"),
        ({"aud": URL, "exp": str(NOW_S + 60)}, "expired"),
        ({"aud": URL, "exp": None}, "exp"),
        ({"aud": URL, "exp": NOW_S + 60, "nbf": NOW_S + 31}, "not valid yet"),
    ],
)
def test_a_token_for_another_time_or_place_does_not(claims: dict[str, Any], why: str) -> None:
    verdict = judged(made(claims))
    assert isinstance(verdict, Refused)
    assert why in verdict.reason


@pytest.mark.parametrize(
    "token",
    [
        made(GOOD, "another-secret-0123456789-0123456789"),
        made(GOOD, algorithm="HS384"),
        made(GOOD, algorithm="HS512"),
        jwt.encode(GOOD, "", algorithm="none"),
        made(GOOD) + "x",
        made(GOOD).rpartition(".")[0] + ".",
        "not.a.token",
        "a" * 100_000,
        base64.b64encode(json.dumps(GOOD).encode()).decode(),
    ],
)
def test_any_other_token_does_not(token: str) -> None:
    assert isinstance(judged(token), Refused)


def test_every_byte_of_a_token_counts() -> None:
    token = made(GOOD)
    last = token.rindex(".")
    for place in [*range(0, last, 7), last + 1, len(token) - 2]:
        letter = "A" if token[place] != "A" else "B"
        assert isinstance(judged(token[:place] + letter + token[place + 1 :]), Refused)


def test_two_secrets_are_live_and_an_audience_may_be_named() -> None:
    both = JwtScheme(secret("new-secret-0123456789-0123456789-01", KEY), audience="the bridge")
    assert judged(made({**GOOD, "aud": "the bridge"}), (both,)) == Verified("jwt")
    assert isinstance(judged(made(GOOD), (both,)), Refused)
    assert check_scheme(both) is None
    assert over_url((both,)).names == ()
    assert over_url(SCHEMES).names == ("jwt",)


def test_a_token_is_a_credential_and_not_kept() -> None:
    assert "authorization" in plain_credentials(SCHEMES).headers
    other = JwtScheme(secret(KEY), "X-Token")
    assert "x-token" in plain_credentials((other,)).headers
