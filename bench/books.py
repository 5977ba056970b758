"""What was accepted is what was stored, recorded and sent: the last rows of every table."""

from __future__ import annotations

from bench.report import Report
from bench.rig import Rig
from bridge.operate.audit import Audit

STANDING_PERIOD_MS = 1826 * 86_400_000


def check(
    report: Report,
    bridge: Rig,
    *,
    deliveries: int,
    events: int,
    updates: int = 1,
    sink: bool = True,
) -> None:
    """Add the rows that have to be nought, once all work has ended: counts, and the audit."""
    check_counts(report, bridge, deliveries=deliveries, events=events, updates=updates, sink=sink)
    audit(report, bridge)


def check_counts(
    report: Report,
    bridge: Rig,
    *,
    deliveries: int,
    events: int,
    updates: int = 1,
    filled: int = 0,
    sink: bool = True,
) -> None:
    """The counts alone.

    ``deliveries``, ``events``: how many the client knows to be accepted. ``updates``: how many
    each event comes to. ``filled``: events that were there before, each with its delivery and its
    update confirmed. Each event is of a lead that no other event is about, so the sink has to
    have seen each of them once per update, and nothing else; ``sink`` False: others use it too.
    """
    states = _stored(report, bridge, deliveries + filled, events + filled)
    updated = states.pop("updated", 0) - filled
    report.add("updates not confirmed", abs(events * updates - updated), "", most=0)
    report.add("outcomes of another kind", sum(states.values()), "", most=0)
    if sink:
        seen = bridge.seen()
        report.add("events never sent", abs(events - seen["events"]), "", most=0)
        twice = abs(seen["again"] - events * (updates - 1))
        report.add("updates sent twice, or without an event", twice, "", most=0)


def check_merged(
    report: Report, bridge: Rig, *, deliveries: int, events: int, newest: set[int]
) -> None:
    """The same where several events are of one lead, and what is older is never sent alone.

    ``newest``: the numbers of the events that are the last of their lead.
    """
    states = _stored(report, bridge, deliveries, events)
    ended = states.pop("updated", 0) + states.pop("superseded", 0)
    report.add("updates not confirmed or superseded", abs(events - ended), "", most=0)
    report.add("outcomes of another kind", sum(states.values()), "", most=0)
    named = bridge.events_seen()
    report.add("newest updates never sent", len(newest - named), "", most=0)
    report.add("updates sent twice", bridge.seen()["again"], "", most=0)
    audit(report, bridge)


def audit(report: Report, bridge: Rig) -> None:
    """The bridge's own proof: every row is looked at."""
    found = Audit(bridge.database, standing_period=STANDING_PERIOD_MS, full=True).run()
    report.add("rows that break a promise", len(found.breaches), "", most=0)


def _stored(report: Report, bridge: Rig, deliveries: int, events: int) -> dict[str, int]:
    stored = bridge.count("SELECT count(*) FROM delivery")
    report.add("deliveries accepted and not stored", abs(deliveries - stored), "", most=0)
    known = bridge.count("SELECT count(*) FROM event")
    report.add("events not taken in", abs(events - known), "", most=0)
    return bridge.counts("SELECT state, count(*) FROM outcome GROUP BY state")
