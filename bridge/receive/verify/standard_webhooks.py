"""Standard Webhooks: symmetric ``v1`` (``whsec_``) and Ed25519 ``v1a`` (``whpk_``).

Source: https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md

The header holds items with blanks between them; items of another version are passed over, and
one that matches is enough. Svix uses the same under other header names.
"""

from __future__ import annotations

import base64
import hmac

from bridge.errors import VerifyError
from bridge.model import Request, StandardWebhooksScheme, Verified
from bridge.receive.verify.evidence import any_equal, as_sent, required_header
from bridge.receive.verify.freshness import require_fresh
from bridge.receive.verify.keys import WHPK, key_of
from bridge.receive.verify.public_key import base64_signature, matches_a_key
from bridge.receive.verify.signature_header import MOST_SIGNATURES


def prove_standard_webhooks(
    scheme: StandardWebhooksScheme, request: Request, now_ms: int
) -> Verified:
    """Check the signature against every live value of the secret.

    Errors: ``VerifyError`` with the reason.
    """
    prefix = scheme.header_prefix
    identity = required_header(request, f"{prefix}-id")
    timestamp = required_header(request, f"{prefix}-timestamp")
    given = required_header(request, f"{prefix}-signature")
    require_fresh(timestamp, "unix_s", scheme.tolerance_s, now_ms)
    message = standard_message(identity, timestamp, request.body)
    items = [item.partition(",") for item in given.split(" ")]
    if len(items) > MOST_SIGNATURES:
        raise VerifyError(f"the header {prefix}-signature holds too many signatures")
    problem = f"the secret {scheme.secret.name} has no value"
    for value in scheme.secret.values:
        version = "v1a" if value.startswith(WHPK) else "v1"
        offered = [text for name, _, text in items if name == version]
        try:
            if _matches(value, offered, message):
                return Verified("standard_webhooks")
        except (ValueError, VerifyError) as error:
            problem = f"the secret {scheme.secret.name} cannot be used: it {error}"
            continue
        problem = (
            f"no {version} signature in {prefix}-signature matches: "
            f"check the secret {scheme.secret.name}"
        )
    raise VerifyError(problem)


def standard_message(identity: str, timestamp: str, body: bytes) -> bytes:
    """What is signed: id, full stop, timestamp, full stop, raw body."""
    return as_sent(identity) + b"." + as_sent(timestamp) + b"." + body


def v1_signature(secret: str, message: bytes) -> bytes:
    """The signature of ``v1`` in base64.

    Errors: ``ValueError`` if the secret is not ``whsec_`` and base64.
    """
    return base64.b64encode(hmac.digest(key_of(secret, "whsec"), message, "sha256"))


def _matches(secret: str, offered: list[str], message: bytes) -> bool:
    if not secret.startswith(WHPK):
        return any_equal([as_sent(text) for text in offered], [v1_signature(secret, message)])
    key = secret.removeprefix(WHPK)
    return any(_public_match(key, text, message) for text in offered)


def _public_match(key: str, text: str, message: bytes) -> bool:
    try:
        signature = base64_signature(text, "an item")
    except VerifyError:
        return False
    return matches_a_key("ed25519", (key,), signature, message)
