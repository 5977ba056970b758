"""Text sealed under a secret, so that a copy of the database alone gives nothing away.

AES-256-GCM with a key derived from the secret by HKDF-SHA256. ``about`` is bound to the text: what
was sealed for one thing does not open as another.
"""

from __future__ import annotations

import os
from base64 import b64decode, b64encode

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from bridge.model import Secret

_NONCE = 12


def sealed(text: str, secret: Secret, about: str) -> str:
    """The text, readable only with the secret's newest value."""
    nonce = os.urandom(_NONCE)
    box = _box(secret.first).encrypt(nonce, text.encode(), about.encode())
    return b64encode(nonce + box).decode("ascii")


def opened(text: str, secret: Secret, about: str) -> str | None:
    """What was sealed with any of the secret's live values; None if with none of them."""
    try:
        raw = b64decode(text, validate=True)
    except ValueError:
        return None
    for value in secret.values:
        try:
            return _box(value).decrypt(raw[:_NONCE], raw[_NONCE:], about.encode()).decode()
        except (InvalidTag, ValueError):
            continue
    return None


def _box(secret: str) -> AESGCM:
    key = HKDF(SHA256(), 32, salt=None, info=b"crm-bridge seal").derive(secret.encode())
    return AESGCM(key)
