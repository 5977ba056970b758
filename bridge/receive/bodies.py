"""The room that bodies of webhooks take in a process's memory while they are received."""

from __future__ import annotations

import threading
from collections.abc import Callable

SMALL = 65_536
"""A body of no more bytes is let in whatever is held: a connection may bring as many before anybody
asks for them, and whoever sends large ones slowly must not keep out what others have to say."""


class NoRoom(Exception):  # noqa: N818 - reads as the state it reports
    """The bodies that are held at this moment leave no room for another."""


class Bodies:
    """Counts the bytes of bodies that a process holds; no more than ``most``, small ones aside.

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
        return _Holding(self, announced)

    def hold_whole(self, size: int) -> _Holding:
        """The same for a body that is there already, all of its bytes. Errors: ``NoRoom``."""
        return _Holding(self, size, size)

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
        announced = self._announced
        self._bodies.change(self._mine, only_if_room_for=announced if announced > SMALL else 0)
        return self._take

    def __exit__(self, *_: object) -> None:
        self._bodies.change(-self._mine)

    def _take(self, size: int) -> None:
        large = self._mine + size > SMALL
        self._bodies.change(size, only_if_room_for=size if large else 0)
        self._mine += size
