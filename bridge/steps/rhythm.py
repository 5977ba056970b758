"""How long each source is silent between two deliveries, noted while it happens.

Counting it afterwards would take a walk through all deliveries. A worker looks at the newest one
of each source now and then; the time between two that it sees one after the other is a silence.
Every worker notes it alike, and of several notes the longest of a day counts.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

from bridge.store import deliveries, silences
from bridge.store.database import Database
from bridge.store.silences import DAY_MS

EVERY_S = 10.0
ASLEEP_S = 60.0
"""Who has not looked for so long has missed deliveries, and takes no silence from what it sees."""

SHORTEST_MS = 60_000
"""Shorter silences are not worth a row; a day of which nothing else is known gets one of 0."""


class Rhythm:
    """What one worker has seen. ``clock``: seconds that only grow."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._next = 0.0
        self._looked = float("-inf")
        self._last: dict[str, int] = {}
        self._noted: dict[str, tuple[int, int]] = {}

    def look(self, database: Database, sources: Iterable[str]) -> None:
        """Note silences that have ended, at most every few seconds. Errors: ``StoreBusy``."""
        now = self._clock()
        if now < self._next:
            return
        self._next = now + EVERY_S
        with database.read() as connection:
            seen = deliveries.last_by_source(connection, sources)
        if now - self._looked > ASLEEP_S:
            self._last = {}
        found = {}
        for source, at in seen.items():
            before = self._last.get(source, at)
            lasted = at - before if at - before >= SHORTEST_MS else 0
            day, longest = self._noted.get(source, (-1, 0))
            if day != at // DAY_MS or lasted > longest:
                found[source] = (at, lasted)
        if found:
            with database.write() as connection:
                for source, (at, lasted) in sorted(found.items()):
                    silences.note(connection, source, at, lasted)
        self._noted |= {source: (at // DAY_MS, lasted) for source, (at, lasted) in found.items()}
        self._last, self._looked = seen, now
