"""Holds one HTTP call to its time as a whole.

An HTTP client's own time-outs start anew with every piece that arrives, so a server that sends a
byte now and then could hold a call for days. Here a timer cuts the connections instead.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Mapping
from contextlib import suppress
from threading import Lock, Timer
from types import TracebackType
from typing import Any
from weakref import WeakSet


class Sockets:
    """The open connections of a client; those that were closed leave by themselves."""

    def __init__(self) -> None:
        self._open: WeakSet[socket.socket] = WeakSet()
        self._lock = Lock()

    def add(self, connection: socket.socket) -> None:
        """A connection was opened."""
        with self._lock:
            self._open.add(connection)

    def cut(self) -> None:
        """End every connection at once; a read that waits on one of them returns."""
        with self._lock:
            for connection in list(self._open):
                # The plain socket's own method: TLS would drop its state under a running read.
                with suppress(OSError):
                    socket.socket.shutdown(connection, socket.SHUT_RDWR)


class TooLateError(Exception):
    """The time of a call was over before its request was sent; nothing of it was."""


class Deadline:
    """A context in which connections live for at most ``seconds``; ``passed`` tells afterwards.

    ``or_never``: a request whose time is over is not begun, TooLateError; for calls that must not
    arrive late, from a process that slept between opening the connection and using it.
    """

    def __init__(self, seconds: float, sockets: Sockets, *, or_never: bool = False) -> None:
        self.passed = False
        self._end = time.monotonic() + seconds
        self._or_never = or_never
        self._sockets = sockets
        self._over = False
        self._lock = Lock()
        self._timer = Timer(seconds, self._cut)
        self._timer.daemon = True

    def __enter__(self) -> Deadline:
        self._timer.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._timer.cancel()
        # Under the lock, so that a late timer cannot reach into the next call.
        with self._lock:
            self._over = True

    def opened(self, connection: socket.socket) -> None:
        """The call opened a connection; too late, it is cut right away."""
        self._sockets.add(connection)
        with self._lock:
            if self.passed:
                self._sockets.cut()

    def trace(self, event: str, info: Mapping[str, Any]) -> None:
        """For httpx's request extension ``trace``, which reports what happens to a connection."""
        if event.endswith((".connect_tcp.complete", ".start_tls.complete")):
            self.opened(info["return_value"].get_extra_info("socket"))
        late = self._or_never and time.monotonic() >= self._end
        if late and event.endswith(".send_request_headers.started"):
            raise TooLateError

    def _cut(self) -> None:
        with self._lock:
            if not self._over:
                self.passed = True
                self._sockets.cut()
