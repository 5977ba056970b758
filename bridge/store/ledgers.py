"""What is stored of leads and events, for looking at only: nothing here locks or writes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from sqlalchemy import Connection, bindparam, select

from bridge import jsontext
from bridge.store import events
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


def stored_events(
    connection: Connection, keys: Iterable[str], version: str
) -> dict[str, tuple[int, int]]:
    """Of these event keys those that are stored: key → (delivery id, event id) of the first.

    ``version``: by which they are read; what was dead by another one is left out.
    """
    found = _stored(connection, keys)
    first = {key: number for key, (_, number) in found.items()}
    names = events.anew(connection, dict.fromkeys(found, version), first)
    later = _stored(connection, names.values())
    for key, name in names.items():
        del found[key]
        if name in later:
            found[key] = later[name]
    return found


def _stored(connection: Connection, keys: Iterable[str]) -> dict[str, tuple[int, int]]:
    wanted = sorted(set(keys))
    found: dict[str, tuple[int, int]] = {}
    for start in range(0, len(wanted), AT_A_TIME):
        given = {"keys": listed(wanted[start : start + AT_A_TIME])}
        for row in connection.execute(_EVENTS, given):
            found[row.dedupe_key] = (row.delivery_id, row.id)
    return found
