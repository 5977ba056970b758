"""The load: prepared requests over keep-alive connections, as fast as they are answered.

One thread and ``epoll``, so that the client costs as little as possible of what it measures. A
request is its bytes on the wire; building and signing them is done before the clock starts.
``drive`` goes as fast as it can, or as a window lets it; ``one_by_one`` sends now and then.
"""

from __future__ import annotations

import select
import socket
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from multiprocessing import get_context
from multiprocessing.connection import Connection as Pipe
from typing import Protocol
from urllib.parse import urlsplit

PATIENCE_S = 20.0
"""How long the client waits for any answer at all before it gives up."""

LOOK_S = 0.02
"""Between looks at whether the window has moved."""


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
        return percentile(self.latencies, share)


def percentile(values: Iterable[float], share: float) -> float:
    """The value that this share of them does not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def request(url: str, body: bytes, headers: dict[str, str], method: str = "POST") -> bytes:
    """A request as it goes over the wire."""
    parts = urlsplit(url)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    lines = [f"{method} {path} HTTP/1.1", f"Host: {parts.netloc}", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


class _Connection:
    __slots__ = ("buffer", "sent_at", "socket")

    def __init__(self, address: tuple[str, int]) -> None:
        self.socket = socket.create_connection(address, PATIENCE_S)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b""
        self.sent_at = 0.0

    def send(self, data: bytes) -> None:
        self.sent_at = time.perf_counter()
        self.socket.sendall(data)

    def answer(self) -> int | None:
        """The status of a whole answer; None while a part of it is missing."""
        data = self.socket.recv(65_536)
        if not data:
            raise ConnectionError("the server closed a connection")
        self.buffer += data
        head, gap, body = self.buffer.partition(b"\r\n\r\n")
        if not gap:
            return None
        at = head.lower().find(b"content-length:")
        if at >= 0:
            if len(body) < int(head[at + 15 :].split(b"\r\n", 1)[0]):
                return None
        elif b"transfer-encoding: chunked" in head.lower() and not body.endswith(b"0\r\n\r\n"):
            return None
        self.buffer = b""
        return int(head[9:12])


class _Number(Protocol):
    """A number that two processes see."""

    value: int


def _drive(
    address: tuple[str, int], requests: Sequence[bytes], connections: int, allowed: _Number
) -> Timing:
    poll = select.epoll()
    latencies: list[float] = []
    statuses: Counter[int] = Counter()
    by_fd: dict[int, _Connection] = {}
    free: deque[_Connection] = deque()
    clock = time.perf_counter
    sent, count = 0, len(requests)
    heard = started = clock()
    try:
        for _ in range(min(connections, count)):
            connection = _Connection(address)
            by_fd[connection.socket.fileno()] = connection
            poll.register(connection.socket, select.EPOLLIN)
            free.append(connection)
        while len(latencies) < count:
            while free and sent < min(count, allowed.value):
                free.popleft().send(requests[sent])
                sent += 1
            # whoever waits for the window looks at it again soon
            events = poll.poll(LOOK_S if free and sent < count else PATIENCE_S)
            for fd, _ in events:
                connection = by_fd[fd]
                status = connection.answer()
                if status is None:
                    continue
                heard = clock()
                latencies.append(heard - connection.sent_at)
                statuses[status] += 1
                if sent < min(count, allowed.value):
                    connection.send(requests[sent])
                    sent += 1
                else:
                    free.append(connection)
            if not events and clock() - heard > PATIENCE_S:
                raise TimeoutError(f"no answer within {PATIENCE_S:g} s")
        return Timing(clock() - started, latencies, statuses)
    finally:
        for connection in by_fd.values():
            connection.socket.close()
        poll.close()


def _tell(
    pipe: Pipe,
    address: tuple[str, int],
    requests: Sequence[bytes],
    connections: int,
    allowed: _Number,
) -> None:
    try:
        pipe.send(_drive(address, requests, connections, allowed))
    except Exception as error:  # noqa: BLE001 - the other process raises it
        pipe.send(error)


def drive(
    url: str,
    requests: Sequence[bytes],
    connections: int = 32,
    *,
    window: Callable[[], int] | None = None,
) -> Timing:
    """Send all requests and wait for their answers, in a process of its own.

    ``window``: says how many may have been sent by now; it is asked every ``LOOK_S``. Without it
    each connection sends as soon as it has its answer. Errors: ``TimeoutError``, ``OSError``.
    """
    address = _address(url)
    context = get_context("fork")
    allowed = context.RawValue("q", len(requests) if window is None else window())
    here, there = context.Pipe(duplex=False)
    process = context.Process(target=_tell, args=(there, address, requests, connections, allowed))
    process.start()
    there.close()
    try:
        while not here.poll(PATIENCE_S if window is None else LOOK_S):
            if window is not None:
                allowed.value = window()
        told = here.recv()
    finally:
        process.join()
    if isinstance(told, Exception):
        raise told
    assert isinstance(told, Timing)  # noqa: S101
    return told


@dataclass(frozen=True, slots=True)
class Sent:
    """One request of ``one_by_one``. ``at``: before its first byte (monotonic seconds)."""

    at: float
    status: int


def one_by_one(
    url: str, make: Callable[[int], bytes], count: int, pause: Callable[[], float]
) -> list[Sent]:
    """So many requests over one connection, with pauses (s) between them."""
    connection = _Connection(_address(url))
    sent = []
    try:
        for number in range(count):
            data = make(number)
            time.sleep(pause())
            at = time.monotonic()
            connection.send(data)
            while (status := connection.answer()) is None:
                pass
            sent.append(Sent(at, status))
    finally:
        connection.socket.close()
    return sent


def _address(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    return parts.hostname or "127.0.0.1", parts.port or 80
