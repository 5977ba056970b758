"""A receiver of alerts that can lie, on this machine.

with HttpReceiver() as receiver:
    receiver.answers = [500, "hang"]      # then 200 again
    ...                                   # whatever posts to receiver.url
    assert receiver.calls[0].json["alerts"][0]["state"] == "new"
"""

from __future__ import annotations

import json
import socketserver
import threading
import time
from collections import deque
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, TypeVar

Self = TypeVar("Self", bound="Running")


@dataclass(frozen=True)
class HttpCall:
    """One request as it came; ``answer``: what was done with it."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    answer: int | str
    at: float

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Running:
    """A server in a thread; ``over`` ends whatever hangs."""

    _server: socketserver.BaseServer

    def __init__(self) -> None:
        self.over = threading.Event()

    def __enter__(self: Self) -> Self:
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.over.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class HttpReceiver(Running):
    """``answers``: what to do with the next requests: a status, ``hang`` or ``cut``; then
    ``always``."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[HttpCall] = []
        self.answers: deque[int | str] = deque()
        self.always: int | str = 200
        self.headers: dict[str, str] = {}
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.answer()

            def do_POST(self) -> None:
                self.answer()

            def answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                answer = receiver.answers.popleft() if receiver.answers else receiver.always
                headers = {name.lower(): value for name, value in self.headers.items()}
                receiver.calls.append(
                    HttpCall(self.command, self.path, headers, body, answer, time.monotonic())
                )
                if answer == "hang":
                    receiver.over.wait(60)
                elif answer != "cut":
                    self.send_response(int(answer))
                    for name, value in receiver.headers.items():
                        self.send_header(name, value)
                    self.end_headers()
                    self.wfile.write(b"said by +14155550123 with receivers-s3cr3t-0815")

            def log_message(self, *args: Any) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, request: Any, client_address: Any) -> None:
                pass  # the other side may hang up at any moment

        self._server = Server(("127.0.0.1", 0), Handler)

    @property
    def url(self) -> str:
        port = self._server.server_address[1]  # type: ignore[index]
        return f"http://127.0.0.1:{port}/hook/path-is-a-secret"

    @property
    def taken(self) -> list[HttpCall]:
        """The calls that were answered well."""
        return [call for call in self.calls if call.answer == 200]
