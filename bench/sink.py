"""A campaign API and a HubSpot that answer at once, or after a set delay.

The sandbox keeps leads and checks what it is told; that would measure the sandbox. This one names
every lead with success, gives every contact a phone number made from its id, and counts.
``GET /seen`` gives the counts, ``POST /reset`` sets them to nothing.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from typing import Any

from bridge import jsontext


class Seen:
    """What has come in. ``opt_outs``: phone number → when its opt-out had come in (monotonic)."""

    def __init__(self) -> None:
        self.calls = 0
        self.leads = 0
        self.reads = 0
        self.most = 0
        self.opt_outs: dict[str, float] = {}
        self.firsts: dict[str, float] = {}

    def document(self) -> dict[str, Any]:
        """The counts as JSON."""
        return {
            "calls": self.calls,
            "leads": self.leads,
            "reads": self.reads,
            "most": self.most,
            "opt_outs": self.opt_outs,
        }


def phone_of(contact: int) -> str:
    """The phone number of a contact, valid for every id up to 7,999,999."""
    return f"+1415{2_000_000 + contact:07d}"


class Sink(asyncio.Protocol):
    """One connection."""

    def __init__(self, seen: Seen, delay_s: float) -> None:
        self._seen = seen
        self._delay_s = delay_s
        self._buffer = b""
        self._transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember where answers go."""
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer every whole request."""
        self._buffer += data
        while True:
            head, gap, rest = self._buffer.partition(b"\r\n\r\n")
            if not gap:
                return
            at = head.lower().find(b"content-length:")
            length = int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
            if len(rest) < length:
                return
            self._buffer = rest[length:]
            answer = self._answer(head, rest[:length])
            if self._delay_s and head.startswith(b"PATCH"):
                asyncio.get_running_loop().call_later(self._delay_s, self._write, answer)
            else:
                self._write(answer)

    def _write(self, answer: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(
                b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: "
                + str(len(answer)).encode()
                + b"\r\n\r\n"
                + answer
            )

    def _answer(self, head: bytes, body: bytes) -> bytes:
        if head.startswith(b"GET"):
            return jsontext.dumps(self._seen.document()).encode()
        if head.startswith(b"POST /reset"):
            self._seen.__init__()  # type: ignore[misc]
            return b"{}"
        document = jsontext.loads(body)
        if isinstance(document, dict):
            return self._contacts(document)
        return self._update(document)

    def _contacts(self, document: dict[str, Any]) -> bytes:
        self._seen.reads += 1
        results = [
            {"id": row["id"], "properties": {"phone": phone_of(int(row["id"])), "email": None}}
            for row in document["inputs"]
        ]
        return jsontext.dumps({"status": "COMPLETE", "results": results}).encode()

    def _update(self, leads: list[dict[str, Any]]) -> bytes:
        seen = self._seen
        seen.calls += 1
        seen.leads += len(leads)
        seen.most = max(seen.most, len(leads))
        now = time.monotonic()
        rows = []
        for index, lead in enumerate(leads):
            phone = lead["phone_number"]
            if lead.get("do_not_call"):
                seen.opt_outs.setdefault(phone, now)
            rows.append(
                {"index": index, "phone_number": phone, "success": True, "message": "updated"}
            )
        reply = {"status": "success", "message": "Bulk lead update completed", "results": rows}
        return jsontext.dumps(reply).encode()


async def _serve(port: int, delay_s: float) -> None:
    seen = Seen()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Sink(seen, delay_s), "127.0.0.1", port)
    async with server:
        await server.serve_forever()


def main() -> None:
    """Serve until the process is ended."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--delay", type=float, default=0.0, help="seconds before an answer")
    options = parser.parse_args()
    asyncio.run(_serve(options.port, options.delay))


if __name__ == "__main__":
    main()
