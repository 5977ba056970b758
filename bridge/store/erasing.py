"""Taking the person out of rows: the proof stays, who it was about goes.

Every function takes rows that are finished, and leaves the others: what is open, standing or held,
and whatever keeps an opt-out asserted. So a number stays in the row of a lead whose latch is set.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, bindparam, exists, select, update

from bridge import jsontext, logs
from bridge.model import Lane, State
from bridge.store import attempts, clues
from bridge.store.digest import MARK, Digest
from bridge.store.packing import size_of_body, whole
from bridge.store.schema import OPEN, PENDING, delivery, event, lead, outcome

MOST_BYTES = 16_000_000
"""Bodies that are hashed in one transaction."""

OPEN_STATES = [state.value for state in State if not state.final]


def open_outcome(*conditions: ColumnElement[bool]) -> ColumnElement[bool]:
    """Whether there is an outcome like this that is not final."""
    return exists(select(outcome.c.id).where(*conditions, OPEN))


def finished_delivery() -> ColumnElement[bool]:
    """Whether nothing of a delivery is on its way."""
    waits = exists(select(event.c.id).where(event.c.delivery_id == delivery.c.id, PENDING))
    return (
        (delivery.c.state == "done")
        & ~waits
        & ~open_outcome(outcome.c.delivery_id == delivery.c.id)
    )


def bodies(connection: Connection, digest: Digest, ids: Sequence[int], now: int) -> list[int]:
    """Erase the raw requests of finished deliveries among these; says of which.

    In their place stays the keyed hash of the body; of a damaged one nothing does, since a hash
    of what the disk has made of it would speak against what came.
    """
    d = delivery.c
    free = (d.id.in_(ids), d.erased_at.is_(None), finished_delivery())
    sizes = connection.execute(
        select(d.id, size_of_body().label("size")).where(*free).order_by(d.id)
    ).all()
    chosen: list[int] = []
    size = 0
    for row in sizes:
        size += row.size
        if chosen and size > MOST_BYTES:
            break
        chosen.append(row.id)
    rows = connection.execute(
        select(d.id, d.body, d.body_size)
        .where(d.id.in_(chosen), d.erased_at.is_(None))
        .with_for_update()
    ).all()
    if rows:
        connection.execute(
            update(delivery)
            .where(d.id == bindparam("the_id"))
            .values(
                body=b"",
                body_size=None,
                headers="{}",
                query="{}",
                address="",
                problem=None,
                body_hash=bindparam("the_hash"),
                erased_at=now,
            ),
            [
                {"the_id": row.id, "the_hash": None if body is None else digest.of_bytes(body)}
                for row in rows
                for body in (whole(row.body, row.body_size),)
            ],
        )
    return [row.id for row in rows]


def outcomes(connection: Connection, digest: Digest, ids: Sequence[int], now: int) -> list[int]:
    """Erase fields and numbers of the final outcomes among these; says of which."""
    o = outcome.c
    rows = connection.execute(
        select(o.id, o.event_id, o.phone, o.campaign, o.opts_out, o.message)
        .where(o.id.in_(ids), o.state.not_in(OPEN_STATES), o.erased_at.is_(None))
        .with_for_update()
    ).all()
    if rows:
        connection.execute(
            update(outcome)
            .where(o.id == bindparam("the_id"))
            .values(
                fields=bindparam("the_fields"),
                phone=bindparam("the_phone"),
                message=bindparam("the_message"),
                erased_at=now,
            ),
            [
                {
                    "the_id": row.id,
                    "the_fields": '{"do_not_call":true}' if row.opts_out else "{}",
                    "the_phone": digest.of(row.phone) if row.phone else "",
                    # what the API said is proof; our own reasons quote what the CRM sent
                    "the_message": logs.mask_text(row.message) if row.campaign else "(erased)",
                }
                for row in rows
            ],
        )
        attempts.mask(connection, [row.id for row in rows])
        clues.forget(connection, event_ids=[row.event_id for row in rows])
    return [row.id for row in rows]


def leads(connection: Connection, digest: Digest, ids: Sequence[int]) -> tuple[int, int, int]:
    """Erase what these leads hold: (erased, kept for an opt-out in force, on their way).

    The newest time and key of each field stay, so that order holds. A lead that may be called
    loses its number as well, so that its next event makes a new one.
    """
    ld = lead.c
    rows = connection.execute(
        select(ld.id, ld.phone, ld.ledger, ld.opted_out, ld.lane, ld.lease_until, ld.reassert)
        .where(ld.id.in_(ids))
        .with_for_update()
    ).all()
    busy = set(
        connection.scalars(
            select(outcome.c.lead_id).where(outcome.c.lead_id.in_([r.id for r in rows]), OPEN)
        )
    )
    changes: list[dict[str, Any]] = []
    kept = waiting = 0
    for row in rows:
        if row.lane != Lane.IDLE or row.lease_until or row.reassert or row.id in busy:
            waiting += 1
            continue
        kept += row.opted_out
        gone = row.opted_out or row.phone.startswith(MARK)
        # leads are one for each campaign and number, and a number may come and go twice
        phone = row.phone if gone else digest.of("lead", row.phone, str(row.id))
        ledger = jsontext.dumps(_bare(jsontext.loads(row.ledger)))
        if (phone, ledger) != (row.phone, row.ledger):
            changes.append({"the_id": row.id, "the_phone": phone, "the_ledger": ledger})
    if changes:
        connection.execute(
            update(lead)
            .where(ld.id == bindparam("the_id"))
            .values(phone=bindparam("the_phone"), ledger=bindparam("the_ledger")),
            changes,
        )
        clues.forget(connection, phones=sorted({row.phone for row in rows}))
    return len(changes), kept, waiting


def _bare(ledger: dict[str, Any]) -> dict[str, Any]:
    """A ledger without values, but for consent; marked so that nothing of it is ever sent."""
    return {
        name: entry if name == "do_not_call" else [None, entry[1], entry[2], True, *entry[4:]]
        for name, entry in ledger.items()
    }
