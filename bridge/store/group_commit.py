"""Group commit: requests that arrive together share one transaction and one flush to disk.

Whoever comes first commits for all who came while the disk was busy. Who has waited for too long
leaves the queue; who is in the group being written stays for its result, since only that says
whether the item is on disk. Works with threads and, since it only uses ``threading`` and ``time``,
with gevent's green ones.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from bridge.errors import StoreBusy, StoreError

T = TypeVar("T")


class _Ticket(Generic[T]):
    __slots__ = ("done", "error", "item", "until", "written")

    def __init__(self, item: T, until: float) -> None:
        self.item = item
        self.until = until
        self.done = False
        self.error: StoreError | None = None
        self.written: threading.Event | None = None

    @property
    def late(self) -> bool:
        return time.monotonic() >= self.until

    def answer(self, error: StoreError | None) -> None:
        self.error = error
        self.done = True


class GroupCommit(Generic[T]):
    """Hands items to ``commit`` in groups of at most ``most``, in the order in which they came.

    ``wait_s``: how long an item waits for its commit to begin before ``StoreBusy``.
    """

    def __init__(
        self,
        commit: Callable[[Sequence[T]], None],
        *,
        most: int = 256,
        wait_s: float = 30.0,
    ) -> None:
        self._commit = commit
        self._most = most
        self._wait_s = wait_s
        self._queue: deque[_Ticket[T]] = deque()
        self._guard = threading.Lock()  # over the queue; never held while anything is awaited
        self._turn = threading.Lock()

    def put(self, item: T) -> None:
        """Return once the item is on disk.

        Errors: ``StoreError``; then it is not, unless the database hung up in the very commit.
        """
        ticket = _Ticket(item, time.monotonic() + self._wait_s)
        with self._guard:
            self._queue.append(ticket)
        try:
            time.sleep(0)  # lets requests that are ready to be read join this group
            while not ticket.done:
                self._wait_or_write(ticket)
        except BaseException:
            self._withdraw(ticket)
            raise
        if ticket.error is not None:
            raise ticket.error

    def _wait_or_write(self, ticket: _Ticket[T]) -> None:
        if self._turn.acquire(timeout=max(0.0, ticket.until - time.monotonic())):
            try:
                if not ticket.done:
                    self._write_next()
            finally:
                self._turn.release()
        elif self._withdraw(ticket):
            ticket.answer(_too_long())
        elif ticket.written is not None:
            ticket.written.wait()

    def _withdraw(self, ticket: _Ticket[T]) -> bool:
        """Take a ticket out of the queue; False if it is no longer there."""
        with self._guard:
            try:
                self._queue.remove(ticket)
            except ValueError:
                return False
        return True

    def _write_next(self) -> None:
        """Commit the next group, and answer whoever waited for too long before it."""
        group: list[_Ticket[T]] = []
        written = threading.Event()
        try:
            with self._guard:
                while self._queue and len(group) < self._most:
                    ticket = self._queue.popleft()
                    ticket.written = written
                    if ticket.late:
                        ticket.answer(_too_long())
                    else:
                        group.append(ticket)
            if group:
                self._write(group)
        except BaseException as error:
            for ticket in group:
                if not ticket.done:
                    ticket.answer(StoreError(f"the commit broke off ({type(error).__name__})"))
            raise
        finally:
            written.set()

    def _write(self, group: list[_Ticket[T]]) -> None:
        error = self._attempt(group)
        if error is None or len(group) == 1 or isinstance(error, StoreBusy):
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
