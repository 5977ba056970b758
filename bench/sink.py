"""A campaign API and a HubSpot that answer at once, or after a set delay.

The sandbox keeps leads and checks what it is told; that would measure the sandbox. This one names
every lead with success, gives every contact a phone number made from its id, and counts. Each
event of the load has a number, which its first name carries: so it is known which came, and which
came twice. Whatever else is posted (a peer may speak otherwise) is counted and answered.
``GET /seen`` gives the counts, ``GET /opt-outs`` when each opt-out came, ``GET /events`` which
events came, ``POST /reset`` begins anew.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from typing import Any

from bridge import jsontext


class Seen:
    """What has come in.

    ``events``: how many different events were named, ``again``: how many once more.
    ``opt_outs``: phone number → when its opt-out had come in, to the last byte (monotonic s).
    """

    def __init__(self) -> None:
        self.calls = 0
        self.leads = 0
        self.reads = 0
        self.most = 0
        self.events = 0
        self.again = 0
        self.other = 0
        self.opt_outs: dict[str, float] = {}
        self._named = bytearray()

    def document(self) -> dict[str, int]:
        """The counts as JSON."""
        return {
            "calls": self.calls,
            "leads": self.leads,
            "reads": self.reads,
            "most": self.most,
            "events": self.events,
            "again": self.again,
            "other": self.other,
        }

    def named(self) -> list[int]:
        """The events that came, by number."""
        return [number for number, came in enumerate(self._named) if came]

    def name(self, text: object) -> None:
        """Note the event that a first name carries the number of."""
        number = str(text).rpartition(" ")[2]
        if not number.isdecimal():
            return
        at = int(number)
        if at >= len(self._named):
            self._named.extend(bytes(at + 100_000 - len(self._named)))
        if self._named[at]:
            self.again += 1
        else:
            self._named[at] = 1
            self.events += 1


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
            answer = self._answer(head, rest[:length], time.monotonic())
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

    def _answer(self, head: bytes, body: bytes, at: float) -> bytes:
        if head.startswith(b"GET /opt-outs"):
            return jsontext.dumps(self._seen.opt_outs).encode()
        if head.startswith(b"GET /events"):
            return jsontext.dumps(self._seen.named()).encode()
        if head.startswith(b"GET"):
            return jsontext.dumps(self._seen.document()).encode()
        if head.startswith(b"POST /reset"):
            self._seen.__init__()  # type: ignore[misc]
            return b"{}"
        try:
            document = jsontext.loads(body)
        except ValueError:  # a peer may say anything
            document = None
        if isinstance(document, list) and all(
            isinstance(row, dict) and "phone_number" in row for row in document
        ):
            return self._update(document, at)
        if isinstance(document, dict) and isinstance(document.get("inputs"), list):
            return self._contacts(document)
        self._seen.other += 1
        return b"{}"

    def _contacts(self, document: dict[str, Any]) -> bytes:
        self._seen.reads += 1
        results = [
            {"id": row["id"], "properties": {"phone": phone_of(int(row["id"])), "email": None}}
            for row in document["inputs"]
        ]
        return jsontext.dumps({"status": "COMPLETE", "results": results}).encode()

    def _update(self, leads: list[dict[str, Any]], at: float) -> bytes:
        seen = self._seen
        seen.calls += 1
        seen.leads += len(leads)
        seen.most = max(seen.most, len(leads))
        rows = []
        for index, lead in enumerate(leads):
            phone = lead["phone_number"]
            if lead.get("do_not_call"):
                seen.opt_outs.setdefault(phone, at)
            if "first_name" in lead:
                seen.name(lead["first_name"])
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
