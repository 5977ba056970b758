"""Calls: a burst of many events on few leads becomes few bulk calls, and nothing waits too long."""

from __future__ import annotations

import math

from bench import books, webhooks
from bench.client import drive
from bench.options import Options
from bench.report import Report
from bench.rig import rig
from bench.sink import phone_of

COUNT = 100_000
EVENTS_OF_LEAD = 20
EVENTS = 100
"""Events of a delivery."""

BATCH = 100
SPARE = 1.2
"""Calls over those that the leads alone take: 60 for 5,000 leads."""

ALLOWED_S = 1.0
"""What taking in and sending may take besides: an update's way is not nothing without linger."""

WAITS = """
SELECT max(coalesce(b.started_at, o.decided_at) - o.accepted_at)
FROM outcome o LEFT JOIN batch b ON b.id = o.batch_id
"""


def burst(engine: str, options: Options) -> Report:
    """Twenty events of each lead, as fast as they are accepted, with a linger that covers them.

    An update's wait is the time from its webhook to the start of the call that carries it, or
    that carries a newer one of the same lead.
    """
    count = options.size or COUNT
    leads = max(1, count // EVENTS_OF_LEAD)
    linger_s = max(1.0, count / 5000)
    report = Report("burst", engine)
    report.load = f"{count:,} events on {leads:,} leads, linger {linger_s:g} s, batches of {BATCH}"
    campaigns = {
        "defaults": {
            "rate": 10_000,
            "concurrency": 2,
            "batch_size": BATCH,
            "linger_ms": round(linger_s * 1000),
        },
        "campaigns": {"main": {"id": "camp_bench"}},
    }
    events = webhooks.lead_events(count, lambda number: phone_of(number * 7919 % leads))
    newest = {event.phone: event.number for event in events}
    with rig(engine, campaigns=campaigns) as bridge:
        report.durability = bridge.durability()
        bridge.start_web()
        bridge.start_worker()
        requests = [
            webhooks.generic_webhook(bridge.url, events[at : at + EVENTS])
            for at in range(0, count, EVENTS)
        ]
        timing = drive(bridge.url, requests)
        bridge.settle()
        seen = bridge.seen()
        report.add("events accepted", count / timing.seconds, "events/s")
        report.add("bulk calls", seen["calls"], "", most=math.ceil(SPARE * leads / BATCH))
        report.add("leads sent", seen["leads"], "")
        waited = bridge.count(WAITS) / 1000
        report.add("longest wait of an update", waited, "s", most=linger_s + ALLOWED_S)
        report.add("events to a call", count / seen["calls"], "")
        accepted = timing.statuses[200]
        report.add("answers other than 200", len(requests) - accepted, "", most=0)
        books.check_merged(
            report, bridge, deliveries=accepted, events=count, newest=set(newest.values())
        )
    return report
