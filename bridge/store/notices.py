"""Notices: what one process alone knows is not well, for those who look at the whole.

The clock of a machine, its copy of the mapping files, and what an audit found show in no other
row. Whoever knows of it notes it with the time until which that counts, and notes it again as long
as it lasts; a process that dies leaves nothing that stays.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import Connection, delete, select

from bridge.store.database import upsert
from bridge.store.schema import notice


@dataclass(frozen=True, slots=True)
class Notice:
    """One thing. ``since`` and ``until`` in ms, UTC; ``size``: how many or how much."""

    process: str
    kind: str
    subject: str
    text: str
    size: int
    since: int
    until: int


def note(connection: Connection, process: str, found: Iterable[Notice]) -> None:
    """These, and nothing else, are what this process knows of; what it noted before goes."""
    rows = list(found)
    keys = {(row.kind, row.subject) for row in rows}
    before = connection.execute(
        select(notice.c.kind, notice.c.subject).where(notice.c.process == process)
    ).all()
    for kind, subject in before:
        if (kind, subject) not in keys:
            connection.execute(
                delete(notice).where(
                    notice.c.process == process, notice.c.kind == kind, notice.c.subject == subject
                )
            )
    for row in rows:
        values = {"text": row.text, "size": row.size, "until": row.until}
        connection.execute(
            upsert(connection, notice)
            .values(process=process, kind=row.kind, subject=row.subject, since=row.since, **values)
            .on_conflict_do_update(index_elements=list(notice.primary_key.columns), set_=values)
        )


def current(connection: Connection, now: int) -> list[Notice]:
    """What counts at this time (ms), in an order that does not change."""
    rows = connection.execute(
        select(notice)
        .where(notice.c.until > now)
        .order_by(notice.c.kind, notice.c.subject, notice.c.process)
    )
    return [Notice(r.process, r.kind, r.subject, r.text, r.size, r.since, r.until) for r in rows]


def forget(connection: Connection, now: int) -> None:
    """Delete what counts no more."""
    connection.execute(delete(notice).where(notice.c.until <= now - 60_000))
