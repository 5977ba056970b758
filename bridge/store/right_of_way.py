"""Right of way: while webhooks come in quickly, a worker on the same machine stands back.

They share the cores, and on SQLite one write lock, and whoever waits for it cannot say so. The web
process therefore leaves a mark in a file whenever it writes many deliveries at once, which is never
flushed; a worker looks at it before each of its transactions. A CRM waits for its answer, a worker
only for its turn; what a worker gets at least is its ``share`` of the time, so that no flood keeps
it from sending. Opt-outs that come alone leave no mark, and the mark fades by itself, so that a
process that dies leaves nothing behind.
"""

from __future__ import annotations

import math
import os
import struct
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

FRESH_S = 0.005, 0.05
"""How long a mark lasts: twice as long as the one before it was ago, but within these bounds."""

CLAIMED_S = 0.25
"""How long it lasts at most while deliveries wait for the lock or are being written."""

FLOOD_S = 0.02
"""For how long marks have followed each other before anybody gives way: what comes in by a hundred
is written beside a worker that goes on, since there may be a core for each."""

LOOK_EVERY_S = 0.005
"""How often who gives way looks at least whether the mark has faded: every look of every thread of
a worker costs what it leaves to the web process."""

MOST_REST_S = 1.0
"""How long a worker gives way at most after one transaction, however long that was."""

LONGEST_REST_S = 2.0
"""How long one of its threads gives way at most, whatever the others come to owe meanwhile: they go
on with opt-outs all the time, and whoever holds a lease has to say how its call ended."""

LOOK_AGAIN_S = 0.2
"""How often who gives way for longer looks whether something urgent has come."""

QUIET_S = 2.0
"""How long after the last mark nobody is expected to want the lock soon."""

MANY = 8
"""So many deliveries in one transaction say that webhooks come in faster than they are written."""

TICK_S = 1e-6
"""Over what a time loses in a mark: webhooks that come as one fades belong to the same flood."""

_MARK = struct.Struct("qq")
"""Since when and until when, in nanoseconds of the clock."""


def mark_of(database: Path | None) -> Path:
    """The file with the mark: beside SQLite's; else one for all bridges that share the cores.

    Where there is no folder for it, one in which no mark stays.
    """
    if database is not None:
        return Path(f"{database.resolve()}.busy")
    try:
        folder = tempfile.gettempdir()
    except OSError:  # all that there are cannot be written, or are full
        return Path(os.devnull)
    return Path(folder) / f"crm-bridge-{os.getuid()}.busy"


@dataclass(slots=True)
class Patience:
    """For how long one thread has done nothing but what is urgent.

    ``until``: when that has lasted for long enough, in seconds of the clock; None once everything
    else has had a turn.
    """

    until: float | None = None

    def over(self) -> None:
        """Everything has had a turn."""
        self.until = None


