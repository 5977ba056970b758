"""A campaign API on a local port: a real HTTP server whose next answers a test sets."""

from __future__ import annotations

import json
import socket
import ssl
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Seen:
    """One request as it arrived."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes


Behaviour = Callable[["Handler", Seen], None]


class Handler(BaseHTTPRequestHandler):
    """Records a request and has the server's next behaviour answer it."""

    protocol_version = "HTTP/1.1"
    server: ApiServer

    def _any(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length)
        headers = {name.lower(): value for name, value in self.headers.items()}
        seen = Seen(self.command, self.path, headers, body)
        self.server.seen.append(seen)
        self.server.behaviours.pop(0)(self, seen)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("do_"):
            return self._any
        raise AttributeError(name)

    def reply(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        """A whole answer with its length."""
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def drip(self, pieces: list[bytes], every_s: float) -> None:
        """Raw bytes, a piece now and then, until the client has gone or the test is over."""
        try:
            for piece in pieces:
                self.connection.sendall(piece)
                if self.server.over.wait(every_s):
                    break
        except OSError:
            pass
        self.close_connection = True

    def reset(self) -> None:
        """Cut the connection hard, without an answer."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True

    def log_message(self, *_line: Any) -> None:
        pass


class ApiServer(ThreadingHTTPServer):
    """The server; ``behaviours`` answer the next requests in order, ``seen`` holds what came."""

    daemon_threads = True
    block_on_close = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.behaviours: list[Behaviour] = []
        self.seen: list[Seen] = []
        self.over = threading.Event()
        self._thread = threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def encrypt(self, certificate: Path) -> None:
        """Speak TLS from now on, with the key and certificate in this file."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        self.socket = context.wrap_socket(
            self.socket, server_side=True, do_handshake_on_connect=False
        )

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass

    def stop(self) -> None:
        self.over.set()
        self.shutdown()
        self.server_close()


def good_reply(seen: Seen) -> bytes:
    """The documented answer in which every lead succeeds."""
    rows = [
        {"index": i, "phone_number": e["phone_number"], "success": True, "message": "Updated"}
        for i, e in enumerate(json.loads(seen.body))
    ]
    return json.dumps({"status": "success", "message": "done", "results": rows}).encode()


def well(handler: Handler, seen: Seen) -> None:
    """Every lead succeeds."""
    handler.reply(200, good_reply(seen))


def status(code: int, body: bytes = b"", **headers: str) -> Behaviour:
    """An answer with this status."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda handler, _seen: handler.reply(code, body, named)
