"""JSON text: the one home of the JSON library for values that we made ourselves."""

from __future__ import annotations

from typing import Any

import orjson


def dumps(value: Any) -> str:
    """Compact JSON text. The value holds only JSON types and valid Unicode.

    Names that are numbers or of an enum are written as text.
    """
    try:
        return orjson.dumps(value).decode()
    except TypeError:  # to allow for such names takes three times as long, and hardly any are
        return orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS).decode()


def dump_bytes(value: Any) -> bytes:
    """The same as UTF-8 bytes, ready for the wire."""
    return orjson.dumps(value)


def canonical(value: Any) -> bytes:
    """The same with names sorted: equal values give equal bytes."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


def loads(text: str | bytes) -> Any:
    """The value of a JSON text. Errors: ``ValueError``."""
    return orjson.loads(text)
