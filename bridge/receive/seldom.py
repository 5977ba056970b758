"""Saying seldom what could be said for every request of a flood."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

MOST_KEYS = 10_000


class Seldom:
    """Tells for each key whether it is time to speak again. ``clock``: seconds that only grow."""

    def __init__(self, every_s: float = 60.0, clock: Callable[[], float] = time.monotonic) -> None:
        self._every_s = every_s
        self._clock = clock
        self._lock = threading.Lock()
        self._said: dict[str, float] = {}
        self._since: dict[str, int] = {}

    def due(self, key: str) -> int:
        """0: not yet; otherwise how often it was asked since the last time that it was due."""
        now = self._clock()
        with self._lock:
            if len(self._since) >= MOST_KEYS and key not in self._since:
                self._said.clear()
                self._since.clear()
            count = self._since.get(key, 0) + 1
            said = self._said.get(key)
            if said is not None and now - said < self._every_s:
                self._since[key] = count
                return 0
            self._said[key] = now
            self._since[key] = 0
            return count
