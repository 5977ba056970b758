"""The machine that something was measured on, and how much of it there was.

A rented machine's cores are shares of somebody's: what its host gives to others meanwhile is
missing in every figure, and two cores may do the work of one and a half.
"""

from __future__ import annotations

import os
import platform
import sqlite3
import time
from dataclasses import dataclass
from importlib.metadata import version
from multiprocessing import get_context
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

LIBRARIES = ("flask", "gunicorn", "gevent", "sqlalchemy", "psycopg", "httpx", "orjson", "isal")
LOOPS = 2_000_000
"""Turns of an empty loop by which cores are compared: a tenth of a second or less."""


@dataclass(frozen=True, slots=True)
class Cores:
    """The processor time of all cores so far, in ticks: in use by anybody here; taken by the host
    for somebody else; in all."""

    used: int
    taken: int
    total: int

    @classmethod
    def now(cls) -> Cores:
        """As the system has counted since its start."""
        fields = [int(n) for n in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
        idle, taken, total = fields[3] + fields[4], fields[7], sum(fields)
        return cls(total - idle - taken, taken, total)

    def since(self, before: Cores) -> tuple[float, float]:
        """The shares of the time since then (0 to 1): in use, and taken."""
        total = max(1, self.total - before.total)
        return (self.used - before.used) / total, (self.taken - before.taken) / total


def whole_cores() -> float:
    """How many times the work of one core all of them do at once."""
    count = os.cpu_count() or 1
    alone, together = min(_loops(1) for _ in range(3)), min(_loops(count) for _ in range(3))
    # more is a turn in which the host took more from the one than from all of them
    return min(float(count), count * alone / together)


def _loops(count: int) -> float:
    """Seconds that so many processes take for a loop of each, the slowest of them."""
    context = get_context("fork")
    start = context.Barrier(count)
    took = context.SimpleQueue()
    processes = [context.Process(target=_loop, args=(start, took)) for _ in range(count)]
    for process in processes:
        process.start()
    slowest = max(took.get() for _ in processes)
    for process in processes:
        process.join()
    return float(slowest)


def _loop(start: Barrier, took: Any) -> None:
    start.wait()
    began = time.perf_counter()
    for _ in range(LOOPS):
        pass
    took.put(time.perf_counter() - began)


def machine() -> dict[str, Any]:
    """Where and with what something is measured."""
    model = ""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    return {
        "processor": model,
        "cores": os.cpu_count(),
        "whole cores": round(whole_cores(), 2),
        "system": platform.platform(),
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "libraries": {name: version(name) for name in LIBRARIES},
    }
