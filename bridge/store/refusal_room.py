"""Which refused requests are worth a row: each network has a share, and beyond it is counted.

The decision is taken in memory, so that a flood costs no transaction for each of its requests.
Every process keeps its own totals and compares them with the database now and then; how much
there really is, is bounded by ``refusals.add``.
"""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace

from bridge.errors import StoreError
from bridge.store import refusals
from bridge.store.database import Connection, Database
from bridge.store.refusals import Bounds, Held, NewRefusal

LOOK_EVERY_S = 5.0
REPLACE_EVERY_S = 10.0
"""How often a network over its share may put a new row in the place of its oldest."""
EXPIRE_EVERY_S = 3600.0
EXPIRE_AGAIN_S = 5.0
EXPIRE_AT_A_TIME = 500
_DAY_MS = 86_400_000


class Room:
    """The room for refusals, as one process sees it. Safe to use from many threads.

    ``days``: the age at which a refusal is deleted. ``clock``: seconds that only grow.
    """

    def __init__(
        self,
        database: Database,
        bounds: Bounds,
        days: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = database
        self._bounds = bounds
        self._days = days
        self._clock = clock
        self._lock = threading.Lock()
        self._looking = threading.Lock()
        self._looked: float | None = None
        self._held: dict[str, Held] = {}
        self._coming: dict[str, Held] = {}
        self._coming_in_all = Held()
        self._passed_over: dict[str, int] = defaultdict(int)
        self._replaced: dict[str, float] = {}
        self._expire_at = clock()

    @contextmanager
    def place(self, refusal: NewRefusal) -> Iterator[NewRefusal | None]:
        """A place for a refused request while it is being stored; None: it is only counted.

        What is stored is the value given here. Errors: ``StoreError`` if nothing is known yet of
        what the database holds.
        """
        self._look()
        with self._lock:
            granted = self._granted(refusal)
        if granted is None:
            yield None
            return
        try:
            yield granted
        except BaseException:
            with self._lock:
                self._reserve(refusal, -1)
                self._passed_over[refusal.network] += granted.passed_over
            raise
        with self._lock:
            self._reserve(refusal, -1)
            before = self._held.get(refusal.network, Held())
            self._held[refusal.network] = before.plus(1, refusal.size)

    def store(self, connection: Connection, rows: Sequence[NewRefusal]) -> None:
        """Store what has a place; now and then also delete what is too old."""
        if self._clock() >= self._expire_at:
            before = self._database.now_ms() - int(self._days * _DAY_MS)
            gone = refusals.expire(connection, before, EXPIRE_AT_A_TIME)
            pause = EXPIRE_EVERY_S if gone < EXPIRE_AT_A_TIME else EXPIRE_AGAIN_S
            self._expire_at = self._clock() + pause
        if rows:
            refusals.add(connection, rows, self._bounds)

    def _granted(self, refusal: NewRefusal) -> NewRefusal | None:
        network, size, bounds = refusal.network, refusal.size, self._bounds
        waiting = self._coming.get(network, Held()).plus(1, size)
        there = self._held.get(network, Held()).plus(waiting.rows, waiting.bytes)
        in_all = self._coming_in_all.plus(1, size)
        # what is on its way together must fit, since none of it can make room for the rest
        fits = (
            in_all.rows <= bounds.rows
            and in_all.bytes <= bounds.total_bytes
            and waiting.rows <= bounds.network_rows
            and waiting.bytes <= bounds.network_bytes
        )
        if fits and (there.rows > bounds.network_rows or there.bytes > bounds.network_bytes):
            now = self._clock()
            fits = now - self._replaced.setdefault(network, now) >= REPLACE_EVERY_S
            if fits:
                self._replaced[network] = now
        if not fits:
            self._passed_over[network] += 1
            return None
        self._reserve(refusal, 1)
        return replace(refusal, passed_over=self._passed_over.pop(network, 0))

    def _reserve(self, refusal: NewRefusal, sign: int) -> None:
        network, size = refusal.network, sign * refusal.size
        left = self._coming.get(network, Held()).plus(sign, size)
        self._coming_in_all = self._coming_in_all.plus(sign, size)
        if left.rows:
            self._coming[network] = left
        else:
            self._coming.pop(network, None)

    def _look(self) -> None:
        """Compare with the database, if that was long ago; one thread does it for all."""
        if self._looked is None:
            with self._looking:
                if self._looked is None:
                    self._compare()
                    self._looked = self._clock()
        elif self._clock() - self._looked >= LOOK_EVERY_S and self._looking.acquire(blocking=False):
            try:
                self._looked = self._clock()
                with suppress(StoreError):  # out of reach: what is known has to do
                    self._compare()
            finally:
                self._looking.release()

    def _compare(self) -> None:
        with self._database.read() as connection:
            found = refusals.held(connection)
        with self._lock:
            self._held = found
            known = found.keys() | self._coming.keys()
            self._replaced = {n: at for n, at in self._replaced.items() if n in known}
            counted = {n: count for n, count in self._passed_over.items() if n in known}
            self._passed_over = defaultdict(int, counted)
