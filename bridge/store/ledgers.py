"""What is stored of leads and events, for looking at only: nothing here locks or writes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from sqlalchemy import Connection, bindparam, select

from bridge import jsontext
from bridge.store.bulk import among, listed
from bridge.store.schema import event, lead

AT_A_TIME = 5000
"""Keys in one statement."""

_LEDGERS = select(lead.c.phone, lead.c.ledger).where(
    lead.c.campaign == bindparam("campaign"), among(lead.c.phone, "phones")
)
_EVENTS = select(event.c.dedupe_key, event.c.delivery_id, event.c.id).where(
    among(event.c.dedupe_key, "keys")
)


def ledgers(
    connection: Connection, places: Iterable[tuple[str, str]]
) -> dict[tuple[str, str], dict[str, Any]]:
    """The stored ledgers of leads by (campaign, phone); a lead that is not there is left out."""
    by_campaign: dict[str, list[str]] = defaultdict(list)
    for campaign, phone in sorted(set(places)):
        by_campaign[campaign].append(phone)
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for campaign, phones in by_campaign.items():
        for start in range(0, len(phones), AT_A_TIME):
            given = {"campaign": campaign, "phones": listed(phones[start : start + AT_A_TIME])}
            for row in connection.execute(_LEDGERS, given):
                found[campaign, row.phone] = jsontext.loads(row.ledger)
    return found


def stored_events(connection: Connection, keys: Iterable[str]) -> dict[str, tuple[int, int]]:
    """Of these event keys those that are stored: key → (delivery id, event id) of the first."""
    wanted = sorted(set(keys))
    found: dict[str, tuple[int, int]] = {}
    for start in range(0, len(wanted), AT_A_TIME):
        given = {"keys": listed(wanted[start : start + AT_A_TIME])}
        for row in connection.execute(_EVENTS, given):
            found[row.dedupe_key] = (row.delivery_id, row.id)
    return found
