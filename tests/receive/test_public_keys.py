"""Public-key signatures, as HighLevel uses them: key pairs made here, real keys parsed."""

from __future__ import annotations

import base64
from dataclasses import replace
from functools import cache

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from bridge.errors import VerifyError
from bridge.model import PublicKeyScheme, Refused, Verified
from bridge.receive.sign import sign
from bridge.receive.verify.any_of import verify
from bridge.receive.verify.asymmetric import Algorithm
from bridge.receive.verify.sanity import check_scheme

from .webhooks import NOW, URL, flipped, flipped_text, make_request, other_spelling

BODY = b'{"type":"ContactDndUpdate","id":"c1","dnd":true}'
PUBLISHED_ED25519 = """-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEAi2HR1srL4o18O8BRa7gVJY7G7bupbN3H9AwJrHCDiOg=
-----END PUBLIC KEY-----
"""
PUBLISHED_ED25519_HEX = "8b61d1d6cacbe28d7c3bc0516bb815258ec6edbba96cddc7f40c09ac708388e8"
PUBLISHED_RSA = """-----BEGIN PUBLIC KEY-----
MIICIjANBgkqhkiG9w0BAQEFAAOCAg8AMIICCgKCAgEAokvo/r9tVgcfZ5DysOSC
Frm602qYV0MaAiNnX9O8KxMbiyRKWeL9JpCpVpt4XHIcBOK4u3cLSqJGOLaPuXw6
dO0t6Q/ZVdAV5Phz+ZtzPL16iCGeK9po6D6JHBpbi989mmzMryUnQJezlYJ3DVfB
csedpinheNnyYeFXolrJvcsjDtfAeRx5ByHQmTnSdFUzuAnC9/GepgLT9SM4nCpv
uxmZMxrJt5Rw+VUaQ9B8JSvbMPpez4peKaJPZHBbU3OdeCVx5klVXXZQGNHOs8gF
3kvoV5rTnXV0IknLBXlcKKAQLZcY/Q9rG6Ifi9c+5vqlvHPCUJFT5XUGG5RKgOKU
J062fRtN+rLYZUV+BjafxQauvC8wSWeYja63VSUruvmNj8xkx2zE/Juc+yjLjTXp
IocmaiFeAO6fUtNjDeFVkhf5LNb59vECyrHD2SQIrhgXpO4Q3dVNA5rw576PwTzN
h/AMfHKIjE4xQA1SZuYJmNnmVZLIZBlQAF9Ntd03rfadZ+yDiOXCCs9FkHibELhC
HULgCsnuDJHcrGNd5/Ddm5hxGQ0ASitgHeMZ0kcIOwKDOzOU53lDza6/Y09T7sYJ
PQe7z0cvj7aE4B+Ax1ZoZGPzpJlZtGXCsu9aTEGEnKzmsFqwcSsnw3JB31IGKAyk
T1hhTiaCeIY/OwwwNUY2yvcCAwEAAQ==
-----END PUBLIC KEY-----
"""


@cache
def pair(algorithm: Algorithm, number: int = 0) -> tuple[bytes, str]:
    """A private key in PEM form and its public half; ``number`` tells several apart."""
    key: Ed25519PrivateKey | RSAPrivateKey
    if algorithm == "ed25519":
        key = Ed25519PrivateKey.from_private_bytes(bytes([number + 1]) * 32)
    else:
        key = generate_private_key(public_exponent=65537, key_size=2048)
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return private, public.decode()


def ghl(algorithm: Algorithm, *keys: str) -> PublicKeyScheme:
    if algorithm == "ed25519":
        return PublicKeyScheme("ed25519", keys, "X-GHL-Signature")
    return PublicKeyScheme("rsa_sha256", keys, "X-WH-Signature", yields_to="X-GHL-Signature")


def signature_by(scheme: PublicKeyScheme, private: bytes, body: bytes = BODY) -> str:
    signed = sign(
        (scheme,), method="POST", url=URL, body=body, now_ms=NOW, headers={}, private_key=private
    )
    return signed.headers[scheme.header]


@pytest.mark.parametrize("algorithm", ["ed25519", "rsa_sha256"])
def test_a_signature_by_the_key_passes_and_nothing_else_does(algorithm: Algorithm) -> None:
    private, public = pair(algorithm)
    scheme = ghl(algorithm, public)
    text = signature_by(scheme, private)
    request = make_request(headers={scheme.header: text}, body=BODY)
    assert verify((scheme,), request, NOW) == Verified(algorithm)
    for body in (*flipped(BODY), b"", BODY + b" "):
        assert isinstance(verify((scheme,), replace(request, body=body), NOW), Refused)
    for changed in flipped_text(text):
        altered = make_request(headers={scheme.header: changed}, body=BODY)
        assert isinstance(verify((scheme,), altered, NOW), Refused), changed
    spelled = make_request(headers={scheme.header: other_spelling(text)}, body=BODY)
    assert spelled != request
    assert isinstance(verify((scheme,), spelled, NOW), Refused)
    stranger = ghl(algorithm, pair(algorithm, 1)[1])
    assert isinstance(verify((stranger,), request, NOW), Refused)


