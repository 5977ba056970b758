"""Public-key signatures of other makes: hexadecimal, over a timestamp, ECDSA in both spellings."""

from __future__ import annotations

import base64
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from bridge.model import PublicKeyScheme, Refused, Verified
from bridge.receive.sign import sign
from bridge.receive.verify.any_of import verify
from bridge.receive.verify.sanity import check_scheme

from .declared import declared
from .test_public_keys import pair
from .webhooks import NOW, URL, flipped, make_request

BODY = b'{"do_not_call":true}'
CURVES = {"P-256": ec.SECP256R1(), "P-521": ec.SECP521R1()}


def pem(key: ec.EllipticCurvePublicKey) -> str:
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def test_a_signature_over_timestamp_and_body_in_hexadecimal_digits() -> None:
    private, public = pair("ed25519")
    source = declared(
        "verify:\n"
        "  - public_key:\n"
        "      algorithm: ed25519\n"
        "      header: X-Signature\n"
        "      encoding: hex\n"
        '      prefix: "v0="\n'
        "      signed: [timestamp, body]\n"
        "      timestamp: {header: X-Timestamp}\n"
        '      keys: ["${SECRET}"]\n',
        public,
    )
    assert [check_scheme(scheme) for scheme in source.verify] == [None]
    made = sign(
        source.verify,
        method="POST",
        url=URL,
        body=BODY,
        now_ms=NOW,
        headers={},
        private_key=private,
    )
    request = make_request(headers=made.headers, body=BODY)
    assert isinstance(verify(source.verify, request, NOW), Verified)
    assert isinstance(verify(source.verify, request, NOW + 301_000), Refused)
    for body in flipped(BODY):
        assert isinstance(verify(source.verify, replace(request, body=body), NOW), Refused)
    other = {**request.headers, "x-timestamp": (str(NOW // 1000 + 1),)}
    assert isinstance(verify(source.verify, replace(request, headers=other), NOW), Refused)
    bare = {**request.headers, "x-signature": (made.headers["X-Signature"][3:],)}
    assert isinstance(verify(source.verify, replace(request, headers=bare), NOW), Refused)


@pytest.mark.parametrize("curve", sorted(CURVES))
def test_ecdsa_in_both_spellings(curve: str) -> None:
    key = ec.generate_private_key(CURVES[curve])
    scheme = PublicKeyScheme("ecdsa_sha256", (pem(key.public_key()),), "X-Sig")
    assert check_scheme(scheme) is None
    der = key.sign(BODY, ec.ECDSA(SHA256()))
    half = (key.curve.key_size + 7) // 8
    plain = b"".join(number.to_bytes(half) for number in decode_dss_signature(der))
    for signature in (der, plain):
        header = {"X-Sig": base64.b64encode(signature).decode()}
        request = make_request(headers=header, body=BODY)
        assert isinstance(verify((scheme,), request, NOW), Verified)
        for body in flipped(BODY):
            assert isinstance(verify((scheme,), replace(request, body=body), NOW), Refused)
    for bad in (b"", plain[:-1], der[:-1], bytes(2 * half), b"\xff" * 2 * half):
        header = {"X-Sig": base64.b64encode(bad).decode()}
        assert isinstance(verify((scheme,), make_request(headers=header, body=BODY), NOW), Refused)


def test_ecdsa_makes_the_round_and_takes_no_other_kind_of_key() -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    scheme = PublicKeyScheme("ecdsa_sha256", (pem(key.public_key()),), "X-Sig")
    made = sign(
        (scheme,), method="POST", url=URL, body=BODY, now_ms=0, headers={}, private_key=private
    )
    request = make_request(headers=made.headers, body=BODY)
    assert isinstance(verify((scheme,), request, 0), Verified)
    wrong = replace(scheme, keys=(pair("ed25519")[1],))
    assert check_scheme(wrong) is not None
    assert isinstance(verify((wrong,), request, 0), Refused)
