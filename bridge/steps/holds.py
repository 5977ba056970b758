"""Events that this worker is looking up now: its hold on them is renewed for as long as it lives.

A hold is short, so that what a killed worker held soon goes to another; a look-up may take long,
since its calls are paced. Who lost a hold may still finish: ``events.take`` tells who was first.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from bridge.store import events
from bridge.store.database import Database


class Holds:
    """The holds of one worker. Shared by its threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._until: dict[tuple[int, ...], int] = {}

    @contextmanager
    def during(self, ids: Sequence[int], until: int) -> Iterator[None]:
        """These events, which were claimed until then (ms), are being looked up in this block."""
        key = tuple(ids)
        with self._lock:
            self._until[key] = until
        try:
            yield
        finally:
            with self._lock:
                del self._until[key]

    def renew(self, database: Database, until: int) -> None:
        """Hold everything until a later time (ms). Errors: ``StoreBusy``."""
        with self._lock:
            held = dict(self._until)
        if not held:
            return
        # a hold may be no longer than a rest
        with database.write(urgent=True) as connection:
            for ids, before in held.items():
                events.hold_longer(connection, ids, before=before, until=until)
        with self._lock:
            self._until |= {ids: until for ids in held if ids in self._until}
