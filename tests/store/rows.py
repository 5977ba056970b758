"""Rows as the pipeline makes them, with what a test does not care about filled in."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

from sqlalchemy import text

from bridge.model import Delivery, Event, Lane, State
from bridge.store import deliveries, events, leads, outcomes
from bridge.store.database import Connection, Database

NOW = 1_782_371_969_536


def a_delivery(**changes: Any) -> deliveries.NewDelivery:
    values: dict[str, Any] = {
        "receipt": uuid4().hex,
        "source": "hubspot",
        "received_at": NOW,
        "method": "POST",
        "path": "/hooks/hubspot",
        "query": {"a": "ü"},
        "headers": {"content-type": "application/json"},
        "body": b'{"raw": "\x00\xff bytes"}',
        "address": "192.0.2.1",
        "scheme": "hubspot_v3",
    }
    return deliveries.NewDelivery(**(values | changes))


def stored(database: Database, *rows: deliveries.NewDelivery) -> list[Delivery]:
    """Store deliveries and read them back."""
    with database.write() as connection:
        deliveries.add(connection, rows)
        found = [deliveries.by_receipt(connection, row.receipt) for row in rows]
    return [row for row in found if row is not None]


def an_event(delivery_id: int, ordinal: int, key: str, **changes: Any) -> events.NewEvent:
    values: dict[str, Any] = {"pending": False, "urgent": False, "due_at": NOW, "version": "v1"}
    event = Event(ordinal=ordinal, key=key, time_ms=NOW, weak_time=False, view={})
    return events.NewEvent(delivery_id, "hubspot", event, **(values | changes))


def due(phone: str = "+14155550123", **changes: Any) -> leads.Due:
    values: dict[str, Any] = {
        "campaign": "main",
        "phone": phone,
        "lane": Lane.FIRST,
        "due_at": NOW,
        "waiting_since": NOW,
    }
    return leads.Due(**(values | changes))


def a_lead(connection: Connection, phone: str = "+14155550123", **changes: Any) -> int:
    """Schedule a lead; returns its id."""
    ((_, number),) = leads.schedule(connection, [due(phone, **changes)]).items()
    return number


def an_outcome(event_id: int, lead_id: int | None, **changes: Any) -> outcomes.NewOutcome:
    values: dict[str, Any] = {
        "event_id": event_id,
        "delivery_id": 1,
        "receipt": "r" * 32,
        "source": "hubspot",
        "state": State.WAITING,
        "event_time": NOW,
        "key": f"{event_id:032x}",
        "version": "v1",
        "accepted_at": NOW,
        "campaign": "main",
        "phone": "+14155550123",
        "lead_id": lead_id,
        "fields": {"first_name": "Zoë"},
    }
    return outcomes.NewOutcome(**(values | changes))


def released(number: int, **changes: Any) -> leads.Released:
    values: dict[str, Any] = {
        "id": number,
        "lane": Lane.IDLE,
        "due_at": 2**62,
        "ledger": {},
        "opted_out": False,
        "tries": 0,
        "standing_tries": 0,
        "bare": False,
    }
    return leads.Released(**(values | changes))


def cell(database: Database, column: str, table: str, number: int) -> Any:
    """One value as it stands in a table."""
    with database.read() as connection:
        return connection.execute(
            text(f"SELECT {column} FROM {table} WHERE id = :id"),
            {"id": number},
        ).scalar()
