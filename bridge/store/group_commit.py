"""Group commit: requests that arrive together share one transaction and one flush to disk.

Whoever comes first commits for all who came while the disk was busy. Works with threads and,
since it only uses ``threading`` and ``time``, with gevent's green ones.
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
    __slots__ = ("done", "error", "item")

    def __init__(self, item: T) -> None:
        self.item = item
        self.done = False
        self.error: StoreError | None = None


class GroupCommit(Generic[T]):
    """Hands items to ``commit`` in groups of at most ``most``, in the order in which they came."""

    def __init__(self, commit: Callable[[Sequence[T]], None], *, most: int = 256) -> None:
        self._commit = commit
        self._most = most
        self._queue: deque[_Ticket[T]] = deque()
        self._turn = threading.Lock()

    def put(self, item: T) -> None:
        """Return once the item is on disk. Errors: ``StoreError``; then it is not."""
        ticket = _Ticket(item)
        self._queue.append(ticket)
        time.sleep(0)  # lets requests that are ready to be read join this group
        while not ticket.done:
            with self._turn:
                if ticket.done:
                    break
                count = min(self._most, len(self._queue))
                self._commit_group([self._queue.popleft() for _ in range(count)])
        if ticket.error is not None:
            raise ticket.error

    def _commit_group(self, group: list[_Ticket[T]]) -> None:
        error = self._attempt([ticket.item for ticket in group])
        if error is not None and len(group) > 1 and not isinstance(error, StoreBusy):
            for ticket in group:
                ticket.error = self._attempt([ticket.item])
        else:
            for ticket in group:
                ticket.error = error
        for ticket in group:
            ticket.done = True

    def _attempt(self, items: Sequence[T]) -> StoreError | None:
        try:
            self._commit(items)
        except StoreError as error:
            return error
        except BaseException as error:  # noqa: BLE001 - no ticket may be left without an answer
            return StoreError(f"the commit failed ({type(error).__name__})")
        return None
