"""Draining: what one worker makes of a backlog that is there when it starts."""

from __future__ import annotations

import time

from bench import webhooks
from bench.report import Report
from bench.rig import Rig, cpu_seconds, resident_bytes, rig, wait_for
from bench.sink import phone_of
from bridge.clock import now_ms
from bridge.receive.accept import new_receipt
from bridge.store import deliveries
from bridge.store.deliveries import NewDelivery

BACKLOG = 200_000
LEAST = {"sqlite": 12_000.0, "postgresql": 9_000.0}


def fill(bridge: Rig, count: int, *, leads: int, opt_out: bool = False) -> None:
    """Store deliveries of one event each, as the web process would."""
    for start in range(0, count, 1000):
        rows = []
        for number in range(start, min(start + 1000, count)):
            body = webhooks.workflow_body(phone_of(number % leads), opt_out=opt_out)
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
                    body=body,
                    address="127.0.0.1",
                    scheme="hubspot_v2",
                )
            )
        with bridge.database.write() as connection:
            deliveries.add(connection, rows)


def drain(engine: str, count: int = BACKLOG) -> Report:
    """A backlog of single-lead events, each for a lead of its own."""
    report = Report("drain", engine)
    with rig(engine) as bridge:
        fill(bridge, count, leads=count)
        started = time.monotonic()
        worker = bridge.start_worker()
        wait_for(lambda: bridge.seen()["leads"] >= count, 600, "all leads sent")
        wait_for(bridge.settled, 60, "all outcomes")
        seconds = time.monotonic() - started
        report.add("leads drained by one worker", count / seconds, "leads/s", least=LEAST[engine])
        report.add("processor time of the worker", cpu_seconds(worker.pid) / count * 1e6, "µs/lead")
        report.add("memory of the worker", resident_bytes(worker.pid) / 1e6, "MB")
        report.add("calls", bridge.seen()["calls"], "")
        updated = bridge.count("SELECT count(*) FROM outcome WHERE state = 'updated'")
        report.add("events without their outcome", count - updated, "", most=0)
    return report
