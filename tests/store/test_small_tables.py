"""Refusals within their bounds, campaigns and their condition, workers and their beat."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

from bridge.store import campaigns, refusals, workers
from bridge.store.campaigns import Condition
from bridge.store.database import Connection, Database
from bridge.store.refusals import Bounds, NewRefusal

from .rows import NOW

WIDE = Bounds(rows=100, per_address=100, total_bytes=1_000_000)


def refused(**changes: Any) -> NewRefusal:
    values: dict[str, Any] = {
        "receipt": uuid4().hex,
        "source": "hubspot",
        "received_at": NOW,
        "address": "192.0.2.1",
        "reason": "the signature does not match",
        "method": "POST",
        "url": "https://bridge.example.com/hooks/hubspot",
        "headers": {"x-signature": ["v1", "v2"]},
        "body": b"\x00\xff",
    }
    return NewRefusal(**(values | changes))


def kept(connection: Connection) -> int:
    return len(refusals.listing(connection, source=None, before=None, limit=1_000))


def test_refusals_are_kept_up_to_their_number(database: Database) -> None:
    bounds = Bounds(rows=3, per_address=100, total_bytes=1_000_000)
    with database.write() as connection:
        assert refusals.add(connection, [refused() for _ in range(2)], bounds) == 2
        assert refusals.add(connection, [refused() for _ in range(2)], bounds) == 1
        assert refusals.add(connection, [refused()], bounds) == 0
        assert kept(connection) == 3


def test_one_address_cannot_take_the_room_of_all(database: Database) -> None:
    bounds = Bounds(rows=100, per_address=2, total_bytes=1_000_000)
    flood = [refused(address="203.0.113.9") for _ in range(5)]
    with database.write() as connection:
        assert refusals.add(connection, [*flood, refused()], bounds) == 3
        assert refusals.add(connection, [flood[-1], refused()], bounds) == 1


def test_refusals_are_kept_up_to_their_bytes(database: Database) -> None:
    bounds = Bounds(rows=100, per_address=100, total_bytes=10_000)
    with database.write() as connection:
        large, small = refused(body=b"x" * 9_000), refused(body=b"x" * 900)
        assert refusals.add(connection, [large, small], bounds) == 1
        assert refusals.add(connection, [refused(body=b"")], bounds) == 1
        assert refusals.add(connection, [refused(body=b"")], bounds) == 0


def test_a_listing_of_refusals_narrows_and_pages(database: Database) -> None:
    with database.write() as connection:
        refusals.add(connection, [refused(source=s) for s in ("a", "b", "a")], WIDE)
        newest, oldest = refusals.listing(connection, source="a", before=None, limit=9)
        assert refusals.listing(connection, source="a", before=newest["id"], limit=9) == [oldest]
        assert (oldest["bytes"], oldest["reason"]) == (2, "the signature does not match")
        assert "body" not in oldest


def test_the_condition_of_a_campaign_is_kept_and_replaced(database: Database) -> None:
    paused = Condition("paused", "HTTP 401", NOW, NOW + 300_000, 0)
    with database.write() as connection:
        assert campaigns.api_id(connection, "main") is None
        campaigns.set_condition(connection, "main", "id=1", Condition(since=NOW))
        campaigns.set_condition(connection, "other", "id=2", Condition())
        campaigns.set_condition(connection, "main", "id=3", paused)
        assert campaigns.conditions(connection) == {"main": paused, "other": Condition()}
        assert campaigns.api_id(connection, "main") == "id=3"


def beat(connection: Connection, name: str, now: int) -> None:
    workers.beat(connection, name=name, host="h", pid=1, started_at=NOW, version="1", now=now)


def test_workers_beat_leave_and_are_forgotten_after_a_day(database: Database) -> None:
    with database.write() as connection:
        assert workers.last_beat(connection) is None
        beat(connection, "one", NOW)
        beat(connection, "two", NOW + 5)
        assert workers.last_beat(connection) == NOW + 5
        workers.leave(connection, "two")
        assert workers.last_beat(connection) == NOW
        beat(connection, "three", NOW + 86_400_001)
        names = connection.exec_driver_sql("SELECT name FROM worker").scalars().all()
        assert names == ["three"]
