"""Standard Webhooks, held against the project's own library in both directions."""

from __future__ import annotations

import base64
import time
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook, WebhookVerificationError

from bridge.model import Refused, StandardWebhooksScheme, Verified
from bridge.receive.sign import sign
from bridge.receive.verify.any_of import verify
from bridge.receive.verify.sanity import check_scheme

from .test_public_keys import pair
from .webhooks import NOW, URL, make_request, secret

KEY = "whsec_" + base64.b64encode(bytes(range(32))).decode()
SCHEME = StandardWebhooksScheme(secret(KEY))

identities = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=40)


@given(identity=identities, body=st.text(), age_s=st.integers(-299, 299))
def test_what_the_official_library_signs_passes(identity: str, body: str, age_s: int) -> None:
    moment = datetime.fromtimestamp(NOW // 1000 - age_s, UTC)
    body = body.encode("utf-8", "replace").decode()
    headers = {
        "webhook-id": identity,
        "webhook-timestamp": str(int(moment.timestamp())),
        "webhook-signature": Webhook(KEY).sign(identity, moment, body),
    }
    request = make_request(headers=headers, body=body.encode())
    assert verify((SCHEME,), request, NOW) == Verified("standard_webhooks")


def test_what_the_bridge_signs_passes_the_official_library() -> None:
    # The library reads the clock itself, so this test signs with the present time.
    body = '{"phone":"+12025550143","name":"Zoë"}'.encode()
    now_ms = time.time_ns() // 1_000_000
    signed = sign((SCHEME,), method="POST", url=URL, body=body, now_ms=now_ms, headers={})
    assert Webhook(KEY).verify(body, signed.headers) == {"phone": "+12025550143", "name": "Zoë"}
    with pytest.raises(WebhookVerificationError):
        Webhook(KEY).verify(body + b" ", signed.headers)


def test_a_given_message_id_is_kept() -> None:
    signed = sign(
        (SCHEME,), method="POST", url=URL, body=b"{}", now_ms=NOW, headers={"Webhook-Id": "msg_7"}
    )
    assert {k.lower(): v for k, v in signed.headers.items()}["webhook-id"] == "msg_7"
    assert len(signed.headers) == 3


def test_a_public_key_verifies_v1a_and_ignores_v1() -> None:
    private, _ = pair("ed25519")
    raw = base64.b64encode(_public_bytes()).decode()
    scheme = StandardWebhooksScheme(secret(f"whpk_{raw}"))
    assert check_scheme(scheme) is None
    signed = sign(
        (scheme,), method="POST", url=URL, body=b"{}", now_ms=NOW, headers={}, private_key=private
    )
    request = make_request(headers=signed.headers, body=b"{}")
    assert isinstance(verify((scheme,), request, NOW), Verified)
    relabelled = {
        **signed.headers,
        "webhook-signature": signed.headers["webhook-signature"].replace("v1a,", "v1,"),
    }
    altered = make_request(headers=relabelled, body=b"{}")
    assert isinstance(verify((scheme,), altered, NOW), Refused)


@pytest.mark.parametrize("name", ["webhook-id", "webhook-timestamp", "webhook-signature"])
def test_each_header_is_needed_and_covered(name: str) -> None:
    signed = sign((SCHEME,), method="POST", url=URL, body=b"{}", now_ms=NOW, headers={})
    for value in (None, "", signed.headers[name] + "0"):
        headers = {k: v for k, v in signed.headers.items() if k != name}
        if value is not None:
            headers[name] = value
        assert isinstance(
            verify((SCHEME,), make_request(headers=headers, body=b"{}"), NOW), Refused
        )


def test_both_live_secrets_of_either_kind_are_tried() -> None:
    raw = base64.b64encode(_public_bytes()).decode()
    scheme = StandardWebhooksScheme(secret(f"whpk_{raw}", "whsec_!!!", KEY))
    signed = sign((SCHEME,), method="POST", url=URL, body=b"{}", now_ms=NOW, headers={})
    request = make_request(headers=signed.headers, body=b"{}")
    assert isinstance(verify((scheme,), request, NOW), Verified)


@pytest.mark.parametrize("value", ["", "whsec_", "whsec_%%", "whpk_AAAA", "plain", "whsk_AAAA"])
def test_a_useless_secret_is_told_at_start_and_refuses(value: str) -> None:
    scheme = StandardWebhooksScheme(secret(value))
    problem = check_scheme(scheme)
    assert problem is not None
    assert not value or value not in problem.replace("whsec_ nor whpk_", "")
    signed = sign((SCHEME,), method="POST", url=URL, body=b"{}", now_ms=NOW, headers={})
    assert isinstance(
        verify((scheme,), make_request(headers=signed.headers, body=b"{}"), NOW), Refused
    )


def _public_bytes() -> bytes:
    pem = pair("ed25519")[1]
    # The last 32 bytes of an Ed25519 SubjectPublicKeyInfo are the key itself (RFC 8410).
    return base64.b64decode("".join(pem.splitlines()[1:-1]))[-32:]
