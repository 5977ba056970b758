"""Draining: what one worker makes of a backlog that is there when it starts."""

from __future__ import annotations

import time

from bench import books, webhooks
from bench.options import Options
from bench.report import Report
from bench.rig import Rig, cpu_seconds, resident_bytes, rig, wait_for
from bench.sink import phone_of
from bridge.clock import now_ms
from bridge.receive.accept import new_receipt
from bridge.store import deliveries
from bridge.store.deliveries import NewDelivery

BACKLOG = 200_000
LEAST = {"sqlite": 12_000.0, "postgresql": 9_000.0}


def store(bridge: Rig, count: int, *, first: int = 0) -> None:
    """Store deliveries of one event each, as the web process would; each is of a lead of its own,
    the leads' numbers beginning with ``first``."""
    for start in range(first, first + count, 1000):
        rows = []
        for number in range(start, min(start + 1000, first + count)):
            at = now_ms()
            rows.append(
                NewDelivery(
                    receipt=new_receipt(at),
                    source="hubspot-workflow",
                    received_at=at,
                    method="POST",
                    path="/hooks/hubspot-workflow",
                    query={},
                    headers={"content-type": "application/json"},
                    body=webhooks.workflow_body(phone_of(number), opt_out=False),
                    address="127.0.0.1",
                    scheme="hubspot_v2",
                )
            )
        with bridge.database.write() as connection:
            deliveries.add(connection, rows)


def drain(engine: str, options: Options) -> Report:
    """A backlog of single-lead events, each for a lead of its own."""
    report = Report("drain", engine)
    count = options.size or BACKLOG
    report.load = f"{count:,} events, one worker, a call answered at once"
    with rig(engine) as bridge:
        report.durability = bridge.durability()
        store(bridge, count)
        worker = bridge.start_worker()
        started = time.monotonic()  # its start is measured by start-up, not here
        wait_for(lambda: bridge.seen()["leads"] >= count, 600, "all leads sent")
        bridge.settle(60)
        seconds = time.monotonic() - started
        report.add("leads drained by one worker", count / seconds, "leads/s", least=LEAST[engine])
        report.add("processor time of the worker", cpu_seconds(worker.pid) / count * 1e6, "µs/lead")
        report.add("memory of the worker", resident_bytes(worker.pid) / 1e6, "MB")
        report.add("calls", bridge.seen()["calls"], "")
        books.check(report, bridge, deliveries=count, events=count)
    return report
