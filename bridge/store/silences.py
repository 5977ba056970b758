"""How long each source is silent at the longest, by day: what "longer than usual" is held against.

A row is the longest time between two deliveries of a source of which the later came on that day.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, case, delete, func, select

from bridge.store.database import upsert
from bridge.store.schema import silence

DAY_MS = 86_400_000
KEPT_DAYS = 28


@dataclass(frozen=True, slots=True)
class Usual:
    """``longest``: the longest silence so far (ms); ``days``: how many days that is known from."""

    longest: int
    days: int


def note(connection: Connection, source: str, ended_at: int, lasted_ms: int) -> None:
    """A silence of this length ended then; the longest of each day is kept, for four weeks."""
    day = ended_at // DAY_MS
    statement = upsert(connection, silence).values(source=source, day=day, longest_ms=lasted_ms)
    longer = case(
        (silence.c.longest_ms < lasted_ms, lasted_ms),
        else_=silence.c.longest_ms,
    )
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=[silence.c.source, silence.c.day], set_={"longest_ms": longer}
        )
    )
    connection.execute(
        delete(silence).where(silence.c.source == source, silence.c.day <= day - KEPT_DAYS)
    )


def usual(connection: Connection) -> dict[str, Usual]:
    """By source: how long it is silent at the longest, from the first to the last day known."""
    rows = connection.execute(
        select(
            silence.c.source,
            func.max(silence.c.longest_ms),
            func.min(silence.c.day),
            func.max(silence.c.day),
        ).group_by(silence.c.source)
    )
    return {row[0]: Usual(row[1], row[3] - row[2]) for row in rows}
