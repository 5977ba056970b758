"""The hooks as WSGI gives them: a request in, a reply out.

``Hooks.answer`` is what every way in calls: the Flask view, and ``HooksFirst``, which stands before
Flask and spares a webhook its dispatch. What is not plainly a hook's path is left to Flask.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Protocol

from bridge import logs
from bridge.model import Request, Source
from bridge.receive.accept import Acceptor
from bridge.receive.reply import Reply, problem
from bridge.receive.wsgi import Bodies, NoRoom, read_body, request_from

Wsgi = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]

PREFIX = "/hooks/"
FAULT = "An unexpected fault. Nothing was accepted; send again."

_STATUS = {status.value: f"{status.value} {status.phrase}" for status in HTTPStatus}


@dataclass(frozen=True, slots=True)
class Hooks:
    """``limit``: the largest body, in bytes; ``public_url``, ``forwarded_hops``: see settings.

    ``now_ms``: the present by the clock that all web processes share.
    """

    acceptor: Acceptor
    bodies: Bodies
    limit: int
    public_url: str | None
    forwarded_hops: int
    now_ms: Callable[[], int]

    def answer(self, environ: dict[str, Any], source: str, token: str | None) -> Reply:
        """Read a webhook's body, and have it accepted."""
        encoding = environ.get("HTTP_TRANSFER_ENCODING", "").strip().lower()
        if encoding not in ("", "chunked"):
            detail = "The body may be sent chunked, and in no other transfer encoding."
            return problem(501, detail, ("Connection", "close"))
        length = None if encoding else _length(environ)
        found = self.acceptor.find(source, environ["REQUEST_METHOD"])
        if isinstance(found, Reply):
            return found
        if length is not None and length > self.limit:
            arrived = self._request(environ, source, token, b"")
            return self.acceptor.too_large(found, arrived, length)
        try:
            with self.bodies.hold(length or 0) as take:
                body = self._read(found, environ, length, take)
                if isinstance(body, Reply):
                    return body
                arrived = self._request(environ, source, token, body or b"")
                if body is None:
                    return self.acceptor.too_large(found, arrived, length)
                return self.acceptor.accept(found, arrived)
        except NoRoom:
            return _come_again(found, "The bridge has its hands full with other bodies.")

    def _read(
        self,
        found: Source,
        environ: dict[str, Any],
        length: int | None,
        take: Callable[[int], None],
    ) -> bytes | Reply | None:
        """The body; None if it is over the limit."""
        try:
            return read_body(environ["wsgi.input"], length, self.limit, take)
        except TimeoutError:
            return _come_again(found, "The body took too long to arrive.")
        except OSError:
            return problem(400, "The body broke off before its end.", ("Connection", "close"))

    def _request(
        self, environ: dict[str, Any], source: str, token: str | None, body: bytes
    ) -> Request:
        return request_from(
            environ,
            source=source,
            token=token,
            body=body,
            public_url=self.public_url,
            forwarded_hops=self.forwarded_hops,
            received_at=self.now_ms(),
        )


class Answering(Protocol):
    """What answers a webhook."""

    def answer(self, environ: dict[str, Any], source: str, token: str | None) -> Reply:
        """The reply to a request."""
        ...


class HooksFirst:
    """A WSGI application that answers hooks itself and leaves everything else to another."""

    def __init__(self, hooks: Answering, others: Wsgi) -> None:
        self._hooks = hooks
        self.others = others

    def __call__(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        """Answer a request."""
        place = _place(environ.get("PATH_INFO", ""))
        if place is None:
            return self.others(environ, start_response)
        try:
            reply = self._hooks.answer(environ, *place)
        except Exception:  # noqa: BLE001 - as Flask's own error handler does for every other page
            logs.get("web").exception("unexpected fault", path_length=len(environ["PATH_INFO"]))
            reply = problem(500, FAULT)
        headers = [
            ("Content-Type", reply.content_type),
            ("Content-Length", str(len(reply.body))),
            *reply.headers,
        ]
        start_response(_STATUS.get(reply.status) or f"{reply.status} Status", headers)
        return () if environ["REQUEST_METHOD"] == "HEAD" else (reply.body,)


def _place(path: str) -> tuple[str, str | None] | None:
    """Source and token of a hook's path; None where it is not plainly one."""
    if not path.startswith(PREFIX) or not path.isascii():
        return None
    source, slash, token = path[len(PREFIX) :].partition("/")
    if not source or (slash and (not token or "/" in token)):
        return None
    return source, token if slash else None


def _length(environ: dict[str, Any]) -> int:
    """The announced length; 0 where none is announced, or none that can be read."""
    text = environ.get("CONTENT_LENGTH") or ""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else 0


def _come_again(source: Source, detail: str) -> Reply:
    return problem(
        source.answer.busy_status,
        f"{detail} Nothing was stored; send it again later.",
        ("Retry-After", "5"),
        ("Connection", "close"),
    )
