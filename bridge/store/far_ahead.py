"""What is due later than anything ever puts it off: the clock that said so was set back since.

A machine's clock may be ahead until it has asked for the time. What was put off by it must not wait
for as long as it was ahead.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy import Column, ColumnElement, Connection, TextClause, bindparam, select, update

from bridge.store.bulk import among, listed

SLACK_MS = 60_000
"""How far a clock may be set back without anybody minding."""

LIMIT = 500
"""Rows in one transaction."""


class FarAhead:
    """Rows of a table by the column that says when they are due.

    ``which``: the conditions that they meet, with names that ``due_now`` is given values for.
    ``more``: by how much (ms) a row may be due later than others.
    """

    def __init__(
        self,
        due: Column[int],
        *which: ColumnElement[bool] | TextClause,
        more: ColumnElement[Any] | None = None,
    ) -> None:
        table = due.table
        late = due if more is None else due - more
        self._find = (
            select(table.c.id)
            .where(*which, late > bindparam("far"))
            .limit(LIMIT)
            .with_for_update(skip_locked=True)
        )
        self._due_now = update(table).where(among(table.c.id, "ids")).values({due: bindparam("at")})

    def due_now(
        self, connection: Connection, now: int, *, within: int, **given: str | int | Iterable[str]
    ) -> int:
        """Have those that are due more than ``within`` ms ahead due now; how many there were."""
        values = {
            name: value if isinstance(value, str | int) else listed(sorted(value))
            for name, value in given.items()
        }
        rows = connection.execute(self._find, {**values, "far": now + within})
        ids = [row.id for row in rows]
        if ids:
            connection.execute(self._due_now, {"ids": listed(ids), "at": now})
        return len(ids)
