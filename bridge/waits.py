"""How a request waits, while the web process goes on with others.

For work that takes its time (``aside``), for the disk (``Disk``, ``beside``), for the commit of
its group (``parked``), and for its sender, so long and no longer (``within``, ``Within``).
"""

from __future__ import annotations

import errno
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any

import gevent
from gevent import monkey
from gevent.hub import Waiter
from gevent.lock import Semaphore
from gevent.threadpool import ThreadPool

if TYPE_CHECKING:  # at run time it would take hold of locks before gevent has put its own there
    from bridge.store.group_commit import Waiting

_ASIDE = Semaphore(2)

QUICK_S = 0.0015
"""A disk that mostly writes in less is waited for on the spot: handing over to a thread and back
costs the requests of a group about as much, and the more the busier the host of the machine is."""

LAST = 9
"""How many flushes tell what the disk mostly does: one in ten may take its time on a quick disk."""

STUCK_S = 0.02
"""A single flush that takes so long is enough: the disk is busy with something else."""

CAREFUL = 64
"""How many times a thread waits for a disk that was slow, before it is given another chance."""


def aside(seconds: float, work: Callable[[], Any]) -> Any:
    """What ``work`` gives, done in a thread of its own, so that webhooks are taken meanwhile.

    Two at a time; who comes then waits. Errors: ``TimeoutError`` when it takes too long, waiting
    included; the work itself cannot be stopped, and keeps its place until it ends.
    """
    with within(seconds, "the work took too long"):
        _ASIDE.acquire()
        try:
            task = gevent.get_hub().threadpool.spawn(work)
        except BaseException:
            _ASIDE.release()
            raise
        task.rawlink(lambda _: _ASIDE.release())
        return task.get()


class Disk:
    """How the web process waits for the disk: on the spot while that is quick, else ``beside``.

    ``careful``: how many times a thread waits from now on. ``clock``: seconds that only grow.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._last: deque[float] = deque(maxlen=LAST)
        self.careful = 0

    def wait_for(self, work: Callable[[], None]) -> None:
        """Do what waits for the disk; return when it has ended."""
        if self.careful:
            self.careful -= 1
            beside(work)
            return
        began = self._clock()
        try:
            work()
        finally:
            self._took(self._clock() - began)

    def _took(self, seconds: float) -> None:
        self._last.append(seconds)
        slow = len(self._last) == LAST and sorted(self._last)[LAST // 2] > QUICK_S
        if slow or seconds > STUCK_S:
            self.careful = CAREFUL
            self._last.clear()


def beside(work: Callable[[], None]) -> None:
    """Do what waits for the disk while other requests are read; return when it has ended.

    In a thread of its own, one at a time. Whoever is to end meanwhile ends afterwards, since only
    then is it known what became of the work. Outside of the web process it is simply done.
    """
    if not monkey.is_module_patched("threading"):
        work()
        return
    task = _disk().spawn(_error_of, work)
    told_to_end: BaseException | None = None
    while not task.ready():
        try:
            task.wait()
        except BaseException as error:  # noqa: BLE001 - raised below
            told_to_end = error
    failed = told_to_end or task.get()
    if failed is not None:
        raise failed


def _error_of(work: Callable[[], None]) -> Exception | None:
    """Given back rather than raised: gevent logs what a thread raises, and it is told elsewhere."""
    try:
        work()
    except Exception as error:  # noqa: BLE001 - whoever waits raises it
        return error
    return None


@cache
def _disk() -> ThreadPool:
    return ThreadPool(1)


class Parked:
    """``threading.Event`` for one request that waits once: half the price of gevent's.

    For green threads of one and the same thread only.
    """

    __slots__ = ("_over", "_waiter")

    def __init__(self) -> None:
        self._over = False
        self._waiter: Any = None

    def set(self) -> None:
        """End the waiting, also if it has not begun yet."""
        self._over = True
        if self._waiter is not None:
            gevent.get_hub().loop.run_callback(self._wake)

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for ``set``; False after so many seconds."""
        if self._over:
            return True
        waiter = self._waiter = Waiter()
        try:
            if timeout is None:
                waiter.get()
            else:
                late = _alarm(timeout)
                late.again(waiter.switch, None, update=True)
                try:
                    waiter.get()
                finally:
                    late.stop()
                    _alarms[timeout].append(late)
        finally:
            self._waiter = None
        return self._over

    def _wake(self) -> None:
        # meanwhile it may have been ended, or be late
        if self._waiter is not None:
            self._waiter.switch(None)


_alarms: defaultdict[float, list[Any]] = defaultdict(list)
"""Timers that nobody uses at the moment, by their seconds: making one costs more than the rest."""


def _alarm(seconds: float) -> Any:
    free = _alarms[seconds]
    return free.pop() if free else gevent.get_hub().loop.timer(max(0.001, seconds), seconds)


def parked() -> Waiting:
    """What a request waits by for its commit."""
    return Parked() if monkey.is_module_patched("threading") else threading.Event()


def within(seconds: float, what: str) -> Any:
    """A block that ends with ``TimeoutError`` after so many seconds."""
    return gevent.Timeout(max(0.001, seconds), TimeoutError(errno.ETIMEDOUT, what))


class Within:
    """The same block for every time: making a timer anew for each request is what costs.

    It is begun ``again``, since a timer that is merely started once more has only what was left.
    """

    __slots__ = ("_timer", "_what")

    def __init__(self, seconds: float, what: str) -> None:
        seconds = max(0.001, seconds)
        self._timer = gevent.get_hub().loop.timer(seconds, seconds)
        self._what = what

    def __enter__(self) -> None:
        late = TimeoutError(errno.ETIMEDOUT, self._what)
        self._timer.again(gevent.getcurrent().throw, late, update=True)

    def __exit__(self, *_: object) -> None:
        self._timer.stop()

    def end(self) -> None:
        """End the block's time before its end."""
        self._timer.stop()

    def close(self) -> None:
        """Give the timer up."""
        self._timer.stop()
        self._timer.close()
