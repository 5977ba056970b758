"""What is stored of leads and events, for looking at only: nothing here locks or writes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy import Connection, select, tuple_

from bridge import jsontext
from bridge.store.schema import event, lead

AT_A_TIME = 400
"""Keys in one statement."""


def ledgers(
    connection: Connection, keys: Iterable[tuple[str, str]]
) -> dict[tuple[str, str], dict[str, Any]]:
    """The stored ledgers of leads by (campaign, phone); a lead that is not there is left out."""
    wanted = sorted(set(keys))
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for start in range(0, len(wanted), AT_A_TIME):
        rows = connection.execute(
            select(lead.c.campaign, lead.c.phone, lead.c.ledger).where(
                tuple_(lead.c.campaign, lead.c.phone).in_(wanted[start : start + AT_A_TIME])
            )
        )
        found.update({(row.campaign, row.phone): jsontext.loads(row.ledger) for row in rows})
    return found


def stored_events(connection: Connection, keys: Iterable[str]) -> dict[str, tuple[int, int]]:
    """Of these event keys those that are stored: key → (delivery id, event id) of the first."""
    wanted = sorted(set(keys))
    found: dict[str, tuple[int, int]] = {}
    for start in range(0, len(wanted), AT_A_TIME):
        rows = connection.execute(
            select(event.c.dedupe_key, event.c.delivery_id, event.c.id).where(
                event.c.dedupe_key.in_(wanted[start : start + AT_A_TIME])
            )
        )
        found.update({row.dedupe_key: (row.delivery_id, row.id) for row in rows})
    return found
