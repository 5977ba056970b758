"""The HTTP server, and what a call may do to its own connection.

gevent's WSGI server is at home here. Each request finds a ``Wire`` in its environ, under
``sandbox.wire``; what it asks of it happens when the answer is due.
"""

from __future__ import annotations

import socket
from enum import Enum
from typing import TYPE_CHECKING, Any

import gevent
from gevent.event import Event
from gevent.pywsgi import WSGIHandler, WSGIServer

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication, WSGIEnvironment

KEY = "sandbox.wire"


class Fate(Enum):
    """What happens to the answer of a call."""

    SEND = "sent as it is"
    DROP = "not sent; the connection is closed"
    TRUNCATE = "half of the body is sent, with the length of the whole; then it is closed"


class Wire:
    """The connection of one request, as far as the request may meddle with it."""

    def __init__(self) -> None:
        self.fate = Fate.SEND

    def sleep(self, seconds: float) -> None:
        """Wait without keeping any other call waiting."""
        gevent.sleep(seconds)


class Handler(WSGIHandler):
    """Speaks HTTP on one connection, keep-alive and all, until a wire says otherwise."""

    server: Server

    def handle(self) -> None:
        # Headers and body are two writes; Nagle's algorithm would hold back the second.
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        super().handle()

    def get_environ(self) -> WSGIEnvironment:
        environ = super().get_environ()
        self._wire = Wire()
        environ[KEY] = self._wire
        environ["RAW_URI"] = self.path
        return environ

    def handle_one_response(self) -> None:
        with self.server.busy():
            super().handle_one_response()

    def process_result(self) -> None:
        if self._wire.fate is Fate.SEND:
            super().process_result()
            return
        self.close_connection = True
        if self._wire.fate is Fate.TRUNCATE and self.result is not None:
            body = b"".join(self.result)
            self.write(body[: len(body) // 2])


class _Busy:
    """Counts the requests that are being answered; ``idle`` is set while there are none."""

    def __init__(self) -> None:
        self._count = 0
        self.idle = Event()
        self.idle.set()

    def __enter__(self) -> None:
        self._count += 1
        self.idle.clear()

    def __exit__(self, *_exception: object) -> None:
        self._count -= 1
        if not self._count:
            self.idle.set()


class Server(WSGIServer):
    """Listens on one address; can wait for the calls in flight when it stops."""

    handler_class = Handler

    def __init__(self, address: tuple[str, int], application: WSGIApplication) -> None:
        super().__init__(address, application, log=None)
        self._busy = _Busy()

    def busy(self) -> _Busy:
        """To be entered for as long as one request is being answered."""
        return self._busy

    def run_until(self, signals: tuple[int, ...], *, patience_s: float = 5.0) -> None:
        """Serve until one of the signals; then finish the calls in flight, if they are quick.

        ``start`` must have been called. Belongs to the main thread, as signals do.
        """
        stopping = Event()
        watchers: list[Any] = [gevent.signal_handler(number, stopping.set) for number in signals]
        try:
            stopping.wait()
        finally:
            self.stop()
            self._busy.idle.wait(timeout=patience_s)
            for watcher in watchers:
                watcher.cancel()
