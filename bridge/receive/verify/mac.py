"""An HMAC by declared parameters: one verifier for every sender that signs with one."""

from __future__ import annotations

import hashlib
import hmac

from bridge.errors import VerifyError
from bridge.model import HmacScheme, Request, Verified
from bridge.receive.verify.evidence import (
    any_equal,
    required_header,
    required_parameter,
    required_url,
)
from bridge.receive.verify.freshness import require_fresh
from bridge.receive.verify.keys import live_keys
from bridge.receive.verify.signature_header import Offered, encoded, read_offered
from bridge.receive.verify.signed_text import URL, Material, signed_texts


def prove_hmac(scheme: HmacScheme, request: Request, now_ms: int) -> Verified:
    """Check the signature, the age of the timestamp and the hash of the body, where declared.

    Errors: ``VerifyError`` with the reason.
    """
    offered = _offered(scheme, request)
    timestamp = _timestamp(scheme, request, offered.timestamp)
    if timestamp is not None and scheme.tolerance_s is not None:
        require_fresh(timestamp, scheme.timestamp_format, scheme.tolerance_s, now_ms)
    if scheme.body_hash is not None:
        _require_body_hash(scheme.body_hash, request)
    material = Material(
        method=request.method,
        url=required_url(request) if URL in scheme.signed else "",
        body=request.body,
        timestamp=timestamp,
        header=lambda name: required_header(request, name),
        groups=offered.groups,
    )
    texts = signed_texts(scheme.signed, material)
    expected = [
        encoded(scheme, hmac.digest(key, text, scheme.algorithm))
        for key in live_keys(scheme.secret, scheme.key)
        for text in texts
    ]
    if not any_equal(offered.signatures, expected):
        raise VerifyError(
            f"the signature in {scheme.place} does not match: check the secret "
            f"{scheme.secret.name}, and the public URL where the signature covers it"
        )
    return Verified("hmac")


def _offered(scheme: HmacScheme, request: Request) -> Offered:
    if scheme.query is None:
        return read_offered(scheme, required_header(request, scheme.header))
    # Of the two readings of a plus sign, one at most is of the scheme's style.
    problem: VerifyError | None = None
    read: list[Offered] = []
    for given in required_parameter(request, scheme.query):
        try:
            read.append(read_offered(scheme, given.decode("latin-1")))
        except VerifyError as error:
            problem = error
    if not read:
        raise problem or VerifyError(f"{scheme.place} holds no signature")
    signatures = tuple(dict.fromkeys(text for one in read for text in one.signatures))
    return Offered(signatures, read[0].timestamp, read[0].groups)


def _timestamp(scheme: HmacScheme, request: Request, part: str | None) -> str | None:
    if scheme.timestamp_part is not None:
        if not part:
            raise VerifyError(f"{scheme.place} has no timestamp in a part {scheme.timestamp_part}")
        return part
    if scheme.timestamp_header is not None:
        return required_header(request, scheme.timestamp_header)
    return None


def _require_body_hash(name: str, request: Request) -> None:
    given = required_parameter(request, name)[0].lower()
    if not any_equal([given], [hashlib.sha256(request.body).hexdigest().encode()]):
        raise VerifyError(f"the query parameter {name} is not the SHA-256 of the body")
