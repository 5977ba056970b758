"""Mapped events become outcomes, and their leads stand in a lane: one part of a transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from bridge.model import Campaign, Lane, State
from bridge.record.outcome_lines import Line
from bridge.steps.events import Ready
from bridge.store import erasures, leads, outcomes
from bridge.store.database import Connection


def add_outcomes(
    connection: Connection,
    known: Sequence[tuple[int, Ready]],
    named: Mapping[str, Campaign],
    now: int,
    *,
    replay_id: int = 0,
) -> list[Line]:
    """Store the outcomes of mapped events (event id, event); returns their log lines.

    An opt-out is due at once, in a lane of its own, in a replay too; everything else may wait for
    company, and what is replayed stands behind all that comes for the first time.
    """
    lane = Lane.REPLAY if replay_id else Lane.FIRST
    due = [
        leads.Due(
            update.campaign,
            update.phone,
            Lane.OPT_OUT if update.opts_out else lane,
            now if update.opts_out else _company(item, named[update.campaign], now, replay_id),
            now if replay_id else item.delivery.received_at,
        )
        for _, item in known
        if item.mapped is not None
        for update in item.mapped.updates
    ]
    ids = leads.schedule(connection, due)
    rows: list[outcomes.NewOutcome] = []
    for event_id, item in known:
        rows += _outcomes_of(event_id, item, ids, now, replay_id)
    outcomes.add(connection, rows)
    return [Line.of_new(row) for row in rows]


def _company(item: Ready, campaign: Campaign, now: int, replay_id: int) -> int:
    """Until when an update waits for company: so long after its receipt, not after a backlog."""
    since = now if replay_id else min(now, item.delivery.received_at)
    return max(now, since + campaign.linger_ms)


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
    event_id: int, item: Ready, ids: Mapping[tuple[str, str], int], now: int, replay_id: int
) -> list[outcomes.NewOutcome]:
    mapped, event, delivery = item.mapped, item.event, item.delivery
    if mapped is None:
        return []
    make = partial(
        outcomes.NewOutcome,
        event_id=event_id,
        delivery_id=delivery.id,
        receipt=delivery.receipt,
        source=delivery.source,
        event_time=event.time_ms,
        key=event.key,
        version=item.version,
        accepted_at=now if replay_id else delivery.received_at,
        received_at=delivery.received_at if replay_id else None,
        replay_id=replay_id,
    )
    if not mapped.updates:
        rules = tuple(trace.rule for trace in mapped.trace if trace.fired)
        state = mapped.state or State.DEAD
        return [make(state=state, message=mapped.reason, rules=rules, decided_at=now)]
    return [
        make(
            state=State.WAITING,
            campaign=update.campaign,
            phone=update.phone,
            lead_id=ids[update.campaign, update.phone],
            fields=dict(update.fields),
            event_time=update.said_at(event),
            opts_out=update.opts_out,
            rules=update.rules,
            message="; ".join(update.notes),
            decided_at=None,
        )
        for update in mapped.updates
    ]
