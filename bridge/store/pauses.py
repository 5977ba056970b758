"""Campaigns that a person has paused. Every worker looks here about once a second.

A pause by hand is apart from the condition that the campaign API's answers lead to
(``bridge.store.campaigns``): each ends for itself. Nothing that waits is changed by either.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, delete, select

from bridge.model import Lane
from bridge.store.database import upsert
from bridge.store.schema import campaign_pause

OPT_OUT_LANES = (Lane.OPT_OUT, Lane.STANDING)
"""Lanes that go on while a pause does not hold opt-outs."""


@dataclass(frozen=True, slots=True)
class Pause:
    """Since when (ms, UTC), by whom and why. ``holds_opt_outs``: not even opt-outs go out."""

    since: int
    actor: str
    reason: str
    holds_opt_outs: bool

    def holds(self, lane: Lane) -> bool:
        """Whether what waits in this lane is not sent."""
        return self.holds_opt_outs or lane not in OPT_OUT_LANES


def pauses(connection: Connection) -> dict[str, Pause]:
    """Every paused campaign, by name."""
    return {
        row.campaign: Pause(row.since, row.actor, row.reason, row.holds_opt_outs)
        for row in connection.execute(select(campaign_pause))
    }


def pause(connection: Connection, campaign: str, wanted: Pause) -> None:
    """Pause a campaign; one that is paused keeps its time and takes the rest."""
    values = {
        "actor": wanted.actor,
        "reason": wanted.reason,
        "holds_opt_outs": wanted.holds_opt_outs,
    }
    connection.execute(
        upsert(connection, campaign_pause)
        .values(campaign=campaign, since=wanted.since, **values)
        .on_conflict_do_update(index_elements=[campaign_pause.c.campaign], set_=values)
    )


def resume(connection: Connection, campaign: str) -> bool:
    """End a campaign's pause; False if there was none."""
    gone = connection.execute(delete(campaign_pause).where(campaign_pause.c.campaign == campaign))
    return gone.rowcount > 0
