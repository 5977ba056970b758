"""The clock that all processes share, which is the database's: each finds out how far it is off.

Event times are judged by when they came in, and opt-ins never count as newer than that. A machine
whose clock is wrong must not have an opt-out look older, or an opt-in newer, than it is.
"""

from __future__ import annotations

import time

from bridge import logs
from bridge.errors import StoreError
from bridge.store.database import Connection, Database

log = logs.get("store")

WRONG_CLOCK_MS = 5_000

COMPARE_EVERY_S = 30.0


class SharedClock:
    """Keeps ``Database.now_ms`` right, and says once when this machine's clock is wrong."""

    def __init__(self, database: Database, *, every_s: float = COMPARE_EVERY_S) -> None:
        self._database = database
        self._every_s = every_s
        self._next = 0.0
        self.ahead_ms = 0

    def keep(self) -> None:
        """Compare if that is due and the database can be reached; else it is done the next time."""
        if self._database.is_sqlite or time.monotonic() < self._next:
            return
        try:
            self._database.ask(self.compare)
        except StoreError as error:
            log.warning("clock not compared with the database's yet", error=str(error))

    def compare(self, connection: Connection) -> None:
        """Compare, unless that was done less than ``every_s`` ago."""
        if time.monotonic() < self._next:
            return
        told = self.wrong
        self.ahead_ms = self._database.measure_clock(connection)
        self._next = time.monotonic() + self._every_s
        if self.wrong and not told:
            log.warning("this machine's clock differs from the database's", ahead_ms=-self.ahead_ms)

    @property
    def wrong(self) -> bool:
        """Whether this machine's clock was off when it was last compared.

        ``ahead_ms``: how far the database's clock is ahead of it.
        """
        return abs(self.ahead_ms) >= WRONG_CLOCK_MS
