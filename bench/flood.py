"""Latency in a flood: opt-outs come one by one while webhooks come as fast as they are accepted."""

from __future__ import annotations

import threading
from random import Random

from bench import books, opt_outs, webhooks
from bench.client import Timing, drive, percentile
from bench.options import Options
from bench.report import Report
from bench.rig import rig
from bench.sink import phone_of

WEBHOOKS = 60_000
PART = 10_000
"""Webhooks that are made at a time."""

OPT_OUTS = 200
PAUSES_S = (0.02, 0.08)
"""Before each opt-out. Together they last for ten seconds, which is about what the flood lasts at
6,000 webhooks a second; those that come later stand behind what it has left."""


def flood(engine: str, options: Options) -> Report:
    """Opt-outs that come with the flood and right after it, over a connection of their own."""
    count = options.size or WEBHOOKS
    report = Report("flood", engine, f"{OPT_OUTS} opt-outs, {count:,} other webhooks meanwhile")
    random = Random(1)  # noqa: S311 - lengths of pauses
    phones = [phone_of(opt_outs.FIRST + number) for number in range(OPT_OUTS)]
    with rig(engine) as bridge:
        report.durability = bridge.durability()
        bridge.start_web()
        bridge.start_worker()
        requests = [
            webhooks.workflow_webhook(
                bridge.url, webhooks.workflow_body(phone_of(number), opt_out=False)
            )
            for number in range(count)
        ]
        timings: list[Timing] = []

        def come() -> None:
            timings.extend(
                drive(bridge.url, requests[at : at + PART]) for at in range(0, count, PART)
            )

        coming = threading.Thread(target=come)
        coming.start()
        sent = opt_outs.send(bridge, phones, lambda: random.uniform(*PAUSES_S))
        coming.join()
        took = opt_outs.times(bridge, phones, sent)
        report.add("accepted in the flood", count / sum(t.seconds for t in timings), "requests/s")
        report.add("median", 1000 * percentile(took, 0.5), "ms")
        report.add("p99", percentile(took, 0.99), "s", most=1)
        report.add("slowest", max(took), "s")
        accepted = sum(one.status == 200 for one in sent) + sum(t.statuses[200] for t in timings)
        report.add("answers other than 200", OPT_OUTS + count - accepted, "", most=0)
        bridge.settle()
        books.check(report, bridge, deliveries=accepted, events=accepted)
    return report
