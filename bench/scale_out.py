"""Scaling out: three workers against one, with an API that takes its time, on one PostgreSQL.

Two loads: calls of a hundred leads, as shipped, where the processor may be what is short; and
calls of ten, where workers mostly wait for the API, so that the processor is not.
"""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass
from statistics import median

from bench import books
from bench.drain import store
from bench.machine import Cores
from bench.options import Options
from bench.report import Report
from bench.rig import Rig, cpu_seconds, rig, wait_for
from bridge.store.wakeup import notify

EVENTS = 10_000
CAMPAIGNS = 12
DELAY_S = 0.1
WORKERS = 3
ROUNDS = 3
LEAST = 2.2
FULL = 0.9
"""From this share of its cores on, the machine cannot do much more."""


@dataclass(frozen=True, slots=True)
class _Turn:
    """Updates a second, and how much of the cores was busy and was the workers' (0 to 1)."""

    rate: float
    busy: float
    ours: float


def scale_out(engine: str, options: Options) -> Report:
    """The same backlog for one worker and for three, in turns."""
    count, rounds = options.size or EVENTS, options.rounds or ROUNDS
    report = Report("scale-out", engine)
    report.load = (
        f"{rounds} rounds of {count:,} events for {CAMPAIGNS} campaigns, in turns; "
        f"a call takes {1000 * DELAY_S:g} ms"
    )
    for batch, events in ((100, count), (10, max(1, count // 10))):
        _compare(report, engine, batch, events, rounds)
    return report


def _compare(report: Report, engine: str, batch: int, events: int, rounds: int) -> None:
    campaigns = {
        "defaults": {"batch_size": batch},
        "campaigns": {f"c{n}": {"id": f"camp_{n}"} for n in range(CAMPAIGNS)},
    }
    one: list[_Turn] = []
    many: list[_Turn] = []
    with rig(engine, delay_s=DELAY_S, campaigns=campaigns) as bridge:
        report.durability = bridge.durability()
        for turn in range(rounds):
            one.append(_drain(bridge, 1, events, first=2 * turn * events))
            many.append(_drain(bridge, WORKERS, events, first=(2 * turn + 1) * events))
        size = f"calls of {batch}"
        for name, turns in (("one worker", one), (f"{WORKERS} workers", many)):
            report.add(f"{size}, {name}", median(t.rate for t in turns), "updates/s")
            report.add("  cores busy", 100 * median(t.busy for t in turns), "%")
            report.add("  of which the workers", 100 * median(t.ours for t in turns), "%")
        ratio = median(b.rate / a.rate for a, b in zip(one, many, strict=True))
        if ratio < LEAST and (busy := median(t.busy for t in many)) >= FULL:
            why = f"at least {LEAST:g}, but {100 * busy:.0f} % of the cores were busy"
            report.note(f"{size}, ratio", ratio, "", why)
        else:
            report.add(f"{size}, ratio", ratio, "", least=LEAST)
        total = 2 * rounds * events
        books.check(report, bridge, deliveries=total, events=total, updates=CAMPAIGNS)


def _drain(bridge: Rig, workers: int, events: int, *, first: int) -> _Turn:
    """One turn: the workers stand still until the backlog is there."""
    before = bridge.seen()["leads"]
    running = [bridge.start_worker() for _ in range(workers)]
    for worker in running:
        os.kill(worker.pid, signal.SIGSTOP)
    try:
        store(bridge, events, first=first)
    finally:
        for worker in running:
            os.kill(worker.pid, signal.SIGCONT)
    started, cores = time.monotonic(), Cores.now()
    used = sum(cpu_seconds(worker.pid) for worker in running)
    with bridge.database.write() as connection:
        notify(connection)
    wanted = before + events * CAMPAIGNS
    wait_for(lambda: bridge.seen()["leads"] >= wanted, 600, "all updates sent", every_s=0.05)
    bridge.settle()
    seconds = time.monotonic() - started
    used = sum(cpu_seconds(worker.pid) for worker in running) - used
    busy = sum(Cores.now().since(cores))  # what the host took, nobody here could use
    for worker in running:
        bridge.stop(worker)
    all_cores = seconds * (os.cpu_count() or 1)
    return _Turn(events * CAMPAIGNS / seconds, busy, used / all_cores)
