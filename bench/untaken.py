"""Latency behind deliveries that nobody has taken in: as after a worker was away for a while."""

from __future__ import annotations

from random import Random

from bench import books, drain, opt_outs
from bench.client import percentile
from bench.options import Options
from bench.report import Report
from bench.rig import rig, wait_for
from bench.sink import phone_of

DELIVERIES = 100_000
OPT_OUTS = 50
PAUSES_S = (0.02, 0.08)


def untaken(engine: str, options: Options) -> Report:
    """Opt-outs come one by one behind a backlog that a worker has just begun to take in."""
    count = options.size or DELIVERIES
    report = Report("untaken", engine, f"{OPT_OUTS} opt-outs behind {count:,} deliveries")
    random = Random(1)  # noqa: S311 - lengths of pauses
    phones = [phone_of(opt_outs.FIRST + number) for number in range(OPT_OUTS)]
    with rig(engine) as bridge:
        report.durability = bridge.durability()
        drain.store(bridge, count)
        bridge.start_web()
        bridge.start_worker()
        wait_for(lambda: bridge.seen()["calls"], 120, "the first call")
        sent = opt_outs.send(bridge, phones, lambda: random.uniform(*PAUSES_S))
        took = opt_outs.times(bridge, phones, sent)
        waiting = bridge.count("SELECT count(*) FROM delivery WHERE state = 'stored'")
        report.add("median", 1000 * percentile(took, 0.5), "ms")
        report.add("p99", percentile(took, 0.99), "s", most=1)
        report.add("not taken in after the last opt-out", waiting, "deliveries", least=1)
        accepted = sum(one.status == 200 for one in sent)
        report.add("answers other than 200", OPT_OUTS - accepted, "", most=0)
        bridge.settle()
        books.check(report, bridge, deliveries=count + accepted, events=count + accepted)
    return report
