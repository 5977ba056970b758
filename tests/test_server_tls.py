"""A web process that is given a certificate answers inside of the encrypted connection."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Iterable
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


@pytest.mark.parametrize("encrypted", [True, False])
def test_a_webhook_in_one_piece_is_answered_whole(tmp_path: Path, encrypted: bool) -> None:
    handler = partial(Handler, read_s=60.0, keepalive_s=60.0, door=Door())
    certificate = str(certified(tmp_path))
    tls: dict[str, Any] = {}
    if encrypted:
        tls["ssl_context"] = SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls["ssl_context"].load_cert_chain(certificate)
    server = Server(("127.0.0.1", 0), over_wsgi, handler_class=handler, environ={}, log=None, **tls)
    server.start()

    def ask() -> list[bytes]:
        with socket.create_connection(server.address, timeout=60) as plain:
            if not encrypted:
                return [answer(plain) for _ in range(2)]
            context = ssl.create_default_context(cafile=certificate)
            with context.wrap_socket(plain, server_hostname="127.0.0.1") as connection:
                return [answer(connection) for _ in range(2)]

    try:
        answers = gevent.get_hub().threadpool.apply(ask)
    finally:
        server.stop()
    for found in answers:
        assert found.startswith(b"HTTP/1.1 200 OK\r\n")
        assert found.endswith(b"\r\n\r\n" + b"x" * LONG)


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
