"""Opt-outs among deliveries that wait to be taken in: they are found and go ahead.

Where more deliveries wait than a few turns take in, those behind are looked at once, which costs
a small part of taking them in. What is found is a hint: whatever goes ahead is then taken in like
any other, and event time decides, not the order. A delivery that another process commits late,
under a number that was passed already, keeps its place in the queue.
"""

from __future__ import annotations

from operator import itemgetter
from typing import NamedTuple

from bridge import logs
from bridge.errors import DecodeError
from bridge.map import MappingSet, SourceMapping
from bridge.model import Delivery
from bridge.receive.decode import decode
from bridge.store import deliveries
from bridge.store.body_room import fitting
from bridge.store.database import Connection
from bridge.store.deliveries import Span
from bridge.store.schema import NEVER

log = logs.get("take in")

SOON = 3
"""What so many turns will take in anyway is not looked at: a turn takes a fraction of a second."""

MOST_AHEAD = 6_000
"""Deliveries that are looked at in one go: more than come in while a worker stands back for a flood
of them."""

MOST_BYTES = 8_000_000
"""Bodies that are looked at in one go, of those that came and of those that were there before."""

FRESH = 75
"""How many of what is looked at in one go, in percent, may be what came new: however fast that is,
what was there before has its turn."""


class Turn(NamedTuple):
    """How many deliveries are fetched, with how many bytes of bodies at most, and how deep a body
    may be nested. ``resting``: nothing else is taken in for now, so nothing comes soon."""

    most: int
    most_bytes: int
    depth: int
    resting: bool = False


class Scout:
    """What one worker has found among the deliveries that wait.

    It begins at the end of a backlog and goes on in both directions: what comes new is looked at
    at once, what was there before by and by, the newest first. ``most``: how many deliveries it
    looks at in one go.
    """

    def __init__(self, most: int = MOST_AHEAD) -> None:
        self._most = most
        self._soon: int | None = None
        self._by: object = None
        self._newest: int | None = None
        self._oldest = 0
        self._found: list[int] = []

    def ahead(
        self, connection: Connection, current: MappingSet, sources: frozenset[str], turn: Turn
    ) -> list[Delivery]:
        """Deliveries that may hold an opt-out and that nobody has worked on, the oldest first.

        What waits is looked at by the mappings in force, a part of it at each turn. On PostgreSQL
        they stay locked to this transaction.
        """
        by = (current.version, sources)
        if by != self._by:
            # also where there is nothing to look at: what was found may be of a source that is gone
            self._by, self._newest, self._found = by, None, []
        soon = 0 if turn.resting else self._soon
        if soon is not None and len(self._found) < self._most:
            self._look(connection, current, sources, turn.depth, soon)
        free: list[tuple[int, int]] = []
        behind = 0
        while behind < len(self._found) and len(free) < turn.most:
            some = self._found[behind : behind + turn.most]
            free += deliveries.still_stored(connection, some)
            behind += len(some)
        # forgotten is only what was seen to be done, or in another worker's hands
        self._found = [number for number, _ in free] + self._found[behind:]
        return _fitting(connection, free[: turn.most], turn.most_bytes)

    def told(self, last: int | None, count: int) -> None:
        """The last in line that a turn took, which took so many; None if it left none behind."""
        if last is None:
            self._soon = self._newest = None  # the next backlog has an end of its own
        else:
            self._soon = last + SOON * count

    def _look(
        self,
        connection: Connection,
        current: MappingSet,
        sources: frozenset[str],
        depth: int,
        soon: int,
    ) -> None:
        """``soon``: up to which one deliveries come soon anyway."""
        if self._newest is None:
            self._newest = deliveries.newest(connection)
            self._oldest = self._newest + 1
        came = Span(max(self._newest, soon), NEVER)
        most = max(1, self._most * FRESH // 100)
        fresh, looked_at = deliveries.waiting(connection, sources, came, most, MOST_BYTES)
        newest, oldest = max([self._newest, *looked_at]), self._oldest
        if looked_at and soon > self._newest:
            # what lies between comes soon, unless the next turns take in less than this one
            oldest = soon + 1
        old: list[int] = []
        most = self._most - len(looked_at)
        if most and soon + 1 < oldest:
            left = Span(soon, oldest, newest_first=True)
            old, looked_at = deliveries.waiting(connection, sources, left, most, MOST_BYTES)
            oldest = min(looked_at, default=soon + 1)
        urgent = _urgent_of(connection, [*old, *fresh], current, depth)
        self._found = sorted({*self._found, *urgent})
        # not before: what the database did not give is looked at again
        self._newest, self._oldest = newest, oldest


def _fitting(
    connection: Connection, free: list[tuple[int, int]], most_bytes: int
) -> list[Delivery]:
    """As many of these deliveries (id, bytes) as may be held in memory, but at least one."""
    ids = [number for number, _ in fitting(free, itemgetter(1), most_bytes)]
    found = deliveries.by_ids(connection, ids) if ids else {}
    return [found[number] for number in ids]


def _urgent_of(
    connection: Connection, ids: list[int], current: MappingSet, depth: int
) -> list[int]:
    """Those of these deliveries that may hold an opt-out."""
    unknown: set[str] = set()
    speaking = [
        number
        for number, source, body in (deliveries.bodies(connection, ids) if ids else ())
        if source in unknown or not _silent(current.mappings[source], body, unknown)
    ]
    found = deliveries.by_ids(connection, speaking) if speaking else {}
    return [number for number, row in found.items() if _urgent(row, current, depth)]


def _silent(mapping: SourceMapping, body: bytes, unknown: set[str]) -> bool:
    """``unknown``: gets the source where that cannot be told, so that it is logged once a look."""
    try:
        return mapping.silent(body)
    except Exception:
        log.exception("the words of opt-outs are not known", source=mapping.source.name)
        unknown.add(mapping.source.name)
        return False


def _urgent(delivery: Delivery, current: MappingSet, depth: int) -> bool:
    """Whether a delivery may hold an opt-out; one that cannot be read waits for its turn."""
    mapping = current.mappings[delivery.source]
    try:
        document = decode(mapping.source.decode, delivery.body, max_depth=depth)
        return mapping.glance(document, delivery)
    except DecodeError:
        return False
    except Exception:
        log.exception("delivery not looked at ahead", receipt=delivery.receipt)
        return False
