"""The ledgers of leads, for those who only want to know what an update would lead to."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from sqlalchemy import Connection, select

from bridge import jsontext
from bridge.store.schema import lead

AT_A_TIME = 5000
"""Phone numbers in one statement."""


def ledgers(
    connection: Connection, places: Iterable[tuple[str, str]]
) -> dict[tuple[str, str], dict[str, Any]]:
    """The stored ledgers of these leads, by campaign and phone number; those there are."""
    by_campaign: dict[str, list[str]] = defaultdict(list)
    for campaign, phone in sorted(set(places)):
        by_campaign[campaign].append(phone)
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for campaign, phones in by_campaign.items():
        for start in range(0, len(phones), AT_A_TIME):
            rows = connection.execute(
                select(lead.c.phone, lead.c.ledger).where(
                    lead.c.campaign == campaign,
                    lead.c.phone.in_(phones[start : start + AT_A_TIME]),
                )
            )
            found.update(((campaign, row.phone), jsontext.loads(row.ledger)) for row in rows)
    return found
