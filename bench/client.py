"""The load: prepared requests over keep-alive connections, as fast as they are answered.

One thread and ``epoll``, so that the client costs as little as possible of what it measures. A
request is its bytes on the wire; building and signing them is done before the clock starts.
"""

from __future__ import annotations

import select
import socket
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context
from urllib.parse import urlsplit

PATIENCE_S = 20.0
"""How long the client waits for any answer at all before it gives up."""


@dataclass(slots=True)
class Timing:
    """What one load came to. ``latencies`` in seconds, unsorted; ``statuses`` by HTTP code."""

    seconds: float
    latencies: list[float] = field(repr=False)
    statuses: Counter[int]

    @property
    def rate(self) -> float:
        """Answers per second."""
        return len(self.latencies) / self.seconds

    def percentile(self, share: float) -> float:
        """The latency (s) that this share of the answers did not exceed."""
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def request(url: str, body: bytes, headers: dict[str, str]) -> bytes:
    """A POST as it goes over the wire."""
    parts = urlsplit(url)
    path = parts.path + (f"?{parts.query}" if parts.query else "")
    lines = [f"POST {path} HTTP/1.1", f"Host: {parts.netloc}", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


class _Connection:
    __slots__ = ("buffer", "sent_at", "socket")

    def __init__(self, address: tuple[str, int]) -> None:
        self.socket = socket.create_connection(address)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b""
        self.sent_at = 0.0


def _drive(address: tuple[str, int], requests: Sequence[bytes], connections: int) -> Timing:
    poll = select.epoll()
    latencies: list[float] = []
    statuses: Counter[int] = Counter()
    waiting = iter(requests)
    by_fd: dict[int, _Connection] = {}
    clock = time.perf_counter
    started = clock()
    try:
        for _ in range(min(connections, len(requests))):
            connection = _Connection(address)
            by_fd[connection.socket.fileno()] = connection
            poll.register(connection.socket, select.EPOLLIN)
            _send(connection, waiting)
        while len(latencies) < len(requests):
            events = poll.poll(PATIENCE_S)
            if not events:
                raise TimeoutError(f"no answer within {PATIENCE_S:g} s")
            for fd, _ in events:
                connection = by_fd[fd]
                status = _answer(connection)
                if status is None:
                    continue
                latencies.append(clock() - connection.sent_at)
                statuses[status] += 1
                _send(connection, waiting)
        return Timing(clock() - started, latencies, statuses)
    finally:
        for connection in by_fd.values():
            connection.socket.close()
        poll.close()


def _send(connection: _Connection, waiting: Iterator[bytes]) -> None:
    data = next(waiting, None)
    if data is not None:
        connection.sent_at = time.perf_counter()
        connection.socket.sendall(data)


def _answer(connection: _Connection) -> int | None:
    """The status of a whole answer; None while a part of it is missing."""
    data = connection.socket.recv(65_536)
    if not data:
        raise ConnectionError("the server closed a connection")
    buffer = connection.buffer = connection.buffer + data
    head, gap, body = buffer.partition(b"\r\n\r\n")
    if not gap:
        return None
    at = head.lower().find(b"content-length:")
    length = int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
    if len(body) < length:
        return None
    connection.buffer = b""
    return int(head[9:12])


def drive(url: str, requests: Sequence[bytes], connections: int = 32) -> Timing:
    """Send all requests and wait for their answers, in a process of its own."""
    parts = urlsplit(url)
    address = (parts.hostname or "127.0.0.1", parts.port or 80)
    with ProcessPoolExecutor(1, mp_context=get_context("fork")) as pool:
        return pool.submit(_drive, address, requests, connections).result()
