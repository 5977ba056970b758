"""Memory over time: every process of the bridge at full load for minutes."""

from __future__ import annotations

import itertools
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from statistics import median

from bench import books, webhooks
from bench.end_to_end import Flow, by_contact, workflow
from bench.options import Options
from bench.report import Report
from bench.rig import Rig, resident_bytes, rig

SECONDS = 600
PART = 4_000
"""Webhooks that are made at a time; a third of them have to be looked up."""

FIRST_LEAD = 2_500_000
"""Leads below it are of contacts that are looked up. A lead comes up again after millions."""

BEGIN = 0.2, 0.3
END = 0.9, 1.0
"""Which parts of the time are compared; what comes before is warming up."""

GROWTH = 5.0

POSTGRES = "postgresql's own"


class Memory:
    """What each process holds, looked at again and again by a thread of its own."""

    def __init__(self, processes: dict[str, Callable[[], int]], seconds: float) -> None:
        self._processes = processes
        self._started = time.monotonic()
        self._seconds = seconds
        self._end = threading.Event()
        self._samples: dict[str, list[tuple[float, int]]] = defaultdict(list)
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def _look(self) -> None:
        while not self._end.wait(min(1.0, self._seconds / 100)):
            share = (time.monotonic() - self._started) / self._seconds
            for name, held in self._processes.items():
                with suppress(OSError):  # it has ended, which is told in the end
                    self._samples[name].append((share, held()))

    def stop(self) -> None:
        """Look no more."""
        self._end.set()
        self._thread.join()

    def held(self, part: tuple[float, float]) -> dict[str, float]:
        """By process: the bytes that it held in a part of the time, in the middle."""
        return {
            name: median([held for at, held in found if part[0] <= at <= part[1]] or [found[-1][1]])
            for name, found in self._samples.items()
        }


def soak(engine: str, options: Options) -> Report:
    """Webhooks end to end, as fast as no backlog grows, a third of them with a look-up."""
    seconds = options.size or SECONDS
    report = Report("soak", engine, f"{seconds:,} s at full load, web and worker")
    others = webhooks.CONTACTS - FIRST_LEAD
    leads = (FIRST_LEAD + number % others for number in itertools.count())
    with rig(engine) as bridge:
        report.durability = bridge.durability()
        web, worker = bridge.start_web(), bridge.start_worker()
        flow = Flow(bridge)
        plain = partial(workflow, bridge.url, leads)
        loads = (plain, plain, partial(by_contact, bridge.url, FIRST_LEAD))
        part = min(PART, 100 * seconds)
        sent = 0
        ours = {"web, master": web.pid, "worker": worker.pid}
        ours.update({f"web {n}": pid for n, pid in enumerate(_children(web.pid), start=1)})
        memory = Memory(_held(bridge, ours), seconds)
        started = time.monotonic()
        while (lasted := time.monotonic() - started) < seconds:
            requests = [loads[number % len(loads)]() for number in range(part)]
            flow.drive(requests)
            sent += len(requests)
        memory.stop()
        bridge.settle()
        report.add("accepted = recorded", flow.accepted / lasted, "events/s")
        begin, end = memory.held(BEGIN), memory.held(END)
        for name, before in begin.items():
            report.add(f"{name}, at {100 * BEGIN[0]:.0f} % of the time", before / 1e6, "MB")
            report.add(f"{name}, at the end", end[name] / 1e6, "MB")
            growth = 100 * (end[name] / before - 1)
            if name == POSTGRES:  # not ours
                report.add(f"{name}, growth", growth, "%")
            else:
                report.add(f"{name}, growth", growth, "%", most=GROWTH)
        ended = sum(not Path(f"/proc/{pid}").exists() for pid in ours.values())
        report.add("processes that did not last", ended, "", most=0)
        report.add("answers other than 200", sent - flow.accepted, "", most=0)
        books.check(report, bridge, deliveries=flow.accepted, events=flow.accepted)
    return report


def _children(pid: int) -> list[int]:
    return [int(n) for n in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _private_bytes(server: int) -> int:
    """What PostgreSQL's processes hold beside the memory that they share."""
    held = 0
    for pid in _children(server):
        with suppress(OSError):
            status = Path(f"/proc/{pid}/status").read_text()
            held += 1024 * int(status.partition("RssAnon:")[2].split()[0])
    return held


def _held(bridge: Rig, ours: dict[str, int]) -> dict[str, Callable[[], int]]:
    """How to ask each process for what it holds."""
    found = {name: partial(resident_bytes, pid) for name, pid in ours.items()}
    if not bridge.database.is_sqlite:
        server = int((bridge.folder / "postgres" / "postmaster.pid").read_text().split()[0])
        found[POSTGRES] = partial(_private_bytes, server)
    return {**found}
