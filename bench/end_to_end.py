"""End to end: accepted and recorded at one rate, against a bare Flask view.

How fast webhooks are accepted says nothing about what can be sustained. So the client keeps a
window: no more than ``WINDOW`` events may be on their way between the webhook and the bulk call.
What comes out is a rate at which no backlog can grow. The time ends with the last outcome.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import partial
from statistics import median

from bench import books, webhooks
from bench.client import Timing, drive
from bench.options import Options
from bench.report import Report
from bench.rig import Rig, rig
from bench.sink import phone_of

COUNT = 20_000
ROUNDS = 3
WARM = 500
WINDOW = 4_000
"""Events on their way at most: at the rates that are asked for, less than a second's."""

Load = Callable[[str], bytes]


class Flow:
    """A load of one event a request that keeps to its window, over a sink that nobody else uses.

    ``most``: the most events that were on their way when a part of the load had been accepted.
    """

    def __init__(self, bridge: Rig) -> None:
        self._bridge = bridge
        self.accepted = 0
        self.most = 0

    def drive(self, requests: list[bytes]) -> Timing:
        """Send them all; those of earlier calls that are still on their way count as well."""
        done = self.accepted

        def window() -> int:
            return self._bridge.seen()["events"] + WINDOW - done

        timing = drive(self._bridge.url, requests, window=window)
        self.accepted += timing.statuses[200]
        self.most = max(self.most, self.accepted - self._bridge.seen()["events"])
        return timing


def workflow(url: str, leads: Iterator[int]) -> bytes:
    """A webhook with the phone number of the next lead in it."""
    body = webhooks.workflow_body(phone_of(next(leads)), opt_out=False)
    return webhooks.workflow_webhook(url, body)


def by_contact(url: str, contacts: int = webhooks.CONTACTS) -> bytes:
    """A webhook that names the next of so many contacts, which has to be read."""
    return webhooks.app_webhook(url, webhooks.app_events(1, contacts=contacts))


def end_to_end(engine: str, options: Options) -> Report:
    """Webhooks that hold all that is to be sent."""
    load = partial(workflow, leads=iter(range(webhooks.CONTACTS)))
    return _compare("end-to-end", engine, options, load, least=1.1)


def with_look_ups(engine: str, options: Options) -> Report:
    """Webhooks whose contact has to be looked up first, answered locally and at once."""
    return _compare("look-ups", engine, options, by_contact, least=0.7)


def _compare(name: str, engine: str, options: Options, load: Load, *, least: float) -> Report:
    count, rounds = options.size or COUNT, options.rounds or ROUNDS
    warm = min(WARM, count)
    report = Report(name, engine)
    report.load = f"{rounds} rounds of {count:,} webhooks, in turns, 32 connections"
    with rig(engine) as bridge:
        report.durability = bridge.durability()
        bridge.start_web()
        bridge.start_web("bench.bare:app")
        bridge.start_worker()
        flow = Flow(bridge)
        ours: list[Timing] = []
        bare: list[Timing] = []
        rates: list[float] = []
        flow.drive(webhooks.prepared(warm, partial(load, bridge.url)))
        drive(bridge.bare_url, webhooks.prepared(warm, partial(load, bridge.bare_url)))
        bridge.settle()
        for _ in range(rounds):
            requests = webhooks.prepared(count, partial(load, bridge.url))
            started = time.monotonic()
            ours.append(flow.drive(requests))
            bridge.settle()
            rates.append(count / (time.monotonic() - started))
            requests = webhooks.prepared(count, partial(load, bridge.bare_url))
            bare.append(drive(bridge.bare_url, requests))
        report.add("accepted = recorded", median(rates), "events/s")
        report.add("bare Flask view", median(t.rate for t in bare), "requests/s")
        ratio = median(rate / b.rate for rate, b in zip(rates, bare, strict=True))
        report.add("ratio of rates", ratio, "", least=least)
        report.add("bridge p50", 1000 * median(t.percentile(0.5) for t in ours), "ms")
        report.add("bridge p99", 1000 * median(t.percentile(0.99) for t in ours), "ms")
        report.add("on their way when the last was accepted", flow.most, "events", most=WINDOW)
        refused = warm + rounds * count - flow.accepted
        report.add("answers other than 200", refused, "", most=0)
        books.check(report, bridge, deliveries=flow.accepted, events=flow.accepted)
    return report
