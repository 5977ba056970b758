"""Whether a delivery holds more events than one may, told while its sender waits for the answer.

A worker decides what becomes of it; that much can be foreseen by counting, and the answer is the
one place where the sender can hear of it. So only what may hold so many is counted.

A body that was stored unread is looked through for the beginnings of objects alone: CRMs send
events as objects, and a hundred of them have a thousand commas, by which they would be read after
all.
"""

from __future__ import annotations

from collections.abc import Callable

from bridge import logs
from bridge.errors import DecodeError
from bridge.map import MappingSet
from bridge.map.events import too_many
from bridge.model import Json
from bridge.receive.decode import decode
from bridge.store.deliveries import NewDelivery

log = logs.get("receive")

SEPARATORS = (b",", b"&", b"<")
"""One of these stands between two items of a body, whatever its format."""

OPENINGS = (b"{", b"&", b"<")
"""One of these begins an item that is an object, or stands before it."""


def overfull(
    delivery: NewDelivery,
    body: bytes,
    document: Json = None,
    *,
    current: Callable[[], MappingSet],
    most: int,
    depth: int,
) -> str | None:
    """Why all that a delivery holds will end as one dead letter, if it holds too much.

    ``body``: without what is not stored; ``document``: the same decoded, None if that was not done
    yet; ``most``: events; ``depth``: the deepest nesting of a body. Never raises.
    """
    if not may_hold_more(body, most, SEPARATORS if document is not None else OPENINGS):
        return None
    mapping = current().mappings.get(delivery.source)
    if mapping is None:
        return None
    try:
        if document is None:
            document = decode(mapping.source.decode, body, max_depth=depth)
        return too_many(mapping.plan.count(document, delivery), most)
    except DecodeError:
        return None
    except Exception:  # the answer must not fail for a word in it
        log.exception("events not counted", receipt=delivery.receipt)
        return None


def may_hold_more(body: bytes, most: int, marks: tuple[bytes, ...]) -> bool:
    """Whether a body has marks of items enough for more than so many events."""
    if len(body) < most:
        return False
    found = 0
    for mark in marks:
        # to see that there is none takes a twentieth of counting
        found += body.count(mark) if mark in body else 0
        if found >= most:
            return True
    return False