class RightOfWay:
    """The mark in a file. Where it cannot be, nobody gives way.

    ``share``: the part of the time that who gives way has for its own transactions, and of a core
    for all that it does, at least. ``clock``: seconds that only grow, the same in both processes;
    ``spent``: the processor time that this one has had, in seconds.
    """

    def __init__(
        self,
        file: Path,
        share: float = 1.0,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        spent: Callable[[], float] = time.process_time,
    ) -> None:
        self._path = file
        self._clock = clock
        self._sleep = sleep
        self._spent = spent
        self._spent_before = spent()
        self._looking = threading.Lock()
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
        # as the file has it, since another web process may have begun; or another clock
        since, until = _marked(file)
        if not -TICK_S < until - now <= CLAIMED_S:
            since = now
        # a mark that faded while its own deliveries wait would let the next worker in before them
        _mark(file, since, now + CLAIMED_S)
        try:
            yield
        finally:
            _mark(file, since, self._clock() + lasts)

    @property
    def flood(self) -> bool:
        """Whether webhooks come in quickly, and have for a while; asked by who gives way."""
        return self._mark_left(FLOOD_S) > 0.0

    @property
    def marked(self) -> bool:
        """Whether webhooks come in quickly, be it only since just now."""
        return self._mark_left(0.0) > 0.0

    @property
    def owed(self) -> bool:
        """Whether who gives way has to, now."""
        return self._clock() < self._free_at and self.flood

    def give_way(self, most_s: float = LONGEST_REST_S) -> None:
        """Wait for as long as the web process has the right of way, within the share.

        ``most_s``: so many seconds at most.
        """
        last = self._clock() + most_s
        # one looks for all: what looking costs the processor is owed as well
        if not self.owed or not self._looking.acquire(timeout=max(0.0, most_s)):
            return
        try:
            while (left := min(last, self._free_at) - self._clock()) > 0.0:
                if (mark := self._mark_left(FLOOD_S)) <= 0.0:
                    return
                self._sleep(min(left, mark, LOOK_EVERY_S))
        finally:
            self._looking.release()

    def rests(self, patience: Patience) -> Iterator[bool]:
        """Give way as ``give_way`` does, with breaks in which to look for what is urgent.

        Yields after each part of the rest whether there is more to come: False once, at its end.
        ``patience`` lasts from rest to rest until it is over: what is urgent ends a rest early, and
        however much of it comes, the others have a turn.
        """
        if patience.until is None:
            patience.until = self._clock() + LONGEST_REST_S
        more = True
        while more:
            self.give_way(min(LOOK_AGAIN_S, patience.until - self._clock()))
            more = self.owed and not self.at_an_end(patience)
            yield more

    def at_an_end(self, patience: Patience) -> bool:
        """Whether what is not urgent has waited for its turn for long enough."""
        return patience.until is not None and self._clock() >= patience.until

    def _mark_left(self, since_s: float) -> float:
        """For how many seconds a mark lasts, if no more webhooks come.

        ``since_s``: for how long there have to have been marks.
        """
        if self._rest_per_s <= 0.0 or (file := self._opened()) is None:
            return 0.0
        since, until = _marked(file)
        now = self._clock()
        # a clock that is not the same for both processes says nothing
        return until - now if now - since >= since_s and until - now <= CLAIMED_S else 0.0

    def quiet(self) -> bool:
        """Whether webhooks have not come in quickly of late; asked by who gives way."""
        if self._rest_per_s <= 0.0 or (file := self._opened()) is None:
            return False
        # a mark from further ahead was left by another clock
        return not -QUIET_S < _marked(file)[1] - self._clock() <= CLAIMED_S

    def held(self, seconds: float) -> None:
        """Who gives way has had a transaction for so long (seconds).

        The processor time of its whole process since the last one counts instead where that is
        more: what is done between transactions takes a core as well.
        """
        spent = self._spent()
        busy = max(seconds, spent - self._spent_before)
        self._spent_before = spent
        now = self._clock()
        # its threads wait for each other with patience only, and for what they owe together
        until = max(now, self._free_at) + busy * self._rest_per_s
        self._free_at = min(now + MOST_REST_S, until)

    def _opened(self) -> int | None:
        if not self._tried:
            self._tried = True
            with suppress(OSError):
                flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
                file = os.open(self._path, flags, 0o660)
                if os.fstat(file).st_nlink == 1:
                    self._file = file
                else:  # another name of a file that is somebody's
                    os.close(file)
        return self._file


def _mark(file: int, since: float, until: float) -> None:
    with suppress(OSError, struct.error):  # a full disk, for one
        os.pwrite(file, _MARK.pack(int(since * 1e9), int(until * 1e9)), 0)


def _marked(file: int) -> tuple[float, float]:
    """Since when and until when webhooks come in quickly."""
    with suppress(OSError, struct.error):
        since, until = _MARK.unpack(os.pread(file, _MARK.size, 0))
        return since / 1e9, until / 1e9
    return 0.0, 0.0
