"""Tries that did not end their lead update: what the campaign API said each time.

The try that ends an update stands in its outcome. An opt-out that stands may be tried for years,
so after the first twenty tries only every tenth is kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, bindparam, select, update

from bridge import logs
from bridge.model import State
from bridge.store.bulk import insert_many
from bridge.store.schema import attempt, batch

FIRST = 20
"""How many tries are kept each."""
THEN = 10
"""Of those after them, which are kept."""
MOST_SHOWN = 500


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try: the call that carried it, and the state that the update went to."""

    outcome_id: int
    batch_id: int
    at: int
    tries: int
    state: State
    message: str


def add(connection: Connection, rows: Sequence[Attempt]) -> None:
    """Keep these, as far as they are to be kept."""
    kept = [row for row in rows if row.tries <= FIRST or row.tries % THEN == 0]
    _ADD.execute(
        connection,
        [
            (row.outcome_id, row.batch_id, row.at, row.tries, row.state.value, row.message)
            for row in kept
        ],
    )


_ADD = insert_many(attempt, ("outcome_id", "batch_id", "at", "tries", "state", "message"))


def of_outcomes(
    connection: Connection, outcome_ids: Sequence[int], *, most: int | None = MOST_SHOWN
) -> dict[int, list[dict[str, Any]]]:
    """The kept tries of each outcome, oldest first, each with its call; ``most`` in all."""
    rows = connection.execute(
        select(
            attempt,
            batch.c.started_at,
            batch.c.elapsed_ms,
            batch.c.leads,
            batch.c.calls,
            batch.c.status,
            batch.c.trouble,
            batch.c.detail,
        )
        .outerjoin(batch, batch.c.id == attempt.c.batch_id)
        .where(attempt.c.outcome_id.in_(sorted(outcome_ids)))
        .order_by(attempt.c.outcome_id, attempt.c.id)
        .limit(most)
    )
    found: dict[int, list[dict[str, Any]]] = {}
    for row in rows:
        found.setdefault(row.outcome_id, []).append(dict(row._mapping))
    return found


def mask(connection: Connection, outcome_ids: Sequence[int]) -> None:
    """Mask persons in what was said of these: that it was tried stays, as proof."""
    rows = connection.execute(
        select(attempt.c.id, attempt.c.message).where(attempt.c.outcome_id.in_(outcome_ids))
    )
    changes = [
        {"the_id": row.id, "the_message": masked}
        for row in rows
        if (masked := logs.mask_text(row.message)) != row.message
    ]
    if changes:
        connection.execute(
            update(attempt)
            .where(attempt.c.id == bindparam("the_id"))
            .values(message=bindparam("the_message")),
            changes,
        )
