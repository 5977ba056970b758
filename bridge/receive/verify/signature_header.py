"""The five ways in which senders write an HMAC into a header or a query parameter."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass, field

from bridge.errors import VerifyError
from bridge.header_pattern import SIGNATURE, names_of, read_pattern, write_pattern
from bridge.model import HmacScheme
from bridge.receive.verify.evidence import as_sent

MOST_SIGNATURES = 32
"""Rotation needs two or three; more are refused instead of compared."""

FILLER = "crm-bridge"
"""What the bridge writes, when it signs itself, where a sender has some id of its own."""

SEPARATORS = {"parts": ",", "items": " "}
"""What stands between the pieces unless the scheme says otherwise."""


@dataclass(frozen=True, slots=True)
class Offered:
    """What was offered: signatures in the scheme's encoding, perhaps a time and further names."""

    signatures: tuple[bytes, ...]
    timestamp: str | None = None
    groups: Mapping[str, str] = field(default_factory=dict)


def read_offered(scheme: HmacScheme, value: str) -> Offered:
    """Take a header's value apart by the scheme's style.

    Errors: ``VerifyError`` if it holds no signature of that style, or two different times.
    """
    timestamp = None
    groups: dict[str, str] = {}
    between = scheme.separator or SEPARATORS.get(scheme.style, "")
    if scheme.style == "parts":
        pairs = [(key.strip(), text.strip()) for key, _, text in _cut(value, between, "=")]
        found = [as_sent(text) for key, text in pairs if key == scheme.part]
        times = {text for key, text in pairs if key == scheme.timestamp_part}
        if len(times) > 1:
            raise VerifyError(f"{scheme.place} holds two different timestamps")
        timestamp = times.pop() if times else None
    elif scheme.style == "items":
        found = [as_sent(text) for key, _, text in _cut(value, between, ",") if key == scheme.part]
    elif scheme.style == "wrapped":
        found = [_unwrapped(scheme, value)]
    elif scheme.style == "pattern":
        groups = read_pattern(scheme.pattern or "", value.strip()) or {}
        found = [as_sent(groups[SIGNATURE])] if groups else []
        timestamp = groups.get(scheme.timestamp_part or "")
    else:
        found = [as_sent(value)]
    prefix = as_sent(scheme.prefix)
    signatures = [text[len(prefix) :] for text in found if text.startswith(prefix)]
    if not any(signatures):
        raise VerifyError(f"{scheme.place} holds no signature {_wanted(scheme)}")
    if len(signatures) > MOST_SIGNATURES:
        raise VerifyError(f"{scheme.place} holds too many signatures")
    if scheme.encoding == "hex":
        signatures = [text.lower() for text in signatures]
    if scheme.encoding == "base64url":
        signatures = [text.rstrip(b"=") for text in signatures]
    return Offered(tuple(signatures), timestamp, groups)


def write_offered(scheme: HmacScheme, digest: bytes, timestamp: str | None) -> str:
    """The header's value for one signature, as a sender of that style writes it."""
    text = as_sent(scheme.prefix) + encoded(scheme, digest)
    if scheme.style == "wrapped":
        return base64.b64encode(FILLER.encode() + b":" + text).decode()
    shown = text.decode("latin-1")
    if scheme.style == "items":
        return f"{scheme.part},{shown}"
    if scheme.style == "parts":
        between = scheme.separator or SEPARATORS["parts"]
        time = f"{scheme.timestamp_part}={timestamp}{between}" if scheme.timestamp_part else ""
        return f"{time}{scheme.part}={shown}"
    if scheme.style == "pattern":
        values = {SIGNATURE: shown, scheme.timestamp_part or "": timestamp or ""}
        return write_pattern(scheme.pattern or "", values, FILLER)
    return shown


def groups_written(scheme: HmacScheme) -> dict[str, str]:
    """The further names of the scheme's pattern, with what the bridge writes for them."""
    return dict.fromkeys(names_of(scheme.pattern or ""), FILLER)


def encoded(scheme: HmacScheme, digest: bytes) -> bytes:
    """A digest in the scheme's encoding; hexadecimal digits in lower case."""
    if scheme.encoding == "hex":
        return digest.hex().encode()
    if scheme.encoding == "base64":
        return base64.b64encode(digest)
    if scheme.encoding == "base64url":
        return base64.urlsafe_b64encode(digest).rstrip(b"=")
    return digest


def _cut(value: str, between: str, inside: str) -> list[tuple[str, str, str]]:
    return [item.partition(inside) for item in value.split(between)]


def _unwrapped(scheme: HmacScheme, value: str) -> bytes:
    try:
        inner = base64.b64decode(as_sent(value), validate=True)
    except (ValueError, binascii.Error):
        raise VerifyError(f"{scheme.place} is not base64") from None
    # Non-canonical spellings of the same bytes are refused: one signature, one spelling.
    if base64.b64encode(inner) != as_sent(value):
        raise VerifyError(f"{scheme.place} is not base64")
    return inner.partition(b":")[2]


def _wanted(scheme: HmacScheme) -> str:
    if scheme.style == "parts":
        return f"in a part {scheme.part}="
    if scheme.style == "items":
        return f"in an item {scheme.part},"
    if scheme.style == "wrapped":
        return "after an id and a colon"
    if scheme.style == "pattern":
        return f"of the form {scheme.pattern}"
    return f"after the prefix {scheme.prefix}"
