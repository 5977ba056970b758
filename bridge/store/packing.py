"""Bodies of deliveries as they are stored: large ones packed, since CRMs repeat themselves.

A delivery of a hundred events says the same hundred times but for a few values, and is a tenth of
its size and less when packed. That takes less time than to write the rest, or than PostgreSQL's own
way of packing. ISA-L packs them, in less than half of the time that zlib takes; zlib unpacks them.
"""

from __future__ import annotations

import zlib
from typing import Any

from isal import isal_zlib
from sqlalchemy import ColumnElement, func

from bridge.store.schema import delivery

LEAST_BYTES = 2_000
"""Smaller bodies are stored as they came: they share their page with others anyway."""

LEVEL = 1
"""Of four, 0 to 3: the next one takes longer than what it spares would take to write."""

WORTH = 90
"""A body stays as it came unless it becomes smaller than so many percent of itself."""

MOST_TIMES = 1_032
"""How many times its packed size a body has at most; the format cannot do more."""

DAMAGED = "the stored body is damaged, so that nobody can tell what came"
"""What is said of such a one."""


def packed(body: bytes) -> tuple[bytes, int | None]:
    """A body as it is to be stored, and its size where that is not as it came (bytes)."""
    if len(body) < LEAST_BYTES:
        return body, None
    less = isal_zlib.compress(body, LEVEL)
    return (less, len(body)) if len(less) * 100 < len(body) * WORTH else (body, None)


def whole(stored: bytes, size: int | None) -> bytes | None:
    """The body as it came, None if it is damaged. ``size``: as ``packed`` gave it.

    Never raises, whatever the disk has made of either, and takes no more memory than the size
    tells. Writes nothing to the log: a command may be printing a file of evidence meanwhile.
    """
    if size is None:
        return stored
    if not 0 < size <= MOST_TIMES * len(stored):
        return None
    reading = zlib.decompressobj()
    try:
        body = reading.decompress(stored, size + 1)  # one more, else its end stays unread
    except zlib.error:
        return None
    return body if reading.eof and len(body) == size else None


def unpacked(stored: bytes, size: int | None) -> bytes:
    """The body as it came; what is damaged as it is stored."""
    body = whole(stored, size)
    return stored if body is None else body


def size_of_body() -> ColumnElement[Any]:
    """The bytes of a delivery's body, as it came."""
    return func.coalesce(delivery.c.body_size, func.length(delivery.c.body))
