"""Rows of whole events as the pipeline leaves them, with the ids that follow from their order."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import text

from bridge.clock import now_ms
from bridge.model import Lane, State
from bridge.receive.accept import new_receipt
from bridge.store import deliveries, events, leads, outcomes
from bridge.store.database import Connection, Database
from bridge.store.outcomes import Decision

from .rows import a_delivery, an_event, an_outcome, due, released


class World:
    """Rows as the pipeline leaves them; each method is one transaction's worth."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.now = now_ms()

    def delivery(self, *, done: bool = True) -> int:
        new = a_delivery(received_at=self.now, receipt=new_receipt(self.now))
        deliveries.add(self.connection, [new])
        found = deliveries.by_receipt(self.connection, new.receipt)
        assert found is not None
        if done:
            deliveries.take(self.connection, [found.id], {found.id: "v1"})
        return found.id

    def event(self, delivery: int, key: str, ordinal: int = 0, *, pending: bool = False) -> int:
        new = an_event(delivery, ordinal, key, pending=pending)
        return events.add(self.connection, [new])[delivery, ordinal].id

    def lead(self, phone: str, lane: Lane = Lane.FIRST) -> int:
        wanted = due(phone, lane=lane, due_at=self.now)
        return leads.schedule(self.connection, [wanted])["main", phone]

    def outcome(self, event: int, delivery: int, lead: int | None, **changes: Any) -> int:
        values = {"delivery_id": delivery, "accepted_at": self.now, **changes}
        outcomes.add(self.connection, [an_outcome(event, lead, **values)])
        found = self.connection.execute(text("SELECT max(id) FROM outcome")).scalar()
        return int(found or 0)

    def decide(self, outcome: int, state: State, *, answered: bool = True) -> None:
        batch = outcomes.add_batch(
            self.connection,
            campaign="main",
            started_at=self.now,
            elapsed_ms=5,
            leads=1,
            calls=1,
            status=200 if answered else None,
            trouble=None if answered else "transport",
            detail="",
        )
        decision = Decision(outcome, state, "m", doubtful=False, tries=1, batch_id=batch)
        outcomes.decide(self.connection, [decision], self.now)

    def release(self, lead: int, **changes: Any) -> None:
        leads.release(self.connection, [released(lead, **changes)])

    def updated(self, key: str, phone: str) -> None:
        """An event that was sent and confirmed."""
        delivery = self.delivery()
        event, lead = self.event(delivery, key), self.lead(phone)
        outcome = self.outcome(event, delivery, lead, phone=phone, key=key)
        self.decide(outcome, State.UPDATED)
        self.release(lead, ledger={"first_name": ["Zoë", self.event_time, key, False]})

    def opted_out(self, key: str, phone: str, state: State = State.UPDATED) -> None:
        """An opt-out that was sent, and confirmed or not."""
        delivery = self.delivery()
        event, lead = self.event(delivery, key), self.lead(phone, Lane.OPT_OUT)
        fields = {"do_not_call": True, "first_name": "Jane"}
        outcome = self.outcome(
            event, delivery, lead, phone=phone, key=key, fields=fields, opts_out=True
        )
        self.decide(outcome, state)
        ledger: dict[str, Any] = {
            "do_not_call": [True, self.event_time, key, False],
            "first_name": ["Jane", self.event_time, key, False],
        }
        where = {"lane": Lane.STANDING, "due_at": self.now + 60_000}
        stands = where if state is State.STANDING else {}
        self.release(lead, ledger=ledger, opted_out=True, **stands)

    @property
    def event_time(self) -> int:
        return an_outcome(1, None).event_time


@contextmanager
def world(database: Database) -> Iterator[World]:
    with database.write() as connection:
        yield World(connection)
