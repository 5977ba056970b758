"""A new campaign takes over the opt-outs that its sister campaigns know.

An opt-out for all campaigns was sent to those that were there. One that is added later, or gets
another name, would never hear of it.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, select

from bridge import jsontext
from bridge.model import Lane
from bridge.store.database import upsert
from bridge.store.schema import OPEN_OPT_OUT, lead, outcome

AT_A_TIME = 1000
"""Leads in one transaction."""


def adopt(
    connection: Connection, campaign: str, sisters: Sequence[str], now: int, *, after: int
) -> int | None:
    """Take over the opt-outs of some leads of the sisters, those with an id above ``after``.

    They are due at once. Leads that the campaign has already stay as they are. Returns the last
    id, from which to go on; None when there are no more.
    """
    rows = connection.execute(
        select(lead.c.id, lead.c.phone, lead.c.ledger)
        .where(lead.c.campaign.in_(sisters), lead.c.opted_out, lead.c.id > after)
        .order_by(lead.c.id)
        .limit(AT_A_TIME)
    ).all()
    if not rows:
        return None
    _insert(
        connection,
        campaign,
        {row.phone: jsontext.loads(row.ledger)["do_not_call"] for row in rows},
        now,
    )
    return int(rows[-1].id)


def adopt_waiting(connection: Connection, campaign: str, sisters: Sequence[str], now: int) -> None:
    """Take over opt-outs that wait for a sister and are not in its ledger yet."""
    rows = connection.execute(
        select(outcome.c.phone, outcome.c.event_time, outcome.c.key).where(
            OPEN_OPT_OUT, outcome.c.campaign.in_(sisters)
        )
    )
    _insert(
        connection,
        campaign,
        {row.phone: [True, row.event_time, row.key, False] for row in rows},
        now,
    )


def _insert(
    connection: Connection, campaign: str, found: dict[str, list[object]], now: int
) -> None:
    values = [
        {
            "campaign": campaign,
            "phone": phone,
            "ledger": jsontext.dumps({"do_not_call": entry}),
            "opted_out": True,
            "lane": int(Lane.OPT_OUT),
            "due_at": now,
            "waiting_since": now,
            "fence": 0,
            "lease_owner": "",
            "lease_until": 0,
            "tries": 0,
            "standing_tries": 0,
            "bare": False,
            "reassert": True,
        }
        for phone, entry in sorted(found.items())
    ]
    if values:
        connection.execute(
            upsert(connection, lead).on_conflict_do_nothing(
                index_elements=[lead.c.campaign, lead.c.phone]
            ),
            values,
        )
