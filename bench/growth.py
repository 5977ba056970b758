"""Growth: what many stored events do to the rates of accepting, draining, searching and auditing.

Two bridges stand side by side, one with ten thousand events behind it and one with millions, and
take turns.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from random import Random
from statistics import median

from bench import books, filling, webhooks
from bench.client import drive, request
from bench.options import Options
from bench.report import Report
from bench.rig import Rig, rig, wait_for
from bench.sink import phone_of
from bridge.operate.audit import Audit

SMALL = 10_000
LARGE = {"sqlite": 1_000_000, "postgresql": 10_000_000}
ROUNDS = 5
EVENTS = 4_000
"""Webhooks of a turn."""

SEARCHES = 300
SEARCHERS = 2
LEAST = 0.8
TOKEN = "bench-console-token"  # noqa: S105 - only this folder knows it


@dataclass(slots=True)
class _Side:
    """One of the two bridges, and its rates by what they are of."""

    bridge: Rig
    filled: int
    random: Random
    rates: dict[str, list[float]] = field(default_factory=dict)
    accepted: int = 0
    refused: int = 0

    def note(self, name: str, rate: float) -> None:
        self.rates.setdefault(name, []).append(rate)

    def accept(self, count: int) -> None:
        """Webhooks of new leads, while no worker is there."""
        requests = []
        for number in range(self.accepted, self.accepted + count):
            phone = phone_of(filling.new_lead_number(number))
            body = webhooks.workflow_body(phone, opt_out=False)
            requests.append(webhooks.workflow_webhook(self.bridge.url, body))
        timing = drive(self.bridge.url, requests)
        self.accepted += timing.statuses[200]
        self.refused += count - timing.statuses[200]
        self.note("accept", timing.rate)

    def drain(self, count: int) -> None:
        """One worker makes outcomes of them."""
        worker = self.bridge.start_worker()
        started = time.monotonic()
        wait_for(lambda: self.bridge.seen()["events"] >= self.accepted, 600, "all leads sent")
        self.bridge.settle()
        self.note("drain", count / (time.monotonic() - started))
        self.bridge.stop(worker)

    def search(self, count: int) -> None:
        """What a person looks for: one lead, one delivery, the newest of a state."""
        numbers = [self.random.randint(1, self.filled) for _ in range(count)]
        requests = [self._search(turn, number) for turn, number in enumerate(numbers)]
        timing = drive(self.bridge.url, requests, SEARCHERS)
        self.refused += count - timing.statuses[200]
        self.note("search", timing.rate)

    def _search(self, turn: int, number: int) -> bytes:
        lead = (number - 1) // filling.EVENTS_OF_LEAD + 1
        wanted = (
            ("POST", "leads/search", {"text": phone_of(filling.lead_number(lead))}),
            ("GET", f"leads/{lead}", None),
            ("GET", f"outcomes?lead={lead}", None),
            ("GET", "outcomes?state=updated&campaign=main", None),
            ("GET", f"outcomes?cursor={number + 1}", None),
            ("GET", f"deliveries/{filling.receipt(number)}", None),
            ("GET", "deliveries?source=hubspot-workflow", None),
        )
        method, path, document = wanted[turn % len(wanted)]
        headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
        body = b"" if document is None else json.dumps(document).encode()
        return request(f"{self.bridge.url}/api/{path}", body, headers, method)

    def audit(self) -> int:
        """Every row is looked at; returns how many break a promise."""
        period = books.STANDING_PERIOD_MS
        found = Audit(self.bridge.database, standing_period=period, full=True).run()
        self.note("audit", 1000 * found.looked_at / max(1, found.elapsed_ms))
        return len(found.breaches)


def growth(engine: str, options: Options) -> Report:
    """The same work for both, in turns; the large one is audited once."""
    large_count = options.size or LARGE[engine]
    rounds, count = options.rounds or ROUNDS, min(EVENTS, large_count)
    report = Report("growth", engine)
    report.load = (
        f"{SMALL:,} and {large_count:,} events stored; {rounds} rounds of {count:,} webhooks "
        f"and {min(SEARCHES, count)} searches"
    )
    console = {"BRIDGE_CONSOLE_TOKEN": TOKEN}
    with rig(engine, settings=console) as few, rig(engine, settings=console) as many:
        report.durability = many.durability()
        small = _Side(few, min(SMALL, large_count), Random(1))  # noqa: S311 - what is searched for
        large = _Side(many, large_count, Random(1))  # noqa: S311
        for side in (small, large):
            filling.fill(side.bridge, side.filled, filling.Rows.DONE)
            side.bridge.start_web()
        for turn in range(rounds):
            order = (small, large) if turn % 2 == 0 else (large, small)
            for side in order:
                side.accept(count)
                side.drain(count)
            for side in order:
                side.search(min(SEARCHES, count))
        broken = small.audit() + large.audit() + small.audit()
        for name, unit in (
            ("accept", "events/s"),
            ("drain", "events/s"),
            ("search", "requests/s"),
            ("audit", "rows/s"),
        ):
            few_rate, many_rate = median(small.rates[name]), median(large.rates[name])
            report.add(f"{name}, {small.filled:,} stored", few_rate, unit)
            report.add(f"{name}, {large.filled:,} stored", many_rate, unit)
            report.add(
                f"{name}, ratio", _ratio(small.rates[name], large.rates[name]), "", least=LEAST
            )
        report.add("answers other than 200", small.refused + large.refused, "", most=0)
        report.add("rows that break a promise", broken, "", most=0)
        for side in (small, large):
            books.check_counts(
                report,
                side.bridge,
                deliveries=side.accepted,
                events=side.accepted,
                filled=side.filled,
            )
    return report


def _ratio(few: list[float], many: list[float]) -> float:
    """The large one's rate to the small one's, of the same turn where both had one."""
    if len(few) == len(many):
        return median(b / a for a, b in zip(few, many, strict=True))
    return median(many) / median(few)
