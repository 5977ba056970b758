"""A signature that a published key verifies, such as HighLevel's over the raw body.

Source: https://marketplace.gohighlevel.com/docs/webhook/WebhookIntegrationGuide
"""

from __future__ import annotations

import base64
import binascii
import re

from bridge.errors import VerifyError
from bridge.model import PublicKeyScheme, Request, Verified
from bridge.receive.verify.asymmetric import Algorithm, signature_holds
from bridge.receive.verify.evidence import as_sent, required_header, required_url
from bridge.receive.verify.freshness import require_fresh
from bridge.receive.verify.signed_text import URL, Material, signed_texts

_HEX = re.compile(r"(?:[0-9A-Fa-f]{2})+", re.ASCII)


def prove_public_key(scheme: PublicKeyScheme, request: Request, now_ms: int) -> Verified:
    """Check the signature in the scheme's header against each of its keys, and its time's age.

    Errors: ``VerifyError`` with the reason.
    """
    if scheme.yields_to is not None and _carries(request, scheme.yields_to, scheme.absent):
        raise VerifyError(f"the request carries {scheme.yields_to} and is judged by that alone")
    given = required_header(request, scheme.header, scheme.absent)
    if not given.startswith(scheme.prefix):
        raise VerifyError(f"the header {scheme.header} has no prefix {scheme.prefix}")
    signature = _signature(scheme, given.removeprefix(scheme.prefix))
    messages = _messages(scheme, request, now_ms)
    if not any(
        matches_a_key(scheme.algorithm, scheme.keys, signature, message) for message in messages
    ):
        raise VerifyError(
            f"the signature in {scheme.header} does not match: check that the key is current"
        )
    return Verified(scheme.algorithm)


def _messages(scheme: PublicKeyScheme, request: Request, now_ms: int) -> list[bytes]:
    timestamp = None
    if scheme.timestamp_header is not None:
        timestamp = required_header(request, scheme.timestamp_header)
        if scheme.tolerance_s is not None:
            require_fresh(timestamp, scheme.timestamp_format, scheme.tolerance_s, now_ms)
    material = Material(
        method=request.method,
        url=required_url(request) if URL in scheme.signed else "",
        body=request.body,
        timestamp=timestamp,
        header=lambda name: required_header(request, name),
    )
    return signed_texts(scheme.signed, material)


def _signature(scheme: PublicKeyScheme, text: str) -> bytes:
    where = f"the header {scheme.header}"
    if scheme.encoding == "base64":
        return base64_signature(text, where)
    if not _HEX.fullmatch(text):
        raise VerifyError(f"{where} is not a signature in hexadecimal digits")
    return bytes.fromhex(text)


def matches_a_key(
    algorithm: Algorithm, keys: tuple[str, ...], signature: bytes, message: bytes
) -> bool:
    """Whether one of the keys verifies the signature. A key that cannot be read is passed over.

    Errors: ``VerifyError`` if none of the keys can be read.
    """
    problem = "no key is configured"
    readable = False
    for number, key in enumerate(keys, 1):
        try:
            good = signature_holds(algorithm, key, signature, message)
        except ValueError as error:
            problem = f"key {number} {error}"
            continue
        readable = True
        if good:
            return True
    if not readable:
        raise VerifyError(problem)
    return False


def base64_signature(text: str, where: str) -> bytes:
    """The bytes of a signature in base64, in its one canonical spelling.

    Errors: ``VerifyError`` for any other text.
    """
    given = as_sent(text)
    try:
        signature = base64.b64decode(given, validate=True)
    except (ValueError, binascii.Error):
        signature = b""
    if not signature or base64.b64encode(signature) != given:
        raise VerifyError(f"{where} is not a signature in base64")
    return signature


def _carries(request: Request, name: str, absent: tuple[str, ...]) -> bool:
    return any(value not in absent for value in request.headers.get(name.lower(), ()))
