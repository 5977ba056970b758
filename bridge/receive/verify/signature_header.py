"""The four ways in which senders write an HMAC into a header."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass

from bridge.errors import VerifyError
from bridge.model import HmacScheme
from bridge.receive.verify.evidence import as_sent

MOST_SIGNATURES = 32
"""Rotation needs two or three; more are refused instead of compared."""

WRAPPED_ID = "crm-bridge"
"""The id written in front of a wrapped signature when the bridge itself signs."""


@dataclass(frozen=True, slots=True)
class Offered:
    """What a signature header holds: signatures in the scheme's encoding, perhaps a time."""

    signatures: tuple[bytes, ...]
    timestamp: str | None = None


def read_offered(scheme: HmacScheme, value: str) -> Offered:
    """Take a header's value apart by the scheme's style.

    Errors: ``VerifyError`` if it holds no signature of that style, or two different times.
    """
    timestamp = None
    if scheme.style == "parts":
        pairs = [(key.strip(), text.strip()) for key, _, text in _cut(value, ",", "=")]
        found = [as_sent(text) for key, text in pairs if key == scheme.part]
        times = {text for key, text in pairs if key == scheme.timestamp_part}
        if len(times) > 1:
            raise VerifyError(f"the header {scheme.header} holds two different timestamps")
        timestamp = times.pop() if times else None
    elif scheme.style == "items":
        found = [as_sent(text) for key, _, text in _cut(value, " ", ",") if key == scheme.part]
    elif scheme.style == "wrapped":
        found = [_unwrapped(scheme, value)]
    else:
        found = [as_sent(value)]
    prefix = as_sent(scheme.prefix)
    signatures = [text[len(prefix) :] for text in found if text.startswith(prefix)]
    if not any(signatures):
        raise VerifyError(f"the header {scheme.header} holds no signature {_wanted(scheme)}")
    if len(signatures) > MOST_SIGNATURES:
        raise VerifyError(f"the header {scheme.header} holds too many signatures")
    if scheme.encoding == "hex":
        signatures = [text.lower() for text in signatures]
    return Offered(tuple(signatures), timestamp)


def write_offered(scheme: HmacScheme, digest: bytes, timestamp: str | None) -> str:
    """The header's value for one signature, as a sender of that style writes it."""
    text = as_sent(scheme.prefix) + encoded(scheme, digest)
    if scheme.style == "wrapped":
        return base64.b64encode(WRAPPED_ID.encode() + b":" + text).decode()
    shown = text.decode("latin-1")
    if scheme.style == "items":
        return f"{scheme.part},{shown}"
    if scheme.style == "parts":
        time = f"{scheme.timestamp_part}={timestamp}," if scheme.timestamp_part else ""
        return f"{time}{scheme.part}={shown}"
    return shown


def encoded(scheme: HmacScheme, digest: bytes) -> bytes:
    """A digest in the scheme's encoding; hexadecimal digits in lower case."""
    if scheme.encoding == "hex":
        return digest.hex().encode()
    if scheme.encoding == "base64":
        return base64.b64encode(digest)
    return digest


def _cut(value: str, between: str, inside: str) -> list[tuple[str, str, str]]:
    return [item.partition(inside) for item in value.split(between)]


def _unwrapped(scheme: HmacScheme, value: str) -> bytes:
    try:
        inner = base64.b64decode(as_sent(value), validate=True)
    except (ValueError, binascii.Error):
        raise VerifyError(f"the header {scheme.header} is not base64") from None
    # Non-canonical spellings of the same bytes are refused: one signature, one spelling.
    if base64.b64encode(inner) != as_sent(value):
        raise VerifyError(f"the header {scheme.header} is not base64")
    return inner.partition(b":")[2]


def _wanted(scheme: HmacScheme) -> str:
    if scheme.style == "parts":
        return f"in a part {scheme.part}="
    if scheme.style == "items":
        return f"in an item {scheme.part},"
    if scheme.style == "wrapped":
        return "after an id and a colon"
    return f"after the prefix {scheme.prefix}"
