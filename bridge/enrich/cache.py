"""Records that were fetched a moment ago, so that a burst about one contact costs one read."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass
from heapq import heapify, heappop, heappush
from itertools import count
from threading import Lock

from bridge.model import Json


@dataclass(frozen=True, slots=True)
class Kept:
    """A record and the monotonic time, in seconds, from which on it is too old."""

    record: Json
    until: float


class Cache:
    """At most ``size`` records that are not too old; the one that was not asked for longest makes
    room. What is too old goes: it is somebody's data, and of no use."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._kept: OrderedDict[Hashable, Kept] = OrderedDict()
        # when which record is too old, the first of them foremost; the numbers make each different
        self._ends: list[tuple[float, int, Hashable]] = []
        self._numbers = count()
        self._lock = Lock()

    def get(self, key: Hashable, now: float) -> Kept | None:
        """The record under this key, unless it is too old by ``now`` (monotonic seconds)."""
        with self._lock:
            self._forget(now)
            kept = self._kept.get(key)
            if kept is not None:
                self._kept.move_to_end(key)
            return kept

    def put(self, key: Hashable, kept: Kept, now: float) -> None:
        """Keep a record."""
        with self._lock:
            self._kept[key] = kept
            self._kept.move_to_end(key)
            heappush(self._ends, (kept.until, next(self._numbers), key))
            self._forget(now)
            while len(self._kept) > self._size:
                self._kept.popitem(last=False)
            if len(self._ends) > 2 * self._size:  # most are of records that made room
                self._ends = [
                    (one.until, next(self._numbers), key) for key, one in self._kept.items()
                ]
                heapify(self._ends)

    def _forget(self, now: float) -> None:
        while self._ends and self._ends[0][0] <= now:
            until, _, key = heappop(self._ends)
            kept = self._kept.get(key)
            if kept is not None and kept.until == until:  # else it was fetched again
                del self._kept[key]

    def __len__(self) -> int:
        return len(self._kept)
