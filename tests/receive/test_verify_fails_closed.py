"""Whatever a request holds, the verifier answers, refuses without proof, and gives nothing away."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.logs import mask_text
from bridge.model import (
    AllOfScheme,
    BasicScheme,
    BearerScheme,
    HeaderScheme,
    HmacScheme,
    HubSpotScheme,
    PathScheme,
    PublicKeyScheme,
    QueryScheme,
    Refused,
    Request,
    Scheme,
    StandardWebhooksScheme,
)
from bridge.receive.verify.any_of import verify
from bridge.receive.verify.sanity import check_scheme

from .test_public_keys import PUBLISHED_ED25519, PUBLISHED_RSA
from .webhooks import NOW, make_request, secret

VALUE = "hunter2-hunter2-hunter2"
SECRET = secret(VALUE)
SCHEMES: tuple[Scheme, ...] = (
    HubSpotScheme("v3", SECRET),
    HubSpotScheme("v2", SECRET, yields_to_v3=True),
    HubSpotScheme("v1", SECRET, yields_to_v3=True),
    HmacScheme(SECRET, "X-Signature"),
    HmacScheme(SECRET, "X-Signature", prefix="sha256=", encoding="base64"),
    HmacScheme(
        SECRET, "X-Parts", style="parts", timestamp_part="t", signed=("timestamp", "text:.", "body")
    ),
    HmacScheme(SECRET, "X-Items", style="items", signed=("header:x-id", "body_base64")),
    HmacScheme(SECRET, "X-Wrapped", style="wrapped", encoding="raw"),
    HmacScheme(SECRET, "X-Wrapped", style="wrapped"),
    HmacScheme(SECRET, "X-Form", signed=("url", "method", "form")),
    HmacScheme(SECRET, "X-Url", signed=("url",), body_hash="h"),
    HmacScheme(
        SECRET,
        "X-Iso",
        signed=("timestamp", "body"),
        timestamp_header="X-T",
        timestamp_format="iso",
    ),
    HmacScheme(
        SECRET,
        "X-Date",
        signed=("timestamp", "body"),
        timestamp_header="X-T",
        timestamp_format="http_date",
    ),
    PublicKeyScheme("ed25519", (PUBLISHED_ED25519,), "X-GHL-Signature"),
    PublicKeyScheme("rsa_sha256", (PUBLISHED_RSA,), "X-WH-Signature", yields_to="X-GHL-Signature"),
    StandardWebhooksScheme(secret("whsec_aHVudGVyMi1odW50ZXIyLWh1bnRlcjI=")),
    StandardWebhooksScheme(secret(f"whpk_{PUBLISHED_ED25519.splitlines()[1][16:]}"), "svix"),
    BearerScheme(SECRET),
    BasicScheme("bridge", SECRET),
    HeaderScheme("X-Token", SECRET),
    QueryScheme("code", SECRET),
    PathScheme(SECRET),
    AllOfScheme((HeaderScheme("X-Token", SECRET), PathScheme(SECRET))),
)
NAMES = """
    authorization x-hubspot-signature x-hubspot-signature-version x-hubspot-signature-v3
    x-hubspot-request-timestamp x-signature x-parts x-items x-id x-wrapped x-form x-url x-iso
    x-date x-t x-ghl-signature x-wh-signature webhook-id webhook-timestamp webhook-signature
    svix-id svix-timestamp svix-signature x-token
"""
# Almost right is more searching than random: words that the parsers look for.
PIECES = """
    v1 v2 v3 Bearer Basic t= v1= v1, v1a, sha256= , ; = : . whsec_ N/A é 😀 ٣ %3A
    1768473005 1768473005000 2026-01-15T10:30:05Z 2026-01-15T10:30:05 -0001 9999999999999999999
    QUJD QUJDOg== abc:def Thu, 15 Jan 2026 10:30:05 GMT
