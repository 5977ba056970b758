"""Latency when idle: an opt-out's time from its webhook's first byte to the bulk call's last."""

from __future__ import annotations

from random import Random

from bench import books
from bench.client import percentile
from bench.opt_outs import FIRST, send, times
from bench.options import Options
from bench.report import Report
from bench.rig import rig
from bench.sink import phone_of

COUNT = 300
WARM = 20
PAUSES_S = (0.02, 0.4)
"""Pauses of any length between these, so that no interval of the bridge's own keeps step."""


def idle(engine: str, options: Options) -> Report:
    """Opt-outs now and then, nothing else to do."""
    count = options.size or COUNT
    warm = min(WARM, count)
    report = Report("idle", engine, f"{count:,} opt-outs, a pause of {PAUSES_S} s before each")
    random = Random(1)  # noqa: S311 - lengths of pauses
    with rig(engine) as bridge:
        report.durability = bridge.durability()
        bridge.start_web()
        bridge.start_worker()
        phones = [phone_of(FIRST + number) for number in range(warm + count)]
        sent = send(bridge, phones, lambda: random.uniform(*PAUSES_S))
        took = times(bridge, phones, sent)[warm:]
        report.add("median", 1000 * percentile(took, 0.5), "ms", most=15)
        report.add("p99", 1000 * percentile(took, 0.99), "ms", most=50)
        report.add("slowest", 1000 * max(took), "ms")
        bridge.settle()
        accepted = sum(one.status == 200 for one in sent)
        report.add("answers other than 200", len(sent) - accepted, "", most=0)
        books.check(report, bridge, deliveries=accepted, events=accepted)
    return report
