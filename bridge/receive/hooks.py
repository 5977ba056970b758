"""The hooks: a request in, a reply out.

``Hooks`` is what every way in calls: the Flask view, ``HooksFirst``, which stands before Flask and
spares a webhook its dispatch, and ``HooksFirst.at_once``, to which the server gives a webhook that
arrived in one piece. What is not plainly a hook's path is left to Flask.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from bridge import logs
from bridge.model import Request, Source
from bridge.receive.accept import Acceptor
from bridge.receive.bodies import Bodies, NoRoom
from bridge.receive.reply import Reply, problem, status_line
from bridge.receive.request import address_behind, place_of, request_of
from bridge.receive.whole import Whole, whole
from bridge.receive.wsgi import read_body, request_from

Wsgi = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]

FAULT = "An unexpected fault. Nothing was accepted; send again."


@dataclass(frozen=True, slots=True)
class Hooks:
    """``public_url``, ``forwarded_hops``: see settings.

    ``now_ms``: the present by the clock that all web processes share.
    """

    acceptor: Acceptor
    bodies: Bodies
    public_url: str | None
    forwarded_hops: int
    now_ms: Callable[[], int]

    @property
    def limit(self) -> int:
        """The largest body, in bytes."""
        return self.acceptor.limits.body_bytes

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
            return _no_room(found)

    def answer_whole(self, arrived: Whole, peer: str) -> Reply:
        """Have a webhook accepted whose body is there. ``peer``: the address that sent it."""
        size = len(arrived.body)
        found = self.acceptor.find(arrived.source, "POST")
        if isinstance(found, Reply):
            return found
        if size > self.limit:
            return self.acceptor.too_large(found, self._request_whole(arrived, peer, b""), size)
        try:
            with self.bodies.hold_whole(size):
                request = self._request_whole(arrived, peer, arrived.body)
                return self.acceptor.accept(found, request)
        except NoRoom:
            return _no_room(found)

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

    def _request_whole(self, arrived: Whole, peer: str, body: bytes) -> Request:
        forwarded = arrived.headers.get("x-forwarded-for", ("",))[0]
        return request_of(
            "POST",
            arrived.target,
            arrived.headers,
            body,
            source=arrived.source,
            token=arrived.token,
            public_url=self.public_url,
            address=address_behind(peer, forwarded, self.forwarded_hops),
            received_at=self.now_ms(),
        )


class Answering(Protocol):
    """What answers a webhook."""

    def answer(self, environ: dict[str, Any], source: str, token: str | None) -> Reply:
        """The reply to a request."""
        ...

    def answer_whole(self, arrived: Whole, peer: str) -> Reply:
        """The reply to one that arrived in one piece."""
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
        path = environ.get("PATH_INFO", "")
        place = place_of(path)
        if place is None:
            return self.others(environ, start_response)
        try:
            reply = self._hooks.answer(environ, *place)
        except Exception:  # noqa: BLE001 - as Flask's own error handler does for every other page
            reply = _fault(len(path))
        headers = [
            ("Content-Type", reply.content_type),
            ("Content-Length", str(len(reply.body))),
            *reply.headers,
        ]
        start_response(status_line(reply), headers)
        return () if environ["REQUEST_METHOD"] == "HEAD" else (reply.body,)

    def at_once(self, data: bytes, peer: str) -> Callable[[], Reply] | None:
        """What answers the webhook that these bytes are; None if they take the way over WSGI."""
        arrived = whole(data)
        return None if arrived is None else partial(self._answer_whole, arrived, peer)

    def _answer_whole(self, arrived: Whole, peer: str) -> Reply:
        try:
            return self._hooks.answer_whole(arrived, peer)
        except Exception:  # noqa: BLE001 - as above
            return _fault(len(arrived.target.partition("?")[0]))


def _fault(path_length: int) -> Reply:
    logs.get("web").exception("unexpected fault", path_length=path_length)
    return problem(500, FAULT)


def _length(environ: dict[str, Any]) -> int:
    """The announced length; 0 where none is announced, or none that can be read."""
    text = environ.get("CONTENT_LENGTH") or ""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else 0


def _no_room(source: Source) -> Reply:
    return _come_again(source, "The bridge has its hands full with other bodies.")


def _come_again(source: Source, detail: str) -> Reply:
    return problem(
        source.answer.busy_status,
        f"{detail} Nothing was stored; send it again later.",
        ("Retry-After", "5"),
        ("Connection", "close"),
    )
