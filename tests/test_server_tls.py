"""A web process that is given a certificate answers, and ends, as one that is given none."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import gevent
import pytest
from enrich.test_tls import certified
from gevent.ssl import SSLContext

from bridge.receive.reply import Reply
from bridge.server import Handler, Server

REQUEST = b"POST /hooks/crm HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}"
LONG = 3_000_000  # more than a connection holds by itself


class Door:
    """Answers all that comes, at some length."""

    def at_once(self, data: bytes, _peer: str) -> Callable[[], Reply] | None:
        return (lambda: Reply(200, b"x" * LONG)) if data == REQUEST else None


def over_wsgi(_environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    start_response("500 Not At Once", [("Content-Length", "0")])
    return ()


Ask = Callable[[Callable[[socket.socket], Any]], Any]


@pytest.fixture(params=[True, False], ids=["encrypted", "plain"])
def served(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Server, Ask]]:
    """A server, and what gives a connection to it to somebody in another thread."""
    handler = partial(Handler, read_s=60.0, keepalive_s=60.0, door=Door())
    certificate = str(certified(tmp_path))
    tls: dict[str, Any] = {}
    if request.param:
        tls["ssl_context"] = SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls["ssl_context"].load_cert_chain(certificate)
    server = Server(("127.0.0.1", 0), over_wsgi, handler_class=handler, environ={}, log=None, **tls)
    server.start()

    def connected(do: Callable[[socket.socket], Any]) -> Any:
        with socket.create_connection(server.address, timeout=60) as plain:
            if not request.param:
                return do(plain)
            context = ssl.create_default_context(cafile=certificate)
            with context.wrap_socket(plain, server_hostname="127.0.0.1") as connection:
                return do(connection)

    yield server, lambda do: gevent.get_hub().threadpool.apply(connected, (do,))
    server.stop()


def test_a_webhook_in_one_piece_is_answered_whole(served: tuple[Server, Ask]) -> None:
    _, ask = served
    for found in ask(lambda connection: [answer(connection) for _ in range(2)]):
        assert found.startswith(b"HTTP/1.1 200 OK\r\n")
        assert found.endswith(b"\r\n\r\n" + b"x" * LONG)


def test_an_idle_connection_ends_with_its_server(
    served: tuple[Server, Ask], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bridge.server.LAST_S", 0.1)
    server, ask = served
    close = gevent.get_hub().loop.async_()
    close.start(lambda: gevent.spawn(server.close))

    def wait(connection: socket.socket) -> bytes:
        answer(connection)
        close.send()
        try:
            return connection.recv(1)
        except ssl.SSLError:  # without a farewell
            return b""

    assert ask(wait) == b""


def answer(connection: socket.socket) -> bytes:
    """Send a webhook, and read the answer to it."""
    connection.sendall(REQUEST)
    found = b""
    while b"\r\n\r\n" not in found or len(found.partition(b"\r\n\r\n")[2]) < LONG:
        piece = connection.recv(65_536)
        if not piece:
            break
        found += piece
    return found
