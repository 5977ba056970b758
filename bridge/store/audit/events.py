"""Events: each that is done has its outcomes; each duplicate has its original."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Integer, case, func, or_, select

from bridge.model import State
from bridge.store.audit.found import Broken, Kind, Looked, Span, Today
from bridge.store.schema import NEVER, PENDING, delivery, event, outcome

STATES = ("pending", "done")

WAY = (outcome.c.replay_id,)
"""Columns of ``outcome`` that tell one way of an event from another, beside the event itself."""


def look(connection: Connection, span: Span, _today: Today) -> Looked:
    """Look at a page of events."""
    looked, e = Looked(), event.c
    looked.count(
        connection.execute(
            select(e.source, e.state, func.count(), func.min(e.id))
            .where(span.of(event))
            .group_by(e.source, e.state)
        ),
        STATES,
        Kind.EVENT,
    )
    looked.open.update(connection.scalars(select(e.id).where(span.of(event), PENDING)))
    _alone(connection, span, looked)
    _with_outcomes(connection, span, looked)
    return looked


def _alone(connection: Connection, span: Span, looked: Looked) -> None:
    """What an event's own row, its delivery and its original show."""
    e, first = event.c, event.alias("first")
    original = (first.c.key == e.key) & first.c.dedupe_key.is_not(None) & (first.c.id < e.id)
    checks = {
        Broken.NO_DELIVERY: delivery.c.id.is_(None),
        Broken.NEVER_LOOKED_UP: (e.state == "pending") & (e.due_at >= NEVER),
        Broken.NO_KEY: e.dedupe_key.is_(None) & e.duplicate_of.is_(None),
        Broken.NO_ORIGINAL: e.duplicate_of.is_not(None)
        & (first.c.id.is_(None) | ~original | e.dedupe_key.is_not(None)),
    }
    rows = connection.execute(
        select(e.id, *(case((check, 1), else_=0) for check in checks.values()))
        .select_from(
            event.outerjoin(delivery, delivery.c.id == e.delivery_id).outerjoin(
                first, first.c.id == e.duplicate_of
            )
        )
        .where(span.of(event), or_(*checks.values()))
    )
    for number, *failed in rows:
        for broken, fails in zip(checks, failed, strict=True):
            if fails:
                looked.broken(Kind.EVENT, broken, [number])


def _with_outcomes(connection: Connection, span: Span, looked: Looked) -> None:
    """What an event and its outcomes show together."""
    e, o = event.c, outcome.c
    held = (
        select(
            o.event_id,
            func.count().label("count"),
            _sum(o.state == State.DUPLICATE.value).label("duplicates"),
            _sum(o.campaign == "").label("bare"),
        )
        .where(span.on(o.event_id))
        .group_by(o.event_id, *WAY)
        .subquery()
    )
    h = held.c
    mixed = (h.bare > 1) | ((h.bare == 1) & (h.count > 1))
    copied = case((e.duplicate_of.is_(None), 0), else_=h.count)
    rows = connection.execute(
        select(e.id, h.count, case((mixed, 1), else_=0))
        .select_from(event.outerjoin(held, h.event_id == e.id))
        .where(
            span.of(event),
            or_((e.state == "done") & h.count.is_(None), mixed, h.duplicates != copied),
        )
    )
    for number, count, two in rows:
        broken = Broken.TWO_ENDS if two else Broken.WRONG_DUPLICATE
        looked.broken(Kind.EVENT, Broken.NO_OUTCOME if count is None else broken, [number])


def _sum(condition: Any) -> Any:
    return func.sum(case((condition, 1), else_=0), type_=Integer)