@pytest.mark.parametrize("algorithm", ["ed25519", "rsa_sha256"])
def test_during_a_rotation_each_key_is_enough(algorithm: Algorithm) -> None:
    old, new = pair(algorithm), pair(algorithm, 1)
    scheme = ghl(algorithm, old[1], new[1])
    for private, _ in (old, new):
        request = make_request(headers={scheme.header: signature_by(scheme, private)}, body=BODY)
        assert isinstance(verify((scheme,), request, NOW), Verified)


def test_the_library_made_signature_passes_too() -> None:
    key = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
    raw = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    text = base64.b64encode(key.sign(BODY)).decode()
    request = make_request(headers={"X-GHL-Signature": text}, body=BODY)
    for spelled in (raw.hex(), raw.hex().upper(), base64.b64encode(raw).decode()):
        assert isinstance(verify((ghl("ed25519", spelled),), request, NOW), Verified)


@pytest.mark.parametrize("value", ["N/A", "", " ", "AAAA", "not base64!", "é" * 88, "=" * 88])
@pytest.mark.parametrize("algorithm", ["ed25519", "rsa_sha256"])
def test_placeholders_and_garbage_refuse(algorithm: Algorithm, value: str) -> None:
    scheme = ghl(algorithm, pair(algorithm)[1])
    request = make_request(headers={scheme.header: value}, body=BODY)
    assert isinstance(verify((scheme,), request, NOW), Refused)
    assert isinstance(verify((scheme,), make_request(body=BODY), NOW), Refused)


def test_the_legacy_signature_steps_back_for_the_current_one() -> None:
    private, public = pair("rsa_sha256")
    scheme = ghl("rsa_sha256", public)
    legacy = ("X-WH-Signature", signature_by(scheme, private))
    alone = make_request(headers=[legacy], body=BODY)
    placeholder = make_request(headers=[legacy, ("X-GHL-Signature", "N/A")], body=BODY)
    both = make_request(headers=[legacy, ("X-GHL-Signature", "AAAA")], body=BODY)
    assert isinstance(verify((scheme,), alone, NOW), Verified)
    assert isinstance(verify((scheme,), placeholder, NOW), Verified)
    verdict = verify((ghl("ed25519", PUBLISHED_ED25519), scheme), both, NOW)
    assert isinstance(verdict, Refused)
    assert "judged by that alone" in verdict.reason


def test_the_published_keys_are_read() -> None:
    for spelled in (
        PUBLISHED_ED25519,
        PUBLISHED_ED25519.replace("\n", "\\n"),
        PUBLISHED_ED25519_HEX,
    ):
        assert check_scheme(ghl("ed25519", spelled)) is None
    assert check_scheme(ghl("rsa_sha256", PUBLISHED_RSA)) is None


@pytest.mark.parametrize(
    ("algorithm", "key", "why"),
    [
        ("ed25519", "", "neither PEM nor"),
        ("ed25519", "abcd", "neither PEM nor"),
        ("ed25519", "é" * 40, "neither PEM nor"),
        ("ed25519", PUBLISHED_RSA, "not a key for ed25519"),
        ("ed25519", PUBLISHED_ED25519.replace("MCow", "MCox"), "PEM"),
        ("rsa_sha256", PUBLISHED_ED25519, "not a key for rsa_sha256"),
        ("rsa_sha256", "abcd", "PEM"),
        ("rsa_sha256", PUBLISHED_RSA[:200], "PEM"),
    ],
)
def test_a_malformed_key_is_told_at_start_and_refuses(
    algorithm: Algorithm, key: str, why: str
) -> None:
    scheme = ghl(algorithm, key)
    problem = check_scheme(scheme)
    assert problem is not None
    assert why in problem
    request = make_request(headers={scheme.header: "AAAA"}, body=BODY)
    assert isinstance(verify((scheme,), request, NOW), Refused)


def test_a_short_rsa_key_is_refused() -> None:
    key = generate_private_key(public_exponent=65537, key_size=1024)  # noqa: S505 - too short on purpose
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    problem = check_scheme(ghl("rsa_sha256", public.decode()))
    assert problem is not None
    assert "1024 bits" in problem


def test_one_bad_key_does_not_keep_the_good_one_from_serving() -> None:
    private, public = pair("ed25519")
    scheme = ghl("ed25519", "bad", public)
    request = make_request(headers={scheme.header: signature_by(scheme, private)}, body=BODY)
    assert isinstance(verify((scheme,), request, NOW), Verified)
    assert check_scheme(scheme) is not None


def test_signing_needs_the_right_private_key() -> None:
    scheme = ghl("ed25519", pair("ed25519")[1])
    with pytest.raises(VerifyError, match="private key"):
        sign((scheme,), method="POST", url=URL, body=BODY, now_ms=NOW, headers={})
    for wrong in (b"", b"no key", pair("rsa_sha256")[0]):
        with pytest.raises(VerifyError, match="private key"):
            signature_by(scheme, wrong)
