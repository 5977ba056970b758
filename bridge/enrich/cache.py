"""Records that were fetched a moment ago, so that a burst about one contact costs one read."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass
from threading import Lock

from bridge.model import Json


@dataclass(frozen=True, slots=True)
class Kept:
    """A record and the monotonic time, in seconds, from which on it is too old."""

    record: Json
    until: float


class Cache:
    """At most ``size`` records; the one that was not asked for longest makes room."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._kept: OrderedDict[Hashable, Kept] = OrderedDict()
        self._lock = Lock()

    def get(self, key: Hashable, now: float) -> Kept | None:
        """The record under this key, unless it is too old by ``now`` (monotonic seconds)."""
        with self._lock:
            kept = self._kept.get(key)
            if kept is None:
                return None
            if kept.until <= now:
                del self._kept[key]
                return None
            self._kept.move_to_end(key)
            return kept

    def put(self, key: Hashable, kept: Kept) -> None:
        """Keep a record."""
        with self._lock:
            self._kept[key] = kept
            self._kept.move_to_end(key)
            while len(self._kept) > self._size:
                self._kept.popitem(last=False)

    def __len__(self) -> int:
        return len(self._kept)