"""
values = st.one_of(
    st.text(max_size=60),
    st.lists(st.sampled_from([*PIECES.split(), " ", "\x00", "\udce9"]), max_size=8).map("".join),
    st.binary(min_size=64, max_size=64).map(bytes.hex),
)
requests = st.builds(
    Request,
    source=st.just("crm"),
    token=st.none() | values,
    method=st.sampled_from(["POST", "GET", "", "é"]),
    url=st.sampled_from(["https://h/hooks/crm", "", "https://[", "https://h:443/?%3a"]) | values,
    path=values,
    query=values | st.sampled_from(["code=%", "code=a&code=b", "h=00", "&&=&"]),
    headers=st.dictionaries(
        st.sampled_from(NAMES.split()), st.lists(values, max_size=3).map(tuple), max_size=24
    ),
    body=st.binary(max_size=200),
    address=st.just(""),
    received_at=st.just(NOW),
)


def test_the_schemes_of_this_test_are_sound() -> None:
    assert [check_scheme(scheme) for scheme in SCHEMES] == [None] * len(SCHEMES)


@settings(max_examples=400, deadline=None)
@given(request=requests, now_ms=st.just(NOW) | st.integers())
def test_nothing_without_proof_passes_and_nothing_is_raised(request: Request, now_ms: int) -> None:
    for scheme in SCHEMES:
        verdict = verify((scheme,), request, now_ms)
        assert isinstance(verdict, Refused)
        # The net under the checks is for bugs; no request may need it.
        assert "could not be checked" not in verdict.reason
        assert VALUE not in verdict.reason


@settings(max_examples=100, deadline=None)
@given(request=requests)
def test_a_reason_is_short_and_shows_nothing_of_the_request(request: Request) -> None:
    marked = {
        name: tuple(f"{value}Zq9{name}Zq9" for value in given)
        for name, given in request.headers.items()
    }
    verdict = verify(SCHEMES, replace(request, headers=marked, token="Zq9token"), NOW)
    assert isinstance(verdict, Refused)
    assert len(verdict.reason) <= 1000
    assert "Zq9" not in verdict.reason
    assert VALUE not in verdict.reason


def test_no_scheme_refuses() -> None:
    verdict = verify((), make_request(), NOW)
    assert isinstance(verdict, Refused)
    assert "no scheme" in verdict.reason


def test_the_reason_names_every_scheme_tried() -> None:
    schemes = (HubSpotScheme("v3", SECRET), BearerScheme(SECRET), PathScheme(SECRET))
    verdict = verify(schemes, make_request(), NOW)
    assert verdict == Refused(
        "hubspot_v3: the header X-HubSpot-Signature-v3 is missing; "
        "bearer: the header Authorization is missing; "
        "path: the URL has no token after the name of the source"
    )


class Broken:
    """A scheme of no kind at all, as a bug elsewhere might hand one over."""


def test_what_cannot_be_checked_is_refused() -> None:
    unknown: Scheme = Broken()  # type: ignore[assignment]
    verdict = verify((unknown, AllOfScheme((unknown,))), make_request(), NOW)
    assert isinstance(verdict, Refused)
    assert verdict.reason.count("could not be checked") == 2


def test_a_hundred_schemes_give_a_bounded_reason() -> None:
    schemes = tuple(HeaderScheme(f"X-Token-{number}", SECRET) for number in range(100))
    verdict = verify(schemes, make_request(), NOW)
    assert isinstance(verdict, Refused)
    assert len(verdict.reason) == 1000


@pytest.mark.parametrize(
    ("scheme", "text", "why"),
    [
        (SCHEMES[5], f"t={NOW // 1000 - 301},v1=00", "301 s old"),
        (SCHEMES[5], f"t={NOW // 1000 + 301},v1=00", "301 s ahead"),
        (SCHEMES[5], f"t={NOW // 1000 - 13_378_162},v1=00", "155 days old"),
        (SCHEMES[5], f"t={NOW // 1000 + 13_378_162},v1=00", "155 days ahead"),
        (SCHEMES[5], "t=soon,v1=00", "digits only"),
        (SCHEMES[5], "v1=00", "no timestamp"),
        (SCHEMES[5], f"t={NOW // 1000},v2=00", "no signature"),
        (SCHEMES[4], "sha1=00", "no signature after the prefix"),
        (SCHEMES[7], "%%%", "not base64"),
    ],
)
def test_a_reason_tells_what_to_mend(scheme: HmacScheme, text: str, why: str) -> None:
    verdict = verify((scheme,), make_request(headers={scheme.header: text}), NOW)
    assert isinstance(verdict, Refused)
    assert why in verdict.reason
    assert mask_text(verdict.reason) == verdict.reason  # all of it is readable in the log
