"""The HTTP server under the web process: gunicorn's gevent worker, with bounds and our log.

gevent's server waits for a sender without limit, and writes what it could not read, path tokens
included, to standard error. Here every wait has an end, a connection that nobody can use any more
is closed at once, and whatever gunicorn and gevent have to say goes through ``bridge.logs``.

gunicorn is at home here, gevent here and in ``waits``; the web process knows them nowhere else.
gunicorn loads both modules before gevent puts its own sockets and locks in the place of Python's,
so they import nothing that takes hold of those.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import re
import socket
import sys
import time
import traceback
from collections.abc import Callable, Iterable
from email.utils import formatdate
from functools import lru_cache, partial
from typing import Any, Protocol

import gevent
from gevent import pywsgi
from gunicorn.glogging import Logger
from gunicorn.workers.ggevent import GeventPyWSGIWorker, PyWSGIHandler, PyWSGIServer

from bridge import logs
from bridge.errors import BridgeError
from bridge.receive.reply import Reply, status_line
from bridge.receive.seldom import Seldom
from bridge.settings import Settings
from bridge.waits import Within, within

SEND_S = 60.0
"""How long a receiver may take for one piece of an answer."""

LINGER_S = 1.0
"""How long a closed connection is still emptied, so that the sender gets to see the answer: what
arrives after a close makes the sender's system throw unread answers away."""

LAST_S = 3.0
"""How long connections may still bring a request once the process is to end; the answer is their
last. Whoever closes them at once cuts off what is on its way, and proxies send no POST again; who
leaves them is killed by gunicorn while they are used."""

SKIPPED_BYTES = 65_536
"""The largest unread body that is skipped to keep a connection."""

TOGETHER_BYTES = 16_384
"""The largest body of an answer that is sent in one piece with its head."""

READ_BYTES = 65_536
"""How much of a connection is read at a time."""

LONGEST_LINE = 65_536
"""The longest line of a request's head, in bytes."""

MOST_LINES = 100
"""How many header lines a request may have."""

_CLOSE = ("Connection", "close")
_ERROR_LOG = "gunicorn.error"
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+\Z").match
_LENGTH = re.compile(r"[0-9]{1,18}\Z").match
_AFTER_SOURCE = re.compile(r"(/hooks/[^/\s?'\"]*[/?]).*")
_REQUEST_TIMEOUT = b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
_BAD_REQUEST = b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
_INTERNAL_ERROR = b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n"


def mask_paths(text: str) -> str:
    """A text in which whatever follows ``/hooks/<source>/`` on a line is masked."""
    return _AFTER_SOURCE.sub(r"\1***", text)


# --------------------------------------------------------------------- log


class Log(Logger):  # type: ignore[misc]  # gunicorn has no types
    """gunicorn's log as lines of ours: no handlers of its own, paths masked."""

    def setup(self, cfg: Any) -> None:
        """Called at the start and whenever gunicorn reloads its configuration."""
        settings = Settings.current()
        logs.configure_by(settings)
        logs.catch_all()
        super().setup(cfg)
        for log in (self.error_log, self.access_log):
            log.handlers = []
            log.propagate = True
            log.filters = [_mask]


def _mask(record: logging.LogRecord) -> bool:
    """A logging filter: message and traceback without anything of a path's token."""
    if record.exc_info:
        kind = record.exc_info[0]
        record.error_type = "" if kind is None else kind.__name__
        record.exc_text = mask_paths("\n".join(_lines(*record.exc_info)))
    record.msg, record.args, record.exc_info = mask_paths(record.getMessage()), (), None
    return True


def _lines(kind: Any, error: Any, trace: Any) -> Iterable[str]:
    return (line.rstrip("\n") for line in traceback.format_exception(kind, error, trace))


def _log_fault(_context: object, kind: Any, error: Any, trace: Any) -> None:
    if isinstance(error, SystemExit):  # gunicorn's way of stopping
        return
    logging.getLogger(_ERROR_LOG).error("fault", exc_info=(kind, error, trace))


# --------------------------------------------------------------------- requests


