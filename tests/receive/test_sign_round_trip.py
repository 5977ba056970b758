"""What ``sign`` makes passes ``verify``; with one bit changed, where it is covered, it does not."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from bridge.errors import VerifyError
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
    Verified,
)
from bridge.receive.sign import Signed, sign
from bridge.receive.verify.any_of import verify
from bridge.receive.verify.sanity import check_scheme
from bridge.receive.verify.signed_text import form_text

from .test_public_keys import pair
from .webhooks import NOW, flipped, flipped_text, make_request, secret

ADDRESS = "https://bridge.example.com/hooks/crm?src=hs%3Aapp&x=(a)%20b"
KEYS = {
    "text": "clé-secrète",
    "hex": "560ef21671bc969d1b180392d975ed46",
    "base64": "Nrxy/3HShlwkS6Oi/Gs5LgSkLyhjToc6VENzDi1k4+8=",
    "whsec": "whsec_Nrxy/3HShlwkS6Oi/Gs5LgSkLyhjToc6VENzDi1k4+8=",
}
S = secret("s3cret~value", "the-previous-one")
PLAIN: tuple[Scheme, ...] = (
    BearerScheme(S),
    BasicScheme("brücke", secret("p:äss word")),
    HeaderScheme("X-Token", secret("geheim-ü")),
    QueryScheme("code", secret("a+b c/é&=%")),
    PathScheme(secret("t/o?k#e%n é")),
    AllOfScheme((BearerScheme(S), QueryScheme("code", S), PathScheme(S))),
)
SIGNING: tuple[Scheme, ...] = (
    HubSpotScheme("v1", S),
    HubSpotScheme("v2", S),
    HubSpotScheme("v3", S),
    StandardWebhooksScheme(secret(KEYS["whsec"])),
    StandardWebhooksScheme(secret(KEYS["whsec"]), "svix"),
    PublicKeyScheme("ed25519", (pair("ed25519")[1],), "X-GHL-Signature"),
    HmacScheme(S, "X-Url", signed=("url",), body_hash="bodySHA256"),
    HmacScheme(S, "Authorization", prefix="HMAC "),
    AllOfScheme((HmacScheme(S, "X-Sig", signed=("method", "url", "body")), PathScheme(S))),
    AllOfScheme((HmacScheme(S, "X-Sig", signed=("header:authorization", "body")), BearerScheme(S))),
)
PRIVATE = pair("ed25519")[0]


def signed_by(scheme: Scheme, body: bytes, **headers: str) -> Signed:
    return sign(
        (scheme,),
        method="POST",
        url=ADDRESS,
        body=body,
        now_ms=NOW,
        headers=headers,
        private_key=PRIVATE,
    )


def request_of(signed: Signed, body: bytes) -> Request:
    return make_request(url=signed.url, headers=signed.headers, body=body)


@pytest.mark.parametrize("scheme", [*PLAIN, *SIGNING], ids=lambda scheme: type(scheme).__name__)
@pytest.mark.parametrize("body", [b"", b'{"name":"Jos\xc3\xa9"}', bytes(range(256))])
def test_every_kind_of_scheme_makes_the_round(scheme: Scheme, body: bytes) -> None:
    assert check_scheme(scheme) is None
    signed = signed_by(scheme, body)
    assert isinstance(verify((scheme,), request_of(signed, body), NOW), Verified)


@pytest.mark.parametrize("scheme", SIGNING, ids=lambda scheme: type(scheme).__name__)
def test_every_signature_covers_the_body(scheme: Scheme) -> None:
    body = b'[{"objectId":1,"do_not_call":"true"}]'
    request = request_of(signed_by(scheme, body), body)
    for changed in (*flipped(body), b"", body + b"\n"):
        assert isinstance(verify((scheme,), replace(request, body=changed), NOW), Refused)


parts = st.lists(
    st.sampled_from(["body", "body_base64", "form", "url", "method", "header:x-id", "text:v0:é"]),
    max_size=4,
)


@st.composite
def hmac_schemes(draw: st.DrawFn) -> HmacScheme:
    form: Literal["text", "hex", "base64", "whsec"] = draw(st.sampled_from(sorted(KEYS)))
    style: Literal["alone", "parts", "items", "wrapped"] = draw(
        st.sampled_from(["alone", "parts", "items", "wrapped"])
    )
    encodings = ["hex", "base64", "raw"] if style == "wrapped" else ["hex", "base64"]
    timed = draw(st.sampled_from(["", "header", "part"] if style == "parts" else ["", "header"]))
    signed = [*draw(parts), *(["timestamp"] if timed else [])]
    return HmacScheme(
        secret(KEYS[form]),
        "X-Signature",
        algorithm=draw(st.sampled_from(["sha1", "sha256", "sha512"])),
        key=form,
        encoding=draw(st.sampled_from(encodings)),
        prefix=draw(st.sampled_from(["", "sha256="])),
        style=style,
        part=draw(st.sampled_from(["v1", "sig"])),
        signed=tuple(draw(st.permutations(signed))),
        timestamp_header="X-Time" if timed == "header" else None,
        timestamp_part="t" if timed == "part" else None,
        timestamp_format=draw(st.sampled_from(["unix_s", "unix_ms", "iso", "http_date"])),
    )


bodies = st.binary(max_size=60) | st.sampled_from([b"B=2&A=%C3%A9&B=1&C=", b"a=1", b""])


@settings(max_examples=300, deadline=None)
@given(scheme=hmac_schemes(), body=bodies)
def test_every_hmac_makes_the_round_and_covers_what_it_says(
    scheme: HmacScheme, body: bytes
) -> None:
    assume(check_scheme(scheme) is None)
    signed = signed_by(scheme, body, **{"X-Id": "msg_1"})
    request = request_of(signed, body)
    assert isinstance(verify((scheme,), request, NOW), Verified)
    covered = set(scheme.signed)
    # A form counts as pairs: two spellings of the same pairs are the same text.
    bodies_apart = [
        changed
        for changed in flipped(body)
        if covered & {"body", "body_base64"} or form_text(changed) != form_text(body)
    ]
    altered = [replace(request, body=changed) for changed in bodies_apart]
    if "url" in covered:
        altered += [replace(request, url=url) for url in flipped_text(request.url)]
    if "method" in covered:
        altered += [replace(request, method=method) for method in flipped_text("POST")]
    for name in ("X-Id", "X-Time"):
        if f"header:{name.lower()}" in covered or scheme.timestamp_header == name:
            given = request.headers[name.lower()][0]
            altered += [
                replace(request, headers={**request.headers, name.lower(): (text,)})
                for text in flipped_text(given)
            ]
    for one in altered:
        assert isinstance(verify((scheme,), one, NOW), Refused)
    other = replace(scheme, secret=secret(KEYS[scheme.key].replace("1", "2").replace("é", "e")))
    if other.secret.first != scheme.secret.first:
        assert isinstance(verify((other,), request, NOW), Refused)


@pytest.mark.parametrize("later_ms", [301_000, -301_000])
@pytest.mark.parametrize("scheme", [SIGNING[2], SIGNING[3]])
def test_a_sample_goes_stale(scheme: Scheme, later_ms: int) -> None:
    request = request_of(signed_by(scheme, b"{}"), b"{}")
    assert isinstance(verify((scheme,), request, NOW + later_ms), Refused)


def test_the_first_scheme_that_can_be_produced_is_used() -> None:
    published = PublicKeyScheme("ed25519", (pair("ed25519")[1],), "X-GHL-Signature")
    empty = BearerScheme(secret())
    made = sign(
        (published, empty, PathScheme(S)),
        method="POST",
        url=ADDRESS,
        body=b"",
        now_ms=NOW,
        headers={"Content-Type": "application/json"},
    )
    assert made.scheme == "path"
    assert made.headers == {"Content-Type": "application/json"}
    assert made.url == ADDRESS.replace("/crm?", "/crm/s3cret~value?")


@pytest.mark.parametrize(
    ("schemes", "why"),
    [
        ((), "no scheme"),
        ((BearerScheme(secret("")),), "CRM_SECRET has no value"),
        ((HmacScheme(secret("x"), "X-S", key="hex"),), "hexadecimal"),
        ((HmacScheme(S, "X-S", signed=("header:x-id", "body")),), "X-Id".lower()),
        ((QueryScheme("src", S),), "already has"),
        ((AllOfScheme(()),), "lists no scheme"),
    ],
)
def test_what_cannot_be_signed_says_why(schemes: tuple[Scheme, ...], why: str) -> None:
    with pytest.raises(VerifyError, match=why):
        sign(schemes, method="POST", url=ADDRESS, body=b"", now_ms=NOW, headers={})


def test_nothing_secret_shows_in_a_repr() -> None:
    signed = signed_by(PLAIN[-1], b"{}")
    assert "s3cret" in signed.url + str(signed.headers)
    assert "s3cret" not in repr(signed)
