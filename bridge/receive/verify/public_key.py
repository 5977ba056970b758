"""A signature over the raw body that a published key verifies, such as HighLevel's.

Source: https://marketplace.gohighlevel.com/docs/webhook/WebhookIntegrationGuide
"""

from __future__ import annotations

import base64
import binascii

from bridge.errors import VerifyError
from bridge.model import PublicKeyScheme, Request, Verified
from bridge.receive.verify.asymmetric import Algorithm, signature_holds
from bridge.receive.verify.evidence import as_sent, required_header


def prove_public_key(scheme: PublicKeyScheme, request: Request) -> Verified:
    """Check the signature in the scheme's header against each of its keys.

    Errors: ``VerifyError`` with the reason.
    """
    if scheme.yields_to is not None and _carries(request, scheme.yields_to, scheme.absent):
        raise VerifyError(f"the request carries {scheme.yields_to} and is judged by that alone")
    signature = base64_signature(
        required_header(request, scheme.header, scheme.absent), f"the header {scheme.header}"
    )
    if not matches_a_key(scheme.algorithm, scheme.keys, signature, request.body):
        raise VerifyError(
            f"the signature in {scheme.header} does not match: check that the key is current"
        )
    return Verified(scheme.algorithm)


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
