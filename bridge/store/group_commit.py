"""Group commit: requests that arrive together share one transaction and one flush to disk.

Whoever comes first commits for all who came while the disk was busy, and then hands that duty on to
whoever has waited longest since. Who has waited for too long leaves the queue; who is in the group
being written stays for its result, since only that says whether the item is on disk. Works with
threads and, since it only uses ``threading`` and ``time``, with gevent's green ones.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Generic, Protocol, TypeVar

from bridge.errors import StoreBusy, StoreError

T = TypeVar("T")


class Waiting(Protocol):
    """What one thread waits by and another ends once and for all, as with ``threading.Event``."""

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for ``set``; False after so many seconds."""
        ...

    def set(self) -> None:
        """End the waiting, also if it has not begun yet."""
        ...


class _Ticket(Generic[T]):
    """``call`` wakes it when it is ``done``, or when it ``leads``: the next group is its to
    commit."""

    __slots__ = ("call", "done", "error", "item", "leads", "until")

    def __init__(self, item: T, until: float, call: Waiting) -> None:
        self.item = item
        self.until = until
        self.call = call
        self.leads = self.done = False
        self.error: StoreError | None = None

    @property
    def late(self) -> bool:
        return time.monotonic() >= self.until

    def answer(self, error: StoreError | None) -> None:
        self.error = error
        self.done = True
        self.call.set()


class GroupCommit(Generic[T]):
    """Hands items to ``commit`` in groups of at most ``most``, in the order in which they came.

    ``wait_s``: how long an item waits for its commit to begin before ``StoreBusy``. ``waiting``:
    makes what an item is waited for by.
    """

    def __init__(
        self,
        commit: Callable[[Sequence[T]], None],
        *,
        most: int = 256,
        wait_s: float = 30.0,
        waiting: Callable[[], Waiting] = threading.Event,
    ) -> None:
        self._commit = commit
        self._most = most
        self._wait_s = wait_s
        self._waiting = waiting
        self._queue: deque[_Ticket[T]] = deque()
        self._led = False  # somebody has the duty to commit
        self._guard = threading.Lock()  # over these two; never held while anything is awaited

    def put(self, item: T) -> None:
        """Return once the item is on disk.

        Errors: ``StoreError``; then it is not, unless the database hung up in the very commit.
        """
        ticket = _Ticket(item, time.monotonic() + self._wait_s, self._waiting())
        with self._guard:
            self._queue.append(ticket)
            if not self._led:
                self._led = ticket.leads = True
        try:
            if ticket.leads:
                time.sleep(0)  # lets requests that are ready to be read join this group
            else:
                self._wait(ticket)
            if ticket.leads and not ticket.done:
                self._write_next(ticket)
        except BaseException:
            self._withdraw(ticket)
            raise
        finally:
            self._hand_on(ticket)
        if ticket.error is not None:
            raise ticket.error

    def _wait(self, ticket: _Ticket[T]) -> None:
        """Until it is done, or has the duty to commit."""
        if not ticket.call.wait(self._wait_s):
            if self._withdraw(ticket):
                ticket.error, ticket.done = _too_long(), True
            else:  # it is being written
                ticket.call.wait()

    def _withdraw(self, ticket: _Ticket[T]) -> bool:
        """Take a ticket out of the queue; False if it is no longer there."""
        with self._guard:
            try:
                self._queue.remove(ticket)
            except ValueError:
                return False
        return True

    def _hand_on(self, leader: _Ticket[T]) -> None:
        """Give the duty to commit, if it is still his, to whoever has waited longest."""
        if not leader.leads:
            return
        with self._guard:
            leader.leads = False
            if not self._queue:
                self._led = False
                return
            heir = self._queue[0]
            heir.leads = True
        heir.call.set()

    def _write_next(self, leader: _Ticket[T]) -> None:
        """Commit the next group, in which the leader is, unless he waited for too long."""
        late: list[_Ticket[T]] = []
        group: list[_Ticket[T]] = []
        try:
            with self._guard:
                while self._queue and len(group) < self._most:
                    ticket = self._queue.popleft()
                    (late if ticket.late else group).append(ticket)
            for ticket in late:
                ticket.answer(_too_long())
            if group:
                self._write(group, leader)
        except BaseException as error:
            for ticket in (*late, *group):
                if not ticket.done:
                    ticket.answer(StoreError(f"the commit broke off ({type(error).__name__})"))
            raise

    def _write(self, group: list[_Ticket[T]], leader: _Ticket[T]) -> None:
        error = self._attempt(group)
        if error is None or len(group) == 1 or isinstance(error, StoreBusy):
            self._hand_on(leader)  # first of all, so that the disk does not wait for the answers
            for ticket in group:
                ticket.answer(error)
            return
        busy: StoreError | None = None
        for ticket in group:
            if busy is None and not ticket.late:
                ticket.answer(self._attempt([ticket]))
                busy = ticket.error if isinstance(ticket.error, StoreBusy) else None
            else:
                ticket.answer(busy or _too_long())

    def _attempt(self, group: Sequence[_Ticket[T]]) -> StoreError | None:
        try:
            self._commit([ticket.item for ticket in group])
        except StoreError as error:
            return error
        except Exception as error:  # noqa: BLE001 - no ticket may be left without an answer
            return StoreError(f"the commit failed ({type(error).__name__})")
        return None


def _too_long() -> StoreBusy:
    return StoreBusy("the database was busy for too long with what came before")
