"""Without the public URL no signature over the URL passes; schemes without one are not hurt."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bridge.model import (
    AllOfScheme,
    BearerScheme,
    HmacScheme,
    HubSpotScheme,
    Refused,
    Scheme,
    Verified,
)
from bridge.receive.sign import sign
from bridge.receive.verify import over_url
from bridge.receive.verify.any_of import verify

from .webhooks import NOW, URL, make_request, secret

KEY = secret("s3cret")
V1 = HubSpotScheme("v1", KEY)
BEARER = BearerScheme(secret("t0ken"))
OVER_URL: list[Scheme] = [
    HubSpotScheme("v2", KEY),
    HubSpotScheme("v3", KEY),
    HmacScheme(KEY, "X-Signature", signed=("url", "body")),
    AllOfScheme((BEARER, HubSpotScheme("v3", KEY))),
]
OTHERS: list[Scheme] = [V1, HmacScheme(KEY, "X-Signature"), BEARER, AllOfScheme((BEARER, V1))]


def judged(scheme: Scheme, public: bool) -> Verified | Refused:
    """The verdict over a well signed request, with or without the public URL."""
    made = sign((scheme,), method="POST", url=URL, body=b"{}", now_ms=NOW, headers={"Host": "h"})
    request = make_request(url=made.url, headers=made.headers, body=b"{}")
    return verify((scheme,), request if public else replace(request, url=None), NOW)


@pytest.mark.parametrize("scheme", OVER_URL, ids=str)
def test_a_signature_over_the_url_is_refused_until_the_public_url_is_set(scheme: Scheme) -> None:
    assert isinstance(judged(scheme, public=True), Verified)
    verdict = judged(scheme, public=False)
    assert isinstance(verdict, Refused)
    assert "BRIDGE_PUBLIC_URL is not set, and this signature covers the URL" in verdict.reason
    assert over_url((scheme,)).all_of_them


@pytest.mark.parametrize("scheme", OTHERS, ids=str)
def test_other_schemes_pass_without_the_public_url(scheme: Scheme) -> None:
    assert isinstance(judged(scheme, public=False), Verified)
    assert over_url((scheme,)).names == ()


def test_a_source_with_another_scheme_is_told_apart() -> None:
    found = over_url((OVER_URL[1], BEARER))
    assert (found.names, found.all_of_them) == (("hubspot_v3",), False)
