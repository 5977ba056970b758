"""How far the audit has come: what was found right and final is summed up, and not read again.

For each kind of row: ``Mark`` says up to which id all rows were looked at; ``audit_sum`` holds the
counts of those that were final and right; ``audit_open`` names the others, which are looked at
again until they are.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, delete, func, select, update

from bridge.store.audit.found import Kind, Span
from bridge.store.database import Database, upsert
from bridge.store.schema import audit_mark, audit_open, audit_sum, delivery, event, lead, outcome

TABLES = {Kind.DELIVERY: delivery, Kind.EVENT: event, Kind.OUTCOME: outcome, Kind.LEAD: lead}

_NAMES = {
    Kind.DELIVERY: delivery.c.source,
    Kind.EVENT: event.c.source,
    Kind.OUTCOME: outcome.c.campaign,
}

Counts = Counter[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Mark:
    """``up_to``: the last id that was looked at. ``rows``: how many rows there were up to it."""

    up_to: int = 0
    rows: int = 0


def marks(connection: Connection) -> dict[Kind, Mark]:
    """How far the audit has come with each kind."""
    found = {Kind(r.kind): Mark(r.up_to, r.rows) for r in connection.execute(select(audit_mark))}
    return {kind: found.get(kind, Mark()) for kind in Kind}


def sums(connection: Connection, kind: Kind) -> Counts:
    """How many rows of a kind were final and right, by (source or campaign, state)."""
    rows = connection.execute(select(audit_sum).where(audit_sum.c.kind == kind.value))
    return Counter({(row.name, row.state): row.count for row in rows})


def not_closed(connection: Connection, kind: Kind, after: int, limit: int) -> list[int]:
    """Ids of rows that are looked at again, in order."""
    ids = connection.scalars(
        select(audit_open.c.id)
        .where(audit_open.c.kind == kind.value, audit_open.c.id > after)
        .order_by(audit_open.c.id)
        .limit(limit)
    )
    return list(ids)


def next_span(connection: Connection, kind: Kind, after: int, to: int, size: int) -> Span | None:
    """The next ids that there are after ``after``, at most up to ``to``."""
    ids = TABLES[kind].c.id
    first = connection.scalar(select(func.min(ids)).where(ids > after))
    if first is None or first > to:
        return None
    return Span(first - 1, min(to, first - 1 + size))


def counts_of(connection: Connection, kind: Kind, ids: Iterable[int]) -> Counts:
    """These rows, counted by (source or campaign, state). Leads are not counted in this way."""
    wanted, found = sorted(ids), Counts()
    table, name = TABLES[kind], _NAMES.get(kind)
    if name is None:
        return found
    for start in range(0, len(wanted), 5000):
        rows = connection.execute(
            select(name, table.c.state, func.count())
            .where(table.c.id.in_(wanted[start : start + 5000]))
            .group_by(name, table.c.state)
        )
        for row in rows:
            found[row[0], row[1]] += row[2]
    return found


def newest(connection: Connection) -> dict[Kind, int]:
    """The greatest id of each kind."""
    return {
        kind: int(connection.scalar(select(func.max(table.c.id))) or 0)
        for kind, table in TABLES.items()
    }


def settled(database: Database, patience_s: float) -> dict[Kind, int]:
    """Ids up to which no row can appear any more, by kind.

    A transaction on PostgreSQL is given ids before it commits, so that a row may appear below
    others. Here the greatest ids are read, and then every transaction of that time is waited for;
    what had to be waited for too long leaves zeros, and the next run is the one that looks on.
    """
    with database.read() as connection:
        greatest = newest(connection)
        if database.is_sqlite:
            return greatest
        begun = _snapshot(connection, "pg_snapshot_xmax")
    deadline = time.monotonic() + patience_s
    while time.monotonic() < deadline:
        time.sleep(0.1)
        with database.read() as connection:
            if _snapshot(connection, "pg_snapshot_xmin") >= begun:
                return greatest
    return dict.fromkeys(TABLES, 0)


def _snapshot(connection: Connection, edge: str) -> int:
    text = f"SELECT {edge}(pg_current_snapshot())::text"
    return int(connection.exec_driver_sql(text).scalar() or 0)


def advance(
    connection: Connection,
    kind: Kind,
    before: Mark,
    after: Mark,
    *,
    closed: Counts,
    left: Iterable[int],
    now: int,
) -> bool:
    """Move a mark on by one page. False, and nothing is stored, if another audit has moved it."""
    values = {"up_to": after.up_to, "rows": after.rows, "at": now}
    if before == Mark():
        made = connection.execute(
            upsert(connection, audit_mark)
            .values(kind=kind.value, **values)
            .on_conflict_do_nothing(index_elements=[audit_mark.c.kind])
            .returning(audit_mark.c.kind)
        )
    else:
        made = connection.execute(
            update(audit_mark)
            .where(audit_mark.c.kind == kind.value, audit_mark.c.up_to == before.up_to)
            .values(**values)
            .returning(audit_mark.c.kind)
        )
    if made.first() is None:
        return False
    _add(connection, kind, closed)
    remember(connection, ((kind, one) for one in left))
    return True


def remember(connection: Connection, rows: Iterable[tuple[Kind, int]]) -> None:
    """Have these rows looked at again."""
    values = [{"kind": kind.value, "id": one} for kind, one in sorted(set(rows))]
    if values:
        connection.execute(upsert(connection, audit_open).on_conflict_do_nothing(), values)


def close(
    connection: Connection, kind: Kind, ids: Sequence[int], count: Callable[[Sequence[int]], Counts]
) -> None:
    """Look at these rows no more, since they are final and right; ``count`` counts them.

    Two audits at once do not count a row twice: who deletes it counts it.
    """
    if not ids:
        return
    gone = connection.scalars(
        delete(audit_open)
        .where(audit_open.c.kind == kind.value, audit_open.c.id.in_(ids))
        .returning(audit_open.c.id)
    ).all()
    _add(connection, kind, count(gone))


def _add(connection: Connection, kind: Kind, counts: Counts) -> None:
    for (name, state), count in sorted(counts.items()):
        if not count:
            continue
        key = {"kind": kind.value, "name": name, "state": state}
        statement: Any = upsert(connection, audit_sum).values(**key, count=count)
        connection.execute(
            statement.on_conflict_do_update(
                index_elements=[audit_sum.c.kind, audit_sum.c.name, audit_sum.c.state],
                set_={"count": audit_sum.c["count"] + statement.excluded["count"]},
            )
        )
