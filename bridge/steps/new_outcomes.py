"""Mapped events become outcomes, and their leads stand in a lane: one part of a transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bridge.model import Campaign, Lane, Mapped, State
from bridge.steps.events import Ready
from bridge.store import erasures, leads, outcomes
from bridge.store.database import Connection
from bridge.store.outcomes import NewOutcome

RESERVE = 25
"""Of a linger, in percent: an update is due so much before it. The linger says how long an update
waits at most, and a burst has many leads due together, whose batches go out one after the other.
"""


def add_outcomes(
    connection: Connection,
    known: Sequence[tuple[int, Ready]],
    named: Mapping[str, Campaign],
    now: int,
    *,
    replay_id: int = 0,
) -> list[NewOutcome]:
    """Store the outcomes of mapped events (event id, event), and return them.

    An opt-out is due at once, in a lane of its own, in a replay too; everything else may wait for
    company, and what is replayed stands behind all that comes for the first time.
    """
    lane = Lane.REPLAY if replay_id else Lane.FIRST
    due: list[leads.Due] = []
    for _, item in known:
        mapped = item.mapped
        if mapped is None:
            continue
        since = now if replay_id else item.delivery.received_at
        for update in mapped.updates:
            if update.opts_out:
                due.append(leads.Due(update.campaign, update.phone, Lane.OPT_OUT, now, since))
            else:
                at = _company(since, named[update.campaign], now)
                due.append(leads.Due(update.campaign, update.phone, lane, at, since))
    ids = leads.schedule(connection, due)
    rows: list[NewOutcome] = []
    for event_id, item in known:
        mapped = item.mapped
        if mapped is not None:
            rows += _outcomes_of(event_id, item, mapped, ids, now=now, replay_id=replay_id)
    outcomes.add(connection, rows)
    return rows


def _company(since: int, campaign: Campaign, now: int) -> int:
    """Until when an update waits for company, counted from its receipt, not from the end of a
    backlog. The rest of its linger is for what is due with it."""
    return max(now, min(now, since) + campaign.linger_ms * (100 - RESERVE) // 100)


def add_erasures(connection: Connection, known: Sequence[tuple[int, Ready]], now: int) -> None:
    """Ask that the people be erased whose events say so, once their outcomes have ended."""
    for _, item in known:
        mapped, delivery = item.mapped, item.delivery
        if mapped is None or not mapped.erase:
            continue
        phones = tuple(sorted({update.phone for update in mapped.updates}))
        wanted = erasures.Wanted(delivery.source, item.event.contacts, phones, delivery.receipt)
        if wanted.contacts or wanted.phones:
            erasures.add(connection, wanted, now)


def _outcomes_of(
    event_id: int,
    item: Ready,
    mapped: Mapped,
    ids: Mapping[tuple[str, str], int],
    *,
    now: int,
    replay_id: int,
) -> list[NewOutcome]:
    """The rows of one event; they are made by place, which is quicker by far than by name."""
    event, delivery = item.event, item.delivery
    received_at = delivery.received_at
    accepted_at, came_at = (now, received_at) if replay_id else (received_at, None)
    if not mapped.updates:
        rules = tuple(trace.rule for trace in mapped.trace if trace.fired)
        return [
            NewOutcome(
                event_id,
                delivery.id,
                delivery.receipt,
                delivery.source,
                mapped.state or State.DEAD,
                event.time_ms,
                event.key,
                item.version,
                accepted_at,
                message=mapped.reason,
                rules=rules,
                decided_at=now,
                replay_id=replay_id,
                received_at=came_at,
            )
        ]
    return [
        NewOutcome(
            event_id,
            delivery.id,
            delivery.receipt,
            delivery.source,
            State.WAITING,
            update.said_at(event),
            event.key,
            item.version,
            accepted_at,
            update.campaign,
            update.phone,
            ids[update.campaign, update.phone],
            dict(update.fields),
            update.opts_out,
            update.rules,
            "; ".join(update.notes),
            None,
            replay_id,
            came_at,
        )
        for update in mapped.updates
    ]