class Head:
    """The header lines of a request, as gevent's handler asks for them.

    ``status`` says what is wrong with them; they are then refused. A line that goes on from the
    one before it, and blanks before a colon, are refused as well: two servers in a row may read
    them in two ways. So are lengths that differ or are no plain numbers. ``ambiguous``: another
    server may see the body's end in another place, so nothing that follows it is a request.
    """

    __slots__ = ("_first", "_lines", "ambiguous", "status")

    def __init__(self, stream: Any, *_: object) -> None:
        self._lines: list[tuple[str, str]] = []
        self._first: dict[str, str] = {}
        self.ambiguous = False
        self.status = self._read(stream) or self._framed()

    def _read(self, stream: Any) -> str:
        while True:
            line = stream.readline(LONGEST_LINE + 1)
            if line in (b"\r\n", b"\n"):
                return ""
            if not line:
                return "the head broke off"
            if len(line) > LONGEST_LINE or len(self._lines) == MOST_LINES:
                return "too many or too long header lines"
            name, colon, value = line.decode("latin-1").partition(":")
            if not colon or not _HEADER_NAME(name):
                return "a header line without a name"
            value = value.strip(" \t\r\n")
            if "\r" in value or "\0" in value:
                return "a header line with a line end or NUL in it"
            self._lines.append((name, value))
            self._first.setdefault(name.lower(), value)

    def _framed(self) -> str:
        """Where the body ends has to be told once, in a way that everybody reads alike."""
        length = self._first.get("content-length")
        if length is not None:
            if _LENGTH(length) is None:
                return "a length that is no plain number"
            if any(v != length for n, v in self._lines if n.lower() == "content-length"):
                return "two lengths"
        if "transfer-encoding" in self._first:
            encodings = [v.lower() for n, v in self._lines if n.lower() == "transfer-encoding"]
            self.ambiguous = length is not None or encodings != ["chunked"]
        return ""

    @property
    def headers(self) -> Iterable[str]:
        """Each line as it was sent."""
        return [f"{name}: {value}" for name, value in self._lines]

    @property
    def typeheader(self) -> str | None:
        """The content type."""
        return self._first.get("content-type")

    def get(self, name: str, default: Any = None) -> Any:
        """The first value under a name."""
        return self._first.get(name.lower(), default)

    getheader = get

    def items(self) -> list[tuple[str, str]]:
        """Names and values, for the access log."""
        return self._lines

    def __delitem__(self, name: str) -> None:
        if self._first.pop(name.lower(), None) is None:
            raise KeyError(name)
        self._lines = [line for line in self._lines if line[0].lower() != name.lower()]


class Body(pywsgi.Input):
    """A request's body, which has to arrive ``within`` its time.

    Errors: ``OSError`` when it breaks off, which includes ``TimeoutError``.
    """

    __slots__ = ("abandoned", "until", "within")
    until: float
    within: Within
    abandoned: bool
    _chunked_input_error: bool

    def read(self, length: int | None = None) -> bytes:
        """Up to so many bytes, or all."""
        if self.position == 0 and not self.chunked_input:
            with self.within:
                return bytes(super().read(length))
        with within(self.until - time.monotonic(), "the body took too long"):
            try:
                return bytes(super().read(length))
            except ValueError:
                raise OSError("a chunk without its size") from None

    @property
    def finished(self) -> bool:
        """Whether nothing of it is left to be read, so that another request may follow."""
        if self.chunked_input:
            return self.chunk_length == 0 and not self._chunked_input_error
        return self.position >= (self.content_length or 0)

    @property
    def skippable(self) -> bool:
        """Whether it is finished, or so small that reading the rest keeps the connection."""
        left = (self.content_length or 0) - self.position
        return self.finished or (not self.chunked_input and left <= SKIPPED_BYTES)

    def _discard(self) -> None:
        if self.skippable and not self.abandoned:
            super()._discard()  # type: ignore[misc]  # its types leave it out


class AtOnce(Protocol):
    """What an application may have to answer requests that arrived in one piece."""

    def at_once(self, data: bytes, peer: str) -> Callable[[], Reply] | None:
        """What answers a request of these bytes; None if it takes the way over WSGI."""
        ...


