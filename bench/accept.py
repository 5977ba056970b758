"""Accepting: signed webhooks through the shipped configuration, against a bare Flask view.

A peer (``--peer URL``) takes its turn with the same load; if it is told the sink's address, what
it makes of the load is counted there.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from statistics import median

from bench import books, webhooks
from bench.client import Timing, drive
from bench.options import Options
from bench.report import Report
from bench.rig import Rig, rig, wait_for

ROUNDS = 5
WARM = 500
QUIET_S = 1.0
"""A peer has ended its work when the sink has heard nothing of it for so long."""


def accept(engine: str, options: Options) -> Report:
    """One event a webhook; 32 keep-alive connections, a worker beside it."""
    least = 1.4 if engine == "sqlite" else 1.2
    return _compare("accept", engine, options, events=1, count=8000, least=least)


def bulk(engine: str, options: Options) -> Report:
    """A hundred events a webhook."""
    return _compare("bulk", engine, options, events=100, count=1200, least=0.8)


@dataclass(slots=True)
class _Peer:
    """Whoever else gets the load, and what the sink heard of it."""

    url: str
    timings: list[Timing] = field(default_factory=list)
    calls: int = 0
    leads: int = 0

    def take_turn(self, bridge: Rig, count: int, events: int) -> None:
        before = bridge.seen()
        requests = webhooks.prepared(
            count, lambda: webhooks.app_request(self.url, webhooks.app_events(events))
        )
        self.timings.append(drive(self.url, requests))
        after = _quiet(bridge)
        self.calls += sum(after[name] - before[name] for name in ("calls", "other"))
        self.leads += after["leads"] - before["leads"]


def _compare(
    name: str, engine: str, options: Options, *, events: int, count: int, least: float
) -> Report:
    report = Report(name, engine)
    count, rounds = options.size or count, options.rounds or ROUNDS
    warm = min(WARM, count)
    report.load = f"{rounds} rounds of {count:,} webhooks of {events}, in turns, 32 connections"
    peer = _Peer(options.peer) if options.peer else None
    with rig(engine, sink_port=options.sink_port) as bridge:
        report.durability = bridge.durability()
        bridge.start_web()
        bridge.start_web("bench.bare:app")
        bridge.start_worker()

        def load(url: str) -> Callable[[], bytes]:
            return lambda: webhooks.app_webhook(url, webhooks.app_events(events))

        ours: list[Timing] = []
        bare: list[Timing] = []
        for url in (bridge.url, bridge.bare_url):
            drive(url, webhooks.prepared(warm, load(url)))
        bridge.settle()
        for _ in range(rounds):
            requests = webhooks.prepared(count, load(bridge.url))
            ours.append(drive(bridge.url, requests))
            bridge.settle()  # the worker would slow down whoever is next
            requests = webhooks.prepared(count, load(bridge.bare_url))
            bare.append(drive(bridge.bare_url, requests))
            if peer is not None:
                peer.take_turn(bridge, count, events)
        accepted = warm + sum(timing.statuses[200] for timing in ours)
        _figures(report, ours, bare, least)
        if peer is not None:
            _peer_figures(report, peer, ours)
        sent = sum(len(timing.latencies) for timing in ours)
        report.add("answers other than 200", sent + warm - accepted, "", most=0)
        alone = peer is None or not peer.leads
        total = accepted * events
        books.check(report, bridge, deliveries=accepted, events=total, sink=alone)
    return report


def _figures(report: Report, ours: list[Timing], bare: list[Timing], least: float) -> None:
    report.add("bridge", median(t.rate for t in ours), "requests/s")
    report.add("bare Flask view", median(t.rate for t in bare), "requests/s")
    ratio = median(a.rate / b.rate for a, b in zip(ours, bare, strict=True))
    report.add("ratio of rates", ratio, "", least=least)
    report.add("bridge p50", 1000 * median(t.percentile(0.5) for t in ours), "ms")
    report.add("bare p50", 1000 * median(t.percentile(0.5) for t in bare), "ms")
    report.add("bridge p99", 1000 * median(t.percentile(0.99) for t in ours), "ms")
    report.add("bare p99", 1000 * median(t.percentile(0.99) for t in bare), "ms")
    slower = median(
        a.percentile(0.99) / b.percentile(0.99) for a, b in zip(ours, bare, strict=True)
    )
    report.add("ratio of p99", slower, "", most=3)
    report.add("slowest request", max(max(t.latencies) for t in ours), "s", most=0.5)


def _peer_figures(report: Report, peer: _Peer, ours: list[Timing]) -> None:
    report.add("peer", median(t.rate for t in peer.timings), "requests/s")
    ratio = median(a.rate / b.rate for a, b in zip(ours, peer.timings, strict=True))
    report.add("bridge's rate to the peer's", ratio, "")
    report.add("peer p50", 1000 * median(t.percentile(0.5) for t in peer.timings), "ms")
    report.add("peer p99", 1000 * median(t.percentile(0.99) for t in peer.timings), "ms")
    sent = sum(len(t.latencies) for t in peer.timings)
    good = sum(n for t in peer.timings for status, n in t.statuses.items() if status < 300)
    report.add("peer's answers other than 2xx", sent - good, "")
    report.add("peer's calls of the sink", peer.calls, "")


def _quiet(bridge: Rig) -> dict[str, int]:
    """The sink's counts once they stand still."""
    last, since = bridge.seen(), time.monotonic()

    def still() -> bool:
        nonlocal last, since
        now = bridge.seen()
        if now != last:
            last, since = now, time.monotonic()
        return time.monotonic() - since > QUIET_S

    wait_for(still, 600, "the end of the peer's work", every_s=0.05)
    return last
