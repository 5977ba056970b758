"""The figures of the overview: what came in, what became of it, and how all stand now.

Everything is read from counts that are kept while the work is done, or by one look into an index;
nothing here grows with what is stored.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from bridge.model import Lane, State
from bridge.operate.desk import Desk
from bridge.operate.health import concerns, overall
from bridge.operate.whereabouts import told
from bridge.store import campaigns, deliveries, leads, pages, pauses, queues, tally
from bridge.store.database import Connection, clock_ms
from bridge.store.queues import Depth
from bridge.store.tally import HOUR, MINUTE, Span

DAY = 24 * HOUR


class Period(StrEnum):
    """How far back a chart goes."""

    HOUR = "hour"
    DAY = "day"
    MONTH = "month"


@dataclass(frozen=True, slots=True)
class Scale:
    """``count`` steps of ``step`` ms each, read from counts by the minute or by the hour."""

    span: Span
    step: int
    count: int


SCALES: Mapping[Period, Scale] = {
    Period.HOUR: Scale(Span.MINUTE, MINUTE, 60),
    Period.DAY: Scale(Span.HOUR, HOUR, 24),
    Period.MONTH: Scale(Span.HOUR, DAY, 30),
}

FLOWS = (tally.ACCEPTED, State.UPDATED.value, State.DEAD.value)
"""What is counted as it happens."""
STOCKS = (State.WAITING.value, State.STANDING.value)
"""What is counted as it stands."""


def overview(desk: Desk) -> dict[str, Any]:
    """Is it well; figures and charts; each campaign, each source."""
    checks, named = desk.health.health(), desk.campaigns()
    with desk.database.read() as connection:
        now = clock_ms(connection)
        totals = tally.totals(connection)
        untaken = queues.deliveries_by_source(connection).values()
        count = sum(depth.count for depth in untaken)
        figures = figures_of(connection, totals, count, now)
        opt_outs = queues.opt_outs(connection)
        return {
            "at": now,
            "status": overall(checks).value,
            "checks": [
                {"name": name, "status": check.status.value, "output": check.output}
                for name, check in checks.items()
            ],
            "concerns": [told(concern, named) for concern in concerns(checks)],
            "figures": figures,
            "not_taken_in": {
                "count": count,
                "more": count >= queues.MOST,
                "oldest_at": _oldest(untaken),
            },
            "oldest_opt_out": {
                "waiting_since": _oldest(
                    depth for state, depth in opt_outs.items() if state is not State.STANDING
                ),
                "standing_since": _oldest(
                    depth for state, depth in opt_outs.items() if state is State.STANDING
                ),
            },
            "campaigns": campaigns_now(connection, desk, totals),
            "sources": sources_now(connection, desk, now),
        }


def _oldest(found: Iterable[Depth]) -> int | None:
    return min((depth.oldest for depth in found if depth.oldest is not None), default=None)


def figures_of(
    connection: Connection, totals: dict[str, dict[str, int]], not_taken_in: int, now: int
) -> dict[str, dict[str, Any]]:
    """By kind: how many stand now (of what stands), and by period the total and the steps.

    What stands is reckoned at the end of each step, and the steps of a day are long: its total, the
    most that stood, is at least that of the hour, and a month's at least that of the day.
    """
    in_all = {kind: sum(of.get(kind, 0) for of in totals.values()) for kind in STOCKS}
    found: dict[str, dict[str, Any]] = {
        kind: {"now": in_all.get(kind), "periods": {}} for kind in (*FLOWS, *STOCKS)
    }
    most = dict.fromkeys(STOCKS, 0)
    for period, scale in SCALES.items():  # the shorter ones first: each lies within the next
        first = now // scale.step * scale.step - (scale.count - 1) * scale.step
        added = tally.series(connection, scale.span, first)
        for kind in (*FLOWS, *STOCKS):
            steps = [0] * scale.count
            for at, count in added.get(kind, {}).items():
                steps[min(scale.count - 1, (at - first) // scale.step)] += count
            if kind == tally.ACCEPTED:
                # accepted, and not counted yet: nobody has worked on it; of a great backlog, the
                # front
                steps[-1] += not_taken_in
            if kind in STOCKS:
                steps = _levels(steps, in_all[kind])
                most[kind] = max(most[kind], *steps)
            found[kind]["periods"][period.value] = {
                "first_at": first,
                "step_ms": scale.step,
                "steps": steps,
                "total": most[kind] if kind in STOCKS else sum(steps),
            }
    return found


def _levels(added: list[int], now: int) -> list[int]:
    """How much stood at the end of each step, from what was added in each and what stands now."""
    levels = [now]
    for more in reversed(added[1:]):
        levels.append(max(0, levels[-1] - more))
    return levels[::-1]


def campaigns_now(
    connection: Connection, desk: Desk, totals: dict[str, dict[str, int]]
) -> list[dict[str, Any]]:
    """Each campaign that is named or was seen: its pace, its condition, and what waits."""
    named, seen = desk.campaigns(), campaigns.conditions(connection)
    paused = pauses.pauses(connection)
    found = []
    for name in sorted({*named, *seen, *paused}):
        one, counts, by_hand = named.get(name), totals.get(name, {}), paused.get(name)
        condition = seen.get(name, campaigns.Condition())
        due = leads.next_due(connection, name)
        first = min((at for lane, at in due.items() if lane is not Lane.STANDING), default=None)
        found.append(
            {
                "name": name,
                "configured": one is not None and one.configured,
                "missing": [] if one is None else list(one.missing),
                "gone": one is None,
                "groups": [] if one is None else list(one.groups),
                "rate_per_s": None if one is None else one.rate_per_s,
                "concurrency": None if one is None else one.concurrency,
                "condition": condition.condition,
                "reason": condition.reason,
                "since": condition.since or None,
                "not_before": condition.not_before or None,
                "paused_by_hand": None if by_hand is None else asdict(by_hand),
                "waiting": counts.get(State.WAITING.value, 0),
                "standing": counts.get(State.STANDING.value, 0),
                "updated": counts.get(State.UPDATED.value, 0),
                "next_due_at": first,
            }
        )
    return found


def sources_now(connection: Connection, desk: Desk, now: int) -> list[dict[str, Any]]:
    """Each source: when it was last heard of, and what was refused within a day."""
    named = desk.sources()
    last = deliveries.last_by_source(connection, named)
    refused = pages.refusals_since(connection, now - DAY)
    return [
        {
            "name": name,
            "title": named[name].title if name in named else "",
            "configured": name in named and named[name].configured,
            "missing": list(named[name].missing) if name in named else [],
            "last_delivery_at": last.get(name),
            "refused_today": refused.get(name, (0, 0))[0],
            "last_refusal_at": refused[name][1] if name in refused else None,
        }
        for name in sorted({*named, *refused})
    ]