class Handler(PyWSGIHandler):  # type: ignore[misc]  # gunicorn has no types
    """One connection. ``read_s`` bounds the head and the body of each request, seconds each;
    ``keepalive_s`` how long a connection may be idle between two. ``door``: what is asked first
    whether it answers a request that arrived in one piece."""

    wsgi_input: Any  # the request's Body; None before there is one
    ignored_socket_errors = (*PyWSGIHandler.ignored_socket_errors, errno.ETIMEDOUT)

    def __init__(
        self, sock: Any, *rest: Any, read_s: float, keepalive_s: float, door: AtOnce | None
    ) -> None:
        super().__init__(sock, *rest, sock.makefile("rb", READ_BYTES))
        self._door = door
        self._read_s = read_s
        self._head = Within(read_s, "the head took too long")
        self._body = Within(read_s, "the body took too long")
        self._idle = Within(keepalive_s, "idle")
        self._answer = Within(SEND_S, "the answer was not read")
        self._served = False
        self.idle = False

    def handle(self) -> None:
        """Serve a connection until its end."""
        self.server.connections.add(self)
        try:
            super().handle()
        finally:
            self.server.connections.discard(self)
            for timer in (self._head, self._body, self._idle, self._answer):
                timer.close()

    def handle_one_request(self) -> Any:
        """One request: True if another may follow, None or an answer at the connection's end."""
        if self._served:
            if not self._another():
                return None
            if (answered := self._answered_at_once()) is not None:
                return answered or None
        self.wsgi_input = None
        with self._head:
            if not self._served:
                self._served = True
                if (answered := self._answered_at_once()) is not None:
                    return answered or None
            result = super().handle_one_request()
        if self.wsgi_input is not None and (self.headers.ambiguous or not self.wsgi_input.finished):
            self._linger()
            return None
        return result

    def _another(self) -> bool:
        """Wait for the first byte of another request; False if there will be none."""
        self.idle = True
        try:
            with self._idle:
                return bool(self.rfile.peek(1))
        except (OSError, ValueError):  # ValueError: closed meanwhile
            return False
        finally:
            self.idle = False

    def wait_no_more(self) -> None:
        """Wait for no request that is not on its way yet."""
        with contextlib.suppress(OSError):  # also below TLS: what is written stays within it
            self.socket._sock.shutdown(socket.SHUT_RD)

    def _answered_at_once(self) -> bool | None:
        """Answer a webhook that is there in one piece: whether another request may follow it.

        None: it is not there, or not plainly one, and nothing of it has been read.
        """
        if self._door is None:
            return None
        try:
            data = self.rfile.peek(1)
        except (OSError, ValueError):  # nothing came, or it is closed
            return False
        peer = self.client_address[0] if isinstance(self.client_address, tuple) else ""
        reply_of = self._door.at_once(data, peer)
        if reply_of is None:
            return None
        self._head.end()
        self.rfile.read(len(data))
        reply = reply_of()
        if self.server.ends and _CLOSE not in reply.headers:
            reply = reply.also((_CLOSE,))
        try:
            answer = wire(reply)
        except ValueError:  # a header that nobody may send
            _log_fault(None, *sys.exc_info())
            answer = _INTERNAL_ERROR
        try:
            self._send(answer)
        except OSError:
            return False
        return _CLOSE not in reply.headers

    def _send(self, data: bytes) -> None:
        """Send all of it; whoever takes none of it has as long as for any other answer."""
        sent = 0
        if not self.server.ssl_enabled:  # below TLS it would go out as it is
            try:
                sent = self.socket._sock.send(data)  # gevent's own would wait without an end
            except BlockingIOError:  # suppress() takes 0.4 µs of each answer
                sent = 0
        if sent < len(data):
            with self._answer:
                self.socket.sendall(data[sent:])

    def MessageClass(self, *given: Any) -> Head:  # noqa: N802 - gevent's name
        """The header lines."""
        return Head(*given)

    def read_request(self, raw_requestline: str) -> bool:
        """Read the head of a request. Errors: ``ValueError`` for what is none."""
        if "\0" in raw_requestline:  # which no database takes in a text
            raise ValueError("a request line with NUL in it")
        return bool(super().read_request(raw_requestline))

    def get_environ(self) -> dict[str, Any]:
        """The environment of a request whose head has been read."""
        self._head.end()
        environ: dict[str, Any] = super().get_environ()
        if self.request_version != "HTTP/1.1" and "HTTP_TRANSFER_ENCODING" in environ:
            self.headers.ambiguous = True
        plain = self.wsgi_input
        body = Body(
            self.rfile,
            plain.content_length,
            socket=plain.socket,
            chunked_input=plain.chunked_input,
        )
        body.within = self._body
        body.until = time.monotonic() + self._read_s
        body.abandoned = False
        self.wsgi_input = environ["wsgi.input"] = body
        environ["wsgi.input_terminated"] = True
        return environ

    def start_response(self, status: str, headers: Any, exc_info: Any = None) -> Any:
        """As WSGI has it; says so when the connection ends for what is left of the body."""
        headers = list(headers)
        ends = self.server.ends or self.headers.ambiguous or not self.wsgi_input.skippable
        if ends and all(n.lower() != "connection" for n, _ in headers):
            headers.append(_CLOSE)
        write = super().start_response(status, headers, exc_info)
        self.wsgi_input.abandoned = self.close_connection
        return write

    def _sendall(self, data: bytes) -> None:
        with self._answer:
            super()._sendall(data)

    def _write_with_headers(self, data: bytes) -> None:
        """As gevent does it, but head and body of a small answer go out together."""
        self.headers_sent = True
        self.finalize_headers()
        lines = [b"HTTP/1.1 " + self.status]
        lines += [name + b": " + value for name, value in self.response_headers]
        head = b"\r\n".join((*lines, b"", b""))
        if self.response_use_chunked or len(data) > TOGETHER_BYTES:
            self._sendall(head)
            self._write(data)
        else:
            self._sendall(head + data)

    def log_request(self) -> None:
        """For gunicorn's access log, if there is one."""
        if self.server.log.cfg.accesslog:
            super().log_request()

    def _linger(self) -> None:
        """End the answer at once and throw away what still comes, for a moment."""
        with contextlib.suppress(OSError), within(LINGER_S, "lingering"):
            self.socket.shutdown(socket.SHUT_WR)
            while self.socket.recv(65_536):
                pass

    def _handle_client_error(self, ex: Exception) -> tuple[str, bytes]:
        if isinstance(ex, TimeoutError):
            return "408", _REQUEST_TIMEOUT
        # what stands behind a colon or semicolon was sent by somebody who need not be a CRM
        what = self.headers.status or re.split("[:;]", str(ex) or type(ex).__name__)[0]
        address = self.client_address[0] if isinstance(self.client_address, tuple) else "-"
        if requests := self.server.seldom.due(f"{address} {what}"):
            said = "bad request from %s: %s (%d since this was last said)"
            logging.getLogger(_ERROR_LOG).warning(said, address, what, requests)
        return "400", _BAD_REQUEST

    def _log_error(self, t: Any, v: Any, tb: Any) -> None:
        if issubclass(t, Exception):
            _log_fault(None, t, v, tb)
        else:  # the end of the process, which gevent passes on
            super()._log_error(t, v, tb)


