"""Which outcome of an event is the one that counts: that of the latest replay, if there was one.

The same in SQL as ``bridge.steps.replay_select.newest_by_lead``.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, func, or_, select

from bridge.store.schema import outcome


def counts(row: Any) -> ColumnElement[bool]:
    """Whether no later replay said something else; ``row``: columns of an outcome.

    What speaks of an event as a whole is overtaken by whatever a replay led to. The rest is read
    by the index of each event, whatever the engine thinks of the table.
    """
    other = outcome.alias("other")
    last = (
        select(func.max(other.c.replay_id))
        .where(
            other.c.event_id == row.event_id,
            or_(
                row.campaign == "",
                (other.c.campaign == row.campaign) & (other.c.phone == row.phone),
            ),
        )
        .scalar_subquery()
    )
    found: ColumnElement[bool] = last == row.replay_id
    return found
