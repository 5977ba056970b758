"""A CRM with a batch read, for tests: a real server that tells the truth unless told to lie."""

from __future__ import annotations

import json
import ssl
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

Play = Callable[["Crm", BaseHTTPRequestHandler], None]


@dataclass
class Asked:
    """One request as it arrived; ``at`` is monotonic seconds."""

    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]
    body: Any
    ids: list[str]
    at: float

    @property
    def archived(self) -> bool:
        return self.query.get("archived") == ["true"]

    @property
    def token(self) -> str:
        return self.headers["authorization"].removeprefix("Bearer ")


@dataclass
class Crm:
    """``script`` holds what to do with the next requests; when it is empty, the truth is told."""

    contacts: dict[str, Any] = field(default_factory=dict)
    archived: dict[str, Any] = field(default_factory=dict)
    merged: dict[str, str] = field(default_factory=dict)
    bad: set[str] = field(default_factory=set)
    tokens: set[str] = field(default_factory=set)
    once_per_record: bool = True
    script: deque[Play] = field(default_factory=deque)
    always: Play | None = None
    asked: list[Asked] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        crm = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = -1  # head and body in one piece

            def do_POST(self) -> None:
                at = time.monotonic()
                raw = self.rfile.read(int(self.headers["content-length"]))
                address = urlsplit(self.path)
                body = json.loads(raw)
                crm.asked.append(
                    Asked(
                        address.path,
                        parse_qs(address.query),
                        {name.lower(): value for name, value in self.headers.items()},
                        body,
                        [one["id"] for one in body["inputs"]],
                        at,
                    )
                )
                play = crm.script.popleft() if crm.script else crm.always or truth
                play(crm, self)

            def log_message(self, *args: Any) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, request: Any, client_address: Any) -> None:
                pass  # the other side may hang up at any moment

        self._scheme = "http"
        self._server = Server(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    @property
    def url(self) -> str:
        return f"{self._scheme}://127.0.0.1:{self._server.server_port}/batch/read"

    @property
    def calls(self) -> list[list[str]]:
        return [one.ids for one in self.asked]

    def add(self, *ids: str) -> None:
        for one in ids:
            self.contacts[one] = {"phone": f"+1415555{one}"}

    def encrypt(self, certificate: Path) -> None:
        """Speak TLS from now on, with the key and certificate in this file."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        self._server.socket = context.wrap_socket(
            self._server.socket, server_side=True, do_handshake_on_connect=False
        )
        self._scheme = "https"

    def stop(self) -> None:
        self.over.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def send(
    handler: BaseHTTPRequestHandler, status: int, body: Any, headers: dict[str, str] | None = None
) -> None:
    """Answer with a document, or with bytes as they are."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    handler.send_response(status)
    for name, value in (headers or {}).items():
        handler.send_header(name, value)
    handler.send_header("Content-Length", str(len(raw)))
    handler.end_headers()
    handler.wfile.write(raw)


def says(status: int, body: Any = b"", **headers: str) -> Play:
    """A play that answers in this way; ``Retry_After`` becomes ``Retry-After``."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda _crm, handler: send(handler, status, body, named)


def truth(crm: Crm, handler: BaseHTTPRequestHandler) -> None:
    """What a batch read answers by its documentation; merged ids give the survivor's row."""
    asked = crm.asked[-1]
    if crm.tokens and asked.token not in crm.tokens:
        send(handler, 401, {"status": "error", "message": f"bad token {asked.token}"})
        return
    if crm.bad.intersection(asked.ids):
        send(handler, 400, {"status": "error", "message": "Invalid input"})
        return
    rows = []
    for one in asked.ids:
        known = crm.archived if asked.archived else crm.contacts
        name = one if asked.archived else crm.merged.get(one, one)
        row = {"id": name, "properties": known.get(name)}
        if name in known and not (crm.once_per_record and row in rows):
            rows.append(row)
    send(
        handler,
        200 if len(rows) == len(asked.ids) else 207,
        {"status": "COMPLETE", "results": rows},
    )


def hangs(crm: Crm, _handler: BaseHTTPRequestHandler) -> None:
    """Says nothing until the test is over."""
    crm.over.wait()


def hangs_up(_crm: Crm, handler: BaseHTTPRequestHandler) -> None:
    """Closes the connection without a word."""
    handler.close_connection = True


def breaks_off(_crm: Crm, handler: BaseHTTPRequestHandler) -> None:
    """Promises more of a body than it sends."""
    handler.send_response(200)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    handler.wfile.write(b'{"results": [')
    handler.close_connection = True


def drips(where: str) -> Play:
    """Sends a byte now and then, for ever, of the head or of the body of a reply."""

    def play(crm: Crm, handler: BaseHTTPRequestHandler) -> None:
        if where == "body":
            handler.send_response(200)
            handler.send_header("Content-Length", "1000000")
            handler.end_headers()
        else:
            handler.wfile.write(b"HTTP/1.1 200 OK\r\nX-Long: ")
        while not crm.over.wait(0.02):
            handler.wfile.write(b"x")
            handler.wfile.flush()

    return play
