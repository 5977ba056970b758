"""Text as it may be stored and sent: UTF-8 without control characters."""

from __future__ import annotations

import re

from bridge.model import Json

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_SURROGATE = re.compile(r"[\ud800-\udfff]")
_SMALLEST, _LARGEST = -(2**63), 2**63 - 1


def clean(text: str) -> str:
    """The text without control characters (line feed and tab stay), lone surrogates replaced."""
    if text.isprintable():
        return text
    return _SURROGATE.sub("\ufffd", _CONTROL.sub("", text))


def as_text(value: Json) -> str | None:
    """The text form of a text, number or boolean; None for anything else.

    Used wherever values meet words of a mapping file: ``57`` meets ``"57"``, ``true`` ``"true"``.
    """
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value) if value.bit_length() <= 256 else None
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 1e16 else str(value)
    return None


def storable(number: float) -> Json:
    """A number as JSON of 64 bits can carry it; as text where it cannot."""
    if isinstance(number, int) and not _SMALLEST <= number <= _LARGEST:
        return as_text(number)
    return number


def ids_of(value: Json) -> list[str]:
    """The ids in a value that is one id or a list of ids, as text, in order, each once."""
    found: dict[str, None] = {}
    for item in value if isinstance(value, list) else (value,):
        if isinstance(item, bool):
            continue
        text = as_text(item)
        if text is not None and (text := clean(text).strip()):
            found[text] = None
    return list(found)
