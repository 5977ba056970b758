"""Latency under a backlog: an opt-out's time while a million updates wait to be sent."""

from __future__ import annotations

from random import Random

from bench import books, filling, opt_outs
from bench.client import percentile
from bench.options import Options
from bench.report import Report
from bench.rig import rig, wait_for
from bench.sink import phone_of

BACKLOG = 1_000_000
SPARE = 0.5
"""The worker sends meanwhile: so much more waits at the start, as a share of the backlog."""

OPT_OUTS = 200
PAUSES_S = (0.02, 0.18)


def backlog(engine: str, options: Options) -> Report:
    """Opt-outs come now and then while the worker is busy with the backlog.

    Every other one is of a lead that has an update in the backlog; an opt-out of such a lead that
    is just on its way has to wait for the answer.
    """
    least = options.size or BACKLOG
    count, opted = int(least * (1 + SPARE)), min(OPT_OUTS, least // 2 + 1)
    report = Report("backlog", engine, f"{opted:,} opt-outs while {least:,} updates or more wait")
    random = Random(1)  # noqa: S311 - lengths of pauses, and which leads
    with rig(engine) as bridge:
        report.durability = bridge.durability()
        filling.fill(bridge, count, filling.Rows.WAITING)
        waiting = random.sample(range(count // 2, count), opted // 2)
        phones = [phone_of(opt_outs.FIRST + number) for number in range(opted - len(waiting))]
        phones += [phone_of(filling.lead_number(number + 1)) for number in waiting]
        random.shuffle(phones)
        bridge.start_web()
        worker = bridge.start_worker()
        wait_for(lambda: bridge.seen()["calls"], 120, "the first call")
        sent = opt_outs.send(bridge, phones, lambda: random.uniform(*PAUSES_S))
        left = bridge.count("SELECT count(*) FROM outcome WHERE state = 'waiting'")
        took = opt_outs.times(bridge, phones, sent)
        bridge.stop(worker)  # it finishes what it has begun
        report.add("median", 1000 * percentile(took, 0.5), "ms")
        report.add("p99", percentile(took, 0.99), "s", most=1)
        report.add("slowest", max(took), "s")
        report.add("waiting after the last opt-out", left, "updates", least=least)
        accepted = sum(one.status == 200 for one in sent)
        report.add("answers other than 200", opted - accepted, "", most=0)
        confirmed = bridge.count(
            "SELECT count(*) FROM outcome WHERE opts_out AND state = 'updated'"
        )
        report.add("opt-outs not confirmed", abs(opted - confirmed), "", most=0)
        # a lead's update goes along with its opt-out, or in a call before it
        leads = bridge.count("SELECT count(DISTINCT lead_id) FROM outcome WHERE state = 'updated'")
        more = bridge.seen()["leads"] - leads
        report.add("leads sent", leads, "")
        report.add("leads confirmed and never sent", max(0, -more), "", most=0)
        report.add("leads sent for nothing", max(0, more - len(waiting)), "", most=0)
        events = bridge.count("SELECT count(*) FROM event")
        report.add("events missing", abs(count + accepted - events), "", most=0)
        books.audit(report, bridge)
    return report
