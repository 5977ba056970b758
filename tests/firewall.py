"""A firewall in front of the sandbox, which refuses calls for a word in their body.

with Firewall(sandbox.url) as firewall:
    firewall.refused = ["Robert"]         # 403, and the sandbox hears nothing of it
    ...                                   # whatever calls firewall.url
    assert firewall.calls[0].status == 403
"""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
from http_receiver import Running


@dataclass(frozen=True)
class Passed:
    """One call, and what it was answered."""

    status: int
    elements: list[dict[str, Any]]


class Firewall(Running):
    """``refused``: the words; "" stands in every body. ``calls``: those that were answered.

    ``unfit``: words for which the API answers with ``unfit_status`` and no word on the lead.
    ``slow``: words whose calls come in, and wait for ``let_go``; ``waiting``: how many of them do.
    """

    def __init__(self, behind: str) -> None:
        super().__init__()
        self.refused: list[str] = []
        self.unfit: list[str] = []
        self.unfit_status = 422
        self.slow: list[str] = []
        self.waiting = 0
        self.let_go = threading.Event()
        self.calls: list[Passed] = []
        self.http = httpx.Client(trust_env=False)  # each that is made reads all certificates
        firewall = self

        class Handler(BaseHTTPRequestHandler):
            def do_PATCH(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if any(word in body.decode() for word in firewall.slow):
                    firewall.waiting += 1
                    firewall.let_go.wait(60)
                    firewall.waiting -= 1
                if any(word in body.decode() for word in firewall.refused):
                    status, answer = 403, b"<html>Request blocked</html>"
                elif any(word in body.decode() for word in firewall.unfit):
                    status, answer = firewall.unfit_status, b"{}"
                else:
                    reply = firewall.http.patch(
                        behind + self.path,
                        content=body,
                        headers={n: self.headers[n] for n in ("Authorization", "Content-Type")},
                    )
                    status, answer = reply.status_code, reply.content
                firewall.calls.append(Passed(status, json.loads(body)))
                self.send_response(status)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True

        self._server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
