"""Secrets are kept from store and mappings; signatures stay for a second verification."""

from __future__ import annotations

from bridge.model import (
    AllOfScheme,
    BasicScheme,
    HeaderScheme,
    HmacScheme,
    HubSpotScheme,
    PublicKeyScheme,
    QueryScheme,
    Refused,
    Scheme,
    StandardWebhooksScheme,
    Verified,
)
from bridge.receive.sign import sign
from bridge.receive.verify import (
    Credentials,
    credential_names,
    plain_credentials,
    signature_headers,
)
from bridge.receive.verify.any_of import verify

from .webhooks import NOW, URL, make_request, secret

S = secret("s3cret")
ALWAYS = {"authorization", "cookie", "proxy-authorization"}
MANY: tuple[Scheme, ...] = (
    HubSpotScheme("v3", S),
    PublicKeyScheme("ed25519", (), "X-GHL-Signature"),
    PublicKeyScheme("rsa_sha256", (), "X-WH-Signature", yields_to="X-GHL-Signature"),
    AllOfScheme(
        (
            HeaderScheme("X-Token", S),
            QueryScheme("Code", S),
            AllOfScheme((StandardWebhooksScheme(S, "svix"), HmacScheme(S, "X-Sig"))),
        )
    ),
)


def test_secrets_and_signatures_are_told_apart() -> None:
    assert plain_credentials(MANY) == Credentials(
        frozenset({*ALWAYS, "x-token"}), frozenset({"Code"})
    )
    signatures = {
        "x-hubspot-signature",
        "x-hubspot-signature-v3",
        "x-ghl-signature",
        "x-wh-signature",
        "svix-signature",
        "x-sig",
    }
    assert signature_headers(MANY) == signatures
    headers, parameters = credential_names(MANY)
    assert headers == {*ALWAYS, "x-token", *signatures}
    assert parameters == {"Code"}


def test_without_schemes_the_usual_credentials_are_withheld() -> None:
    assert credential_names(()) == (frozenset(ALWAYS), frozenset())


def test_a_signature_in_authorization_is_kept_unless_a_secret_travels_there_too() -> None:
    signing = HmacScheme(S, "Authorization", prefix="HMAC ")
    assert "authorization" not in plain_credentials((signing,)).headers
    assert "authorization" in credential_names((signing,))[0]
    assert "authorization" in plain_credentials((signing, BasicScheme("u", S))).headers


def test_a_refused_request_without_its_plain_credentials_verifies_again() -> None:
    right = HubSpotScheme("v3", secret("the-right-one"))
    signed = sign(
        (right,), method="POST", url=URL, body=b"[]", now_ms=NOW, headers={"Cookie": "a=b"}
    )
    wrong = HubSpotScheme("v3", secret("mistyped"))
    assert isinstance(
        verify((wrong,), make_request(headers=signed.headers, body=b"[]"), NOW), Refused
    )
    dropped = plain_credentials((wrong,)).headers
    kept = {name: value for name, value in signed.headers.items() if name.lower() not in dropped}
    assert "Cookie" not in kept
    assert isinstance(verify((right,), make_request(headers=kept, body=b"[]"), NOW), Verified)
