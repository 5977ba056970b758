"""Bells: how the threads of a worker wait for work, and are woken when there is some."""

from __future__ import annotations

import threading
from collections.abc import Iterable


class Bells:
    """Wakes the threads that wait for work, by the name of what they work on, and nobody else.

    Every thread that wakes costs the others time: one of them has what everybody waits for.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._end = threading.Condition(self._lock)
        self._ears: dict[str, list[threading.Condition]] = {}
        self._rung: dict[str, int] = {}
        self._instead: dict[str, str] = {}
        self._stopping = False

    def hear_instead(self, name: str, other: str) -> None:
        """Whoever waits for ``other`` is woken for ``name`` while nobody waits for that."""
        self._instead[name] = other

    def ring(self, names: Iterable[str]) -> None:
        """There is something new for these names."""
        with self._lock:
            for name in names:
                self._ring(name)

    def _ring(self, name: str) -> None:
        self._rung[name] = self._rung.get(name, 0) + 1
        ears = self._ears.get(name)
        for ear in ears or ():
            ear.notify()
        if not ears and name in self._instead:
            self._ring(self._instead[name])

    def stop(self) -> None:
        """Wake everybody for good."""
        with self._lock:
            self._stopping = True
            self._end.notify_all()
            for ears in self._ears.values():
                for ear in ears:
                    ear.notify()

    @property
    def stopping(self) -> bool:
        """Whether the process is to end."""
        return self._stopping

    def count(self, *names: str) -> int:
        """How often these names were rung for: to be read before looking for work."""
        return sum(self._rung.get(name, 0) for name in names)

    def wait(self, *names: str, seen: int, seconds: float) -> None:
        """Wait until one of the names is rung for again since ``seen``, at most so long."""
        ear = threading.Condition(self._lock)
        with self._lock:
            for name in names:
                self._ears.setdefault(name, []).append(ear)
            try:
                ear.wait_for(
                    lambda: self._stopping or self.count(*names) != seen, max(0.0, seconds)
                )
            finally:
                for name in names:
                    self._ears[name].remove(ear)

    def sleep(self, seconds: float) -> bool:
        """Wait so long; False if the process is to end."""
        with self._lock:
            return not self._end.wait_for(lambda: self._stopping, max(0.0, seconds))
