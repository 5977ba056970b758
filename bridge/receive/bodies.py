"""The room that bodies of webhooks take in a process's memory while they are received."""

from __future__ import annotations

import threading
from collections.abc import Callable


class NoRoom(Exception):  # noqa: N818 - reads as the state it reports
    """The bodies that are held at this moment leave no room for another."""


class Bodies:
    """Counts the bytes of bodies that a process holds; never more than ``most`` of them.

    Only what has arrived is counted: a sender who announces much and sends nothing takes no room
    from the others.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._held = 0
        self._lock = threading.Lock()

    def hold(self, announced: int = 0) -> _Holding:
        """A block in which one body is held; call what it gives with each number of bytes read.

        Errors: ``NoRoom``, at the beginning if the announced bytes would not fit, and in the call.
        """
        return _Holding(self, max(1, announced))

    def hold_whole(self, size: int) -> _Holding:
        """The same for a body that is there already, all of its bytes. Errors: ``NoRoom``."""
        return _Holding(self, max(1, size), size)

    def change(self, size: int, *, only_if_room_for: int = 0) -> None:
        """Count so many bytes more, or fewer. Errors: ``NoRoom``."""
        with self._lock:
            if only_if_room_for and self._held + only_if_room_for > self._most:
                raise NoRoom
            self._held += size


class _Holding:
    __slots__ = ("_announced", "_bodies", "_mine")

    def __init__(self, bodies: Bodies, announced: int, there: int = 0) -> None:
        self._bodies = bodies
        self._announced = announced
        self._mine = there

    def __enter__(self) -> Callable[[int], None]:
        self._bodies.change(self._mine, only_if_room_for=self._announced)
        return self._take

    def __exit__(self, *_: object) -> None:
        self._bodies.change(-self._mine)

    def _take(self, size: int) -> None:
        self._bodies.change(size, only_if_room_for=size)
        self._mine += size
