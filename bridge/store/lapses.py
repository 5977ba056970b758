"""Opt-outs that ended without ever being confirmed: seldom, and somebody has to hear of each."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, func, select

from bridge.model import State
from bridge.store.database import upsert
from bridge.store.schema import lapsed_opt_out


def add(
    connection: Connection, campaign: str, ended: Sequence[tuple[int, State]], now: int
) -> None:
    """Note opt-outs of a campaign that ended so: (outcome id, final state)."""
    if not ended:
        return
    connection.execute(
        upsert(connection, lapsed_opt_out).on_conflict_do_nothing(),
        [
            {"outcome_id": number, "campaign": campaign, "state": state.value, "at": now}
            for number, state in ended
        ],
    )


def since(connection: Connection, when: int) -> dict[str, int]:
    """How many opt-outs have ended so since a time, by campaign."""
    rows = connection.execute(
        select(lapsed_opt_out.c.campaign, func.count())
        .where(lapsed_opt_out.c.at >= when)
        .group_by(lapsed_opt_out.c.campaign)
    )
    return {row[0]: row[1] for row in rows}
