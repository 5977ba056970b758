"""Secrets as the keys they stand for: text, hexadecimal digits or base64."""

from __future__ import annotations

import base64
import binascii
import re
from typing import Literal, TypeAlias

from bridge.errors import VerifyError
from bridge.model import Secret

KeyForm: TypeAlias = Literal["text", "hex", "base64", "whsec"]

WHSEC = "whsec_"
WHPK = "whpk_"

_HEX = re.compile(r"(?:[0-9A-Fa-f]{2})+", re.ASCII)


def key_of(value: str, form: KeyForm) -> bytes:
    """The key that one value of a secret stands for.

    Errors: ``ValueError`` that says what is wrong, without the value.
    """
    if not value:
        raise ValueError("is empty")
    if form == "text":
        return value.encode("utf-8", "surrogatepass")
    if form == "hex":
        if not _HEX.fullmatch(value):
            raise ValueError("is not made of pairs of hexadecimal digits")
        return bytes.fromhex(value)
    if form == "whsec" and not value.startswith(WHSEC):
        raise ValueError(f"does not begin with {WHSEC}")
    key = from_base64(value.removeprefix(WHSEC) if form == "whsec" else value)
    if not key:
        raise ValueError("is empty")
    return key


def from_base64(text: str) -> bytes:
    """Standard base64, with or without the padding.

    Errors: ``ValueError`` for anything else.
    """
    bare = text.rstrip("=")
    try:
        return base64.b64decode(bare + "=" * (-len(bare) % 4), validate=True)
    except (ValueError, binascii.Error):
        raise ValueError("is not base64") from None


def live_keys(secret: Secret, form: KeyForm = "text") -> tuple[bytes, ...]:
    """Every value of the secret that is live now, as a key.

    A value that cannot be used does not keep the other one, during a rotation, from serving.

    Errors: ``VerifyError`` if none can be used.
    """
    keys: list[bytes] = []
    problem = "has no value"
    for value in secret.values:
        try:
            keys.append(key_of(value, form))
        except ValueError as error:
            problem = str(error)
    if not keys:
        raise VerifyError(f"the secret {secret.name} {problem}")
    return tuple(keys)
