"""Campaigns and their condition, workers and their beat."""

from __future__ import annotations

from bridge.store import campaigns, workers
from bridge.store.campaigns import Condition
from bridge.store.database import Connection, Database

from .rows import NOW


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
