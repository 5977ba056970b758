"""A new campaign takes over the opt-outs that its sister campaigns know.

An opt-out for all campaigns was sent to those that were there. One that is added later, or gets
another name, would never hear of it.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, select, update

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

    They are due at once. A lead that the campaign has already keeps its own word on consent, if
    there is one. Returns the last id, from which to go on; None when there are no more.
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
    if not values:
        return
    connection.execute(
        upsert(connection, lead).on_conflict_do_nothing(
            index_elements=[lead.c.campaign, lead.c.phone]
        ),
        values,
    )
    _add_to_those_there(connection, campaign, found, now)


def _add_to_those_there(
    connection: Connection, campaign: str, found: dict[str, list[object]], now: int
) -> None:
    """Leads that came before the campaign was greeted, and know nothing of consent yet."""
    phones = sorted(found)
    for start in range(0, len(phones), AT_A_TIME):
        rows = connection.execute(
            select(lead.c.id, lead.c.phone, lead.c.ledger)
            .where(
                lead.c.campaign == campaign,
                lead.c.phone.in_(phones[start : start + AT_A_TIME]),
                lead.c.opted_out.is_(False),
                lead.c.lease_until == 0,
            )
            .with_for_update()
        ).all()
        for row in rows:
            ledger = jsontext.loads(row.ledger)
            old = ledger.get("do_not_call")
            if old is not None and old[1] > found[row.phone][1]:
                continue
            ledger["do_not_call"] = found[row.phone]
            connection.execute(
                update(lead)
                .where(lead.c.id == row.id)
                .values(
                    ledger=jsontext.dumps(ledger),
                    opted_out=True,
                    reassert=True,
                    lane=int(Lane.OPT_OUT),
                    due_at=now,
                )
            )
