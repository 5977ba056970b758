"""Ed25519, RSA and ECDSA signatures: the one home of ``cryptography``.

Keys come as PEM text; an Ed25519 public key also as its 32 bytes in hexadecimal digits or
base64. Errors of the library become ``ValueError`` that says what is wrong, never with the key.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Literal, TypeAlias

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDSA,
    EllipticCurvePrivateKey,
    EllipticCurvePublicKey,
)
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from bridge.receive.verify.keys import from_base64

Algorithm: TypeAlias = Literal["ed25519", "rsa_sha256", "ecdsa_sha256"]
PublicKey: TypeAlias = Ed25519PublicKey | RSAPublicKey | EllipticCurvePublicKey

LEAST_RSA_BITS = 2048

_ED25519_BYTES = 32
_HEX_KEY = re.compile(r"[0-9A-Fa-f]{64}", re.ASCII)


# Reading an RSA key takes longer than verifying with it, and a source has a handful at most.
@lru_cache(maxsize=64)
def public_key(algorithm: Algorithm, text: str) -> PublicKey:
    """Read a public key.

    Errors: ``ValueError`` if it is malformed, of another kind, or an RSA key that is too short.
    """
    # One-line settings carry PEM text with its line ends written as backslash and n.
    pem = text.replace("\\n", "\n").strip()
    if algorithm == "ed25519" and "-----BEGIN" not in pem:
        return _raw_ed25519(pem)
    try:
        key = load_pem_public_key(pem.encode())
    except (ValueError, UnsupportedAlgorithm):
        raise ValueError("is not a public key in PEM form") from None
    if algorithm == "ed25519" and isinstance(key, Ed25519PublicKey):
        return key
    if algorithm == "ecdsa_sha256" and isinstance(key, EllipticCurvePublicKey):
        return key
    if algorithm == "rsa_sha256" and isinstance(key, RSAPublicKey):
        if key.key_size < LEAST_RSA_BITS:
            raise ValueError(f"has {key.key_size} bits; at least {LEAST_RSA_BITS} are needed")
        return key
    raise ValueError(f"is not a key for {algorithm}")


def _raw_ed25519(text: str) -> Ed25519PublicKey:
    try:
        raw = bytes.fromhex(text) if _HEX_KEY.fullmatch(text) else from_base64(text)
    except ValueError:
        raw = b""
    if len(raw) != _ED25519_BYTES:
        raise ValueError("is neither PEM nor 32 bytes in hexadecimal digits or base64")
    return Ed25519PublicKey.from_public_bytes(raw)


def signature_holds(algorithm: Algorithm, key: str, signature: bytes, message: bytes) -> bool:
    """Whether the signature was made over the message by the owner of the key.

    RSA is PKCS#1 v1.5 with SHA-256. ECDSA is with SHA-256; its two numbers come in DER or side by
    side, each as long as the curve's.

    Errors: ``ValueError`` if the key cannot be read.
    """
    loaded = public_key(algorithm, key)
    try:
        if isinstance(loaded, Ed25519PublicKey):
            loaded.verify(signature, message)
        elif isinstance(loaded, EllipticCurvePublicKey):
            return _ecdsa_holds(loaded, signature, message)
        else:
            loaded.verify(signature, message, PKCS1v15(), SHA256())
    except InvalidSignature:
        return False
    return True


def _ecdsa_holds(key: EllipticCurvePublicKey, signature: bytes, message: bytes) -> bool:
    spellings = [signature]
    half = (key.key_size + 7) // 8
    if len(signature) == 2 * half:
        numbers = (int.from_bytes(signature[:half]), int.from_bytes(signature[half:]))
        spellings.append(encode_dss_signature(*numbers))
    for spelling in spellings:
        try:
            key.verify(spelling, message, ECDSA(SHA256()))
        except InvalidSignature:
            continue
        return True
    return False


def sign_message(algorithm: Algorithm, private_pem: bytes, message: bytes) -> bytes:
    """Sign with a private key in PEM form, without a pass phrase.

    Errors: ``ValueError`` if the key cannot be read or is of another kind.
    """
    try:
        key = load_pem_private_key(private_pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise ValueError("is not a private key in PEM form without a pass phrase") from None
    if algorithm == "ed25519" and isinstance(key, Ed25519PrivateKey):
        return key.sign(message)
    if algorithm == "ecdsa_sha256" and isinstance(key, EllipticCurvePrivateKey):
        return key.sign(message, ECDSA(SHA256()))
    if algorithm == "rsa_sha256" and isinstance(key, RSAPrivateKey):
        return key.sign(message, PKCS1v15(), SHA256())
    raise ValueError(f"is not a key for {algorithm}")


def new_ed25519_pair() -> tuple[bytes, str]:
    """A fresh key pair for samples: the private key as PEM, the public one as 64 hex digits."""
    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return private, key.public_key().public_bytes_raw().hex()
