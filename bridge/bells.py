"""Bells: how the threads of a worker wait for work, and are woken when there is some."""

from __future__ import annotations

import threading
from collections.abc import Iterable


class Bells:
    """Wakes the threads that wait for work, by the name of what they work on."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._rung: dict[str, int] = {}
        self._stopping = False

    def ring(self, names: Iterable[str]) -> None:
        """There is something new for these names."""
        with self._changed:
            for name in names:
                self._rung[name] = self._rung.get(name, 0) + 1
            self._changed.notify_all()

    def stop(self) -> None:
        """Wake everybody for good."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()

    @property
    def stopping(self) -> bool:
        """Whether the process is to end."""
        return self._stopping

    def count(self, name: str) -> int:
        """How often this name was rung for: to be read before looking for work."""
        return self._rung.get(name, 0)

    def wait(self, name: str, seen: int, seconds: float) -> None:
        """Wait until the name is rung for again since ``seen``, at most so long."""
        with self._changed:
            self._changed.wait_for(
                lambda: self._stopping or self._rung.get(name, 0) != seen, max(0.0, seconds)
            )

    def sleep(self, seconds: float) -> bool:
        """Wait so long; False if the process is to end."""
        with self._changed:
            return not self._changed.wait_for(lambda: self._stopping, max(0.0, seconds))
