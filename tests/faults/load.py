"""Load at a steady pace, and what it shows: latencies, and how much memory processes take."""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from bridge_process import Bridge, Group

MEGABYTE = 1_000_000


@dataclass(frozen=True)
class Spread:
    """How long something took, in milliseconds."""

    count: int
    mean: float
    p50: float
    p99: float

    @classmethod
    def of(cls, milliseconds: Sequence[float]) -> Spread:
        """The spread of at least one value."""
        ordered = sorted(milliseconds)
        last = len(ordered) - 1
        return cls(
            len(ordered),
            statistics.fmean(ordered),
            ordered[round(last * 0.5)],
            ordered[round(last * 0.99)],
        )

    def __str__(self) -> str:
        return (
            f"mean {self.mean:.1f} ms, median {self.p50:.1f} ms, 99th percentile {self.p99:.1f} ms "
            f"({self.count})"
        )


def deliver_steadily(
    bridge: Bridge, bodies: Iterable[object], *, per_s: float, hands: int = 8
) -> list[float]:
    """Post deliveries at a pace, each until its 2xx; how long each took, in milliseconds.

    A delivery that is late for its turn (since the ones before were slow) goes at once, and its
    time still counts from its turn.
    """
    started = time.monotonic()
    turns = threading.Event()  # never set

    def one(numbered: tuple[int, object]) -> float:
        number, body = numbered
        turn = started + number / per_s
        turns.wait(max(0.0, turn - time.monotonic()))
        bridge.deliver("crm", body)
        return (time.monotonic() - turn) * 1000

    with ThreadPoolExecutor(hands) as pool:
        return list(pool.map(one, enumerate(bodies)))


def memory(groups: Iterable[Group]) -> int:
    """Bytes of memory that these processes and their children hold (resident)."""
    pids = [pid for group in groups for pid in (group.pid, *group.children())]
    return sum(_resident(pid) for pid in pids)


def _resident(pid: int) -> int:
    try:
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
    except OSError:
        return 0
    return 0


class Watch:
    """Looks at something every so often, from ``begin`` to ``end``; keeps what it saw."""

    def __init__(self, look: Callable[[], int], every_s: float = 0.5) -> None:
        self.seen: list[int] = []
        self._look = look
        self._every_s = every_s
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._over.is_set():
            self.seen.append(self._look())
            self._over.wait(self._every_s)
