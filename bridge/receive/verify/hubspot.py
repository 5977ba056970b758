"""HubSpot's request signatures, versions 1 to 3.

Source: https://developers.hubspot.com/docs/apps/developer-platform/build-apps/authentication/request-validation

v1 and v2 are plain SHA-256 over text that begins with the client secret; v3 is an HMAC that also
covers a timestamp in milliseconds. Nothing stands between the parts. The URL is the one that was
given to HubSpot, so v2 and v3 pass only where the public address is configured.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re

from bridge.errors import VerifyError
from bridge.model import HubSpotScheme, Request, Verified
from bridge.receive.verify.evidence import any_equal, as_sent, required_header, required_url
from bridge.receive.verify.freshness import require_fresh
from bridge.receive.verify.keys import live_keys

SIGNATURE = "X-HubSpot-Signature"
VERSION = "X-HubSpot-Signature-Version"
SIGNATURE_V3 = "X-HubSpot-Signature-v3"
TIMESTAMP = "X-HubSpot-Request-Timestamp"

# The twelve escapes of the documented table; %20, %26, %3D, %25 and all others stay.
_CODES = "3A|2F|3F|40|21|24|27|28|29|2A|2C|3B"
_ESCAPES = re.compile(f"%({_CODES})")
_ESCAPES_ANY_CASE = re.compile(f"%({_CODES})", re.IGNORECASE | re.ASCII)


def prove_hubspot(scheme: HubSpotScheme, request: Request, now_ms: int) -> Verified:
    """Check the signature of the version that the scheme names.

    Errors: ``VerifyError`` with the reason.
    """
    if scheme.version == "v3":
        _prove_v3(scheme, request, now_ms)
    else:
        _prove_plain(scheme, request)
    return Verified(f"hubspot_{scheme.version}")


def plain_signature(version: str, secret: bytes, method: str, url: str, body: bytes) -> bytes:
    """The signature of v1 (``version`` "v1") or v2: 64 lower-case hexadecimal digits."""
    before = as_sent(method + url) if version == "v2" else b""
    return hashlib.sha256(secret + before + body).hexdigest().encode()


def v3_signature(secret: bytes, method: str, url: str, body: bytes, timestamp: str) -> bytes:
    """The signature of v3 in base64. ``url`` is taken as it is; see ``url_readings``."""
    message = as_sent(method + url) + body + as_sent(timestamp)
    return base64.b64encode(hmac.digest(secret, message, "sha256"))


def url_readings(url: str) -> tuple[str, ...]:
    """The URL as v3 signs it: twelve escapes decoded, once.

    The documentation lists the escapes with upper-case digits and is silent on lower-case ones.
    Where the URL has such, a second reading decodes them too: both spell the same address, so
    accepting either gives nothing away.
    """
    upper = _ESCAPES.sub(_character, url)
    either = _ESCAPES_ANY_CASE.sub(_character, url)
    return (upper,) if upper == either else (upper, either)


def _character(escape: re.Match[str]) -> str:
    return chr(int(escape[1], 16))


_NO_MATCH = "the signature does not match: check the client secret"
_OF_THE_URL = ", and that the public URL is exactly the address given to HubSpot"


def _prove_v3(scheme: HubSpotScheme, request: Request, now_ms: int) -> None:
    given = required_header(request, SIGNATURE_V3)
    timestamp = required_header(request, TIMESTAMP)
    public = required_url(request)
    require_fresh(timestamp, "unix_ms", scheme.tolerance_s, now_ms)
    expected = [
        v3_signature(secret, request.method, url, request.body, timestamp)
        for secret in live_keys(scheme.secret)
        for url in url_readings(public)
    ]
    if not any_equal([as_sent(given)], expected):
        raise VerifyError(_NO_MATCH + _OF_THE_URL)


def _prove_plain(scheme: HubSpotScheme, request: Request) -> None:
    if scheme.yields_to_v3 and request.header(SIGNATURE_V3) is not None:
        raise VerifyError(f"the request carries {SIGNATURE_V3} and is judged by v3 alone")
    given = required_header(request, SIGNATURE)
    if required_header(request, VERSION) != scheme.version:
        raise VerifyError(f"the header {VERSION} is not {scheme.version}")
    url = required_url(request) if scheme.version == "v2" else ""
    expected = [
        plain_signature(scheme.version, secret, request.method, url, request.body)
        for secret in live_keys(scheme.secret)
    ]
    if not any_equal([as_sent(given)], expected):
        raise VerifyError(_NO_MATCH + (_OF_THE_URL if url else ""))
