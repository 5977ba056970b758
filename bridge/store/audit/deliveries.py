"""Deliveries: each that is done has its events, none of them missing."""

from __future__ import annotations

from sqlalchemy import Connection, func, or_, select

from bridge.store.audit.found import Broken, Kind, Looked, Span, Today
from bridge.store.schema import STORED, delivery, event

STATES = ("stored", "done")


def look(connection: Connection, span: Span, _today: Today) -> Looked:
    """Look at a page of deliveries."""
    looked, d = Looked(), delivery.c
    looked.count(
        connection.execute(
            select(d.source, d.state, func.count(), func.min(d.id))
            .where(span.of(delivery))
            .group_by(d.source, d.state)
        ),
        STATES,
        Kind.DELIVERY,
    )
    looked.open.update(connection.scalars(select(d.id).where(span.of(delivery), STORED)))
    held = (
        select(
            event.c.delivery_id,
            func.count().label("count"),
            func.max(event.c.ordinal).label("last"),
        )
        .where(span.on(event.c.delivery_id))
        .group_by(event.c.delivery_id)
        .subquery()
    )
    rows = connection.execute(
        select(d.id, d.state, held.c.count)
        .select_from(delivery.outerjoin(held, held.c.delivery_id == d.id))
        .where(
            span.of(delivery),
            or_(
                (d.state == "done") & held.c.count.is_(None),
                (d.state == "stored") & held.c.count.is_not(None),
                held.c.count != held.c.last + 1,
            ),
        )
    )
    for number, state, count in rows:
        broken = Broken.EVENTS_MISSING
        if count is None:
            broken = Broken.DONE_WITHOUT_EVENTS
        elif state == "stored":
            broken = Broken.STORED_WITH_EVENTS
        looked.broken(Kind.DELIVERY, broken, [number])
    return looked
