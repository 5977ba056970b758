"""Right of way on SQLite: while webhooks come in quickly, a worker leaves the write lock to them.

There is one lock, and whoever waits for it cannot say so. The web process therefore leaves a mark
beside the database whenever it writes many deliveries at once, in a file that is never flushed; a
worker looks at it before each of its transactions. A CRM waits for its answer, a worker only for
its turn; what a worker gets at least is its ``share`` of the time, so that no flood keeps it from
sending. Opt-outs that come alone leave no mark, and the mark fades by itself, so that a process
that dies leaves nothing behind.
"""

from __future__ import annotations

import math
import os
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

FRESH_S = 0.005, 0.05
"""How long a mark lasts: twice as long as the one before it was ago, but within these bounds."""

CLAIMED_S = 0.25
"""How long it lasts at most while deliveries wait for the lock or are being written."""

LOOK_EVERY_S = 0.0005
"""How often who gives way looks whether the mark has faded."""

MOST_REST_S = 0.5
"""How long a worker gives way at most after one transaction, however long that was."""

QUIET_S = 2.0
"""How long after the last mark nobody is expected to want the lock soon."""

MANY = 4
"""So many deliveries in one transaction say that webhooks come in faster than they are written."""

_UNTIL = struct.Struct("q")


class RightOfWay:
    """The mark beside one database file. Without a file, or where it cannot be, nobody gives way.

    ``share``: the part of the time that who gives way has for its own transactions at least.
    ``clock``: seconds that only grow, the same in both processes.
    """

    def __init__(
        self,
        database: Path | None,
        share: float = 1.0,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._path = None if database is None else Path(f"{database.resolve()}.busy")
        self._clock = clock
        self._sleep = sleep
        self._tried = False
        self._file: int | None = None
        self._rest_per_s = 1.0 / share - 1.0
        self._free_at = self._marked_at = -math.inf

    @contextmanager
    def claim(self, writes: int) -> Iterator[None]:
        """A block in which so many deliveries are written."""
        if writes < MANY or (file := self._opened()) is None:
            yield
            return
        now = self._clock()
        least, most = FRESH_S
        lasts = min(most, max(least, 2 * (now - self._marked_at)))
        self._marked_at = now
        # a mark that faded while its own deliveries wait would let the next worker in before them
        _mark(file, now + CLAIMED_S)
        try:
            yield
        finally:
            _mark(file, self._clock() + lasts)

    def give_way(self) -> None:
        """Wait for as long as the web process has the right of way, within the share."""
        if self._rest_per_s <= 0.0 or (file := self._opened()) is None:
            return
        while (now := self._clock()) < self._free_at:
            # a clock that is not the same for both processes says nothing
            if not 0.0 < _marked_until(file) - now <= CLAIMED_S:
                return
            self._sleep(LOOK_EVERY_S)

    def quiet(self) -> bool:
        """Whether webhooks have not come in quickly of late; asked by who gives way."""
        if self._rest_per_s <= 0.0 or (file := self._opened()) is None:
            return False
        # a mark from further ahead was left by another clock
        return not -QUIET_S < _marked_until(file) - self._clock() <= CLAIMED_S

    def held(self, seconds: float) -> None:
        """Who gives way has had the lock for so long."""
        # who gives way holds its process's turn to write, for which others wait with patience only
        self._free_at = self._clock() + min(MOST_REST_S, seconds * self._rest_per_s)

    def _opened(self) -> int | None:
        if not self._tried and self._path is not None:
            self._tried = True
            with suppress(OSError):
                self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o660)
        return self._file


def _mark(file: int, until: float) -> None:
    with suppress(OSError):  # a full disk, for one
        os.pwrite(file, _UNTIL.pack(int(until * 1e9)), 0)


def _marked_until(file: int) -> float:
    with suppress(OSError, struct.error):
        return float(_UNTIL.unpack(os.pread(file, _UNTIL.size, 0))[0]) / 1e9
    return 0.0