def wire(reply: Reply) -> bytes:
    """An answer as it goes out. Errors: ``ValueError`` for a header that would break it up."""
    lines = [
        f"HTTP/1.1 {status_line(reply)}",
        f"Content-Type: {reply.content_type}",
        f"Content-Length: {len(reply.body)}",
        *(f"{name}: {value}" for name, value in reply.headers),
        f"Date: {_date(int(time.time()))}",
    ]
    head = "\r\n".join(lines)
    if head.count("\n") != len(lines) - 1 or head.count("\r") != len(lines) - 1:
        raise ValueError("a line end in a header of an answer")
    return head.encode("latin-1") + b"\r\n\r\n" + reply.body


@lru_cache(maxsize=1)
def _date(seconds: int) -> str:
    return formatdate(seconds, usegmt=True)


class Server(PyWSGIServer):  # type: ignore[misc]  # gunicorn has no types
    """gevent's server, whose error stream is gunicorn's log."""

    def __init__(self, *listener: Any, environ: dict[str, Any], **options: Any) -> None:
        # None: the server puts its own error log in
        environ = {**environ, "wsgi.errors": None}
        error_log = logging.getLogger(_ERROR_LOG)
        self.seldom = Seldom()
        self.connections: set[Handler] = set()
        self.ends = False
        super().__init__(*listener, environ=environ, error_log=error_log, **options)

    def close(self) -> None:
        """Accept no more connections, and end those that there are; see ``LAST_S``."""
        if self.started and not self.ends:
            self.ends = True
            # who has connected meanwhile would be cut off
            self.max_accept = sys.maxsize
            self._do_read()
            gevent.spawn_later(LAST_S, self._end_idle)
        super().close()

    def _end_idle(self) -> None:
        for connection in self.connections:
            if connection.idle:
                connection.wait_no_more()


class Worker(GeventPyWSGIWorker):  # type: ignore[misc]  # gunicorn has no types
    """gunicorn's gevent worker with our server. Idle time is gunicorn's ``keepalive``."""

    server_class = Server

    def load_wsgi(self) -> None:
        """Load the application. Who stands in for another waits for an edit that cannot be used to
        be mended: one that cannot begin would have gunicorn end all that go on without it.
        """
        told = ""
        while True:
            try:
                super().load_wsgi()
            except BridgeError as error:
                if self.age <= self.cfg.workers:
                    raise
                problem = str(error)
            else:
                return
            if problem != told:
                told = problem
                logging.getLogger(_ERROR_LOG).error("a web process cannot begin: %s", problem)
            self.notify()
            gevent.sleep(1.0)
            if not self.alive:
                sys.exit(0)

    def run(self) -> None:
        """Serve until told to stop."""
        vars(gevent.get_hub())["print_exception"] = _log_fault
        self.wsgi_handler = partial(
            Handler,
            read_s=Settings.current()["BRIDGE_READ_TIMEOUT"],
            keepalive_s=self.cfg.keepalive,
            door=None if self.cfg.accesslog else getattr(self.wsgi, "extensions", {}).get("hooks"),
        )
        super().run()
