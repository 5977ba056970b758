"""Accepting: signed webhooks through the shipped configuration, against a bare Flask view."""

from __future__ import annotations

from collections.abc import Callable
from statistics import median

from bench import webhooks
from bench.client import Timing, drive
from bench.report import Report
from bench.rig import Rig, rig

ROUNDS = 5


def accept(engine: str) -> Report:
    """One event a webhook; 32 keep-alive connections, a worker beside it."""
    return _compare(
        "accept", engine, events=1, count=8000, least=1.4 if engine == "sqlite" else 1.2
    )


def bulk(engine: str) -> Report:
    """A hundred events a webhook."""
    return _compare("bulk", engine, events=100, count=1200, least=0.8)


def _compare(name: str, engine: str, *, events: int, count: int, least: float) -> Report:
    report = Report(name, engine)
    with rig(engine) as bridge:
        bridge.start_web()
        bridge.start_web("bench.bare:app")
        bridge.start_worker()

        def load(url: str) -> Callable[[], bytes]:
            return lambda: webhooks.app_webhook(url, webhooks.app_events(events))

        ours: list[Timing] = []
        bare: list[Timing] = []
        _warm(bridge, load)
        for _ in range(ROUNDS):
            requests = webhooks.prepared(count, load(bridge.url))
            ours.append(drive(bridge.url, requests))
            requests = webhooks.prepared(count, load(bridge.bare_url))
            bare.append(drive(bridge.bare_url, requests))
        accepted = sum(timing.statuses[200] for timing in ours)
        stored = bridge.count("SELECT count(*) FROM delivery")
    report.add("bridge", median(t.rate for t in ours), "requests/s")
    report.add("bare Flask view", median(t.rate for t in bare), "requests/s")
    ratio = median(a.rate / b.rate for a, b in zip(ours, bare, strict=True))
    report.add("ratio of rates", ratio, "", least=least)
    report.add("bridge p50", 1000 * median(t.percentile(0.5) for t in ours), "ms")
    report.add("bridge p99", 1000 * median(t.percentile(0.99) for t in ours), "ms")
    report.add("bare p99", 1000 * median(t.percentile(0.99) for t in bare), "ms")
    slower = median(
        a.percentile(0.99) / b.percentile(0.99) for a, b in zip(ours, bare, strict=True)
    )
    report.add("ratio of p99", slower, "", most=3)
    report.add("slowest request", max(max(t.latencies) for t in ours), "s", most=0.5)
    sent = sum(len(timing.latencies) for timing in ours)
    report.add("answers other than 200", sent - accepted, "", most=0)
    report.add("accepted and not stored", accepted + WARM - stored, "", most=0)
    return report


WARM = 500


def _warm(bridge: Rig, load: Callable[[str], Callable[[], bytes]]) -> None:
    for url in (bridge.url, bridge.bare_url):
        drive(url, webhooks.prepared(WARM, load(url)))
