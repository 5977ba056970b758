"""The queries that run at every wake go by an index, however much is stored (SQLite's plans)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event as sql_event

from bridge.model import Lane, State
from bridge.store import deliveries, events, history, leads, outcomes, queues, replays
from bridge.store.database import Connection, Database

from .fresh import prepare

NOW = 1_782_371_969_536
BOTH = {Lane.OPT_OUT: 500, Lane.FIRST: 100}

HOT: dict[str, tuple[Callable[[Connection], Any], str]] = {
    "deliveries.next_stored": (
        lambda c: deliveries.next_stored(c, ["hubspot", "generic"], 500),
        "ix_delivery_stored",
    ),
    "deliveries.waiting": (
        lambda c: deliveries.waiting(
            c, ["hubspot"], deliveries.Span(5, NOW, newest_first=True), 500, 10**6
        ),
        "ix_delivery_stored",
    ),
    "deliveries.still_stored": (
        lambda c: deliveries.still_stored(c, range(1, 101)),
        "INTEGER PRIMARY KEY",
    ),
    "events.claim_pending": (
        lambda c: events.claim_pending(c, "hubspot", NOW, limits=BOTH, until=NOW),
        "ix_event_pending",
    ),
    "events.next_due": (lambda c: events.next_due(c, "hubspot"), "ix_event_pending"),
    "events.waiting": (lambda c: events.waiting(c, ["hubspot", "other"]), "ix_event_pending"),
    "leads.next_due": (lambda c: leads.next_due(c, "main"), "ix_lead_due"),
    "leads.claimable": (lambda c: leads.claimable(c, "main", Lane.FIRST, NOW, 100), "ix_lead_due"),
    "leads.recover": (lambda c: leads.recover(c, expired_before=NOW, now=NOW), "ix_lead_leased"),
    "leads.sooner": (
        lambda c: leads.sooner(c, ["main", "b"], Lane.STANDING, NOW, within=1),
        "ix_lead_due",
    ),
    "events.sooner": (lambda c: events.sooner(c, ["hubspot"], NOW, within=1), "ix_event_pending"),
    "outcomes.open_updates": (
        lambda c: outcomes.open_updates(c, range(1, 101)),
        "ix_outcome_lead_id_state",
    ),
    "outcomes.decide": (
        lambda c: outcomes.decide(
            c,
            [
                outcomes.Decision(n, State.SUPERSEDED, "m", doubtful=False, tries=0)
                for n in range(100)
            ],
            NOW,
        ),
        "INTEGER PRIMARY KEY",
    ),
    "outcomes.doubt": (lambda c: outcomes.doubt(c, range(1, 101)), "ix_outcome_lead_id_state"),
    "history.open_of_replay": (lambda c: history.open_of_replay(c, 1), "ix_outcome_replayed"),
    "history.in_state": (
        lambda c: history.in_state(c, State.DEAD, after=0, up_to=9, limit=100),
        "ix_outcome_state_id",
    ),
    "history.all_of_events": (
        lambda c: history.all_of_events(c, range(1, 101)),
        "sqlite_autoindex_outcome_1",
    ),
    "deliveries.between": (
        lambda c: deliveries.between(c, "0", "1", 100),
        "sqlite_autoindex_delivery_1",
    ),
    "replays.next_due": (replays.next_due, "ix_replay_state"),
    "replays.items": (lambda c: replays.items(c, 1, 100), "sqlite_autoindex_replay_item_1"),
    "queues.opt_outs": (queues.opt_outs, "ix_outcome_waiting_opt_outs"),
    "queues.deliveries_by_source": (queues.deliveries_by_source, "ix_delivery_stored"),
    "queues.look_ups": (queues.look_ups, "ix_event_pending"),
    "queues.lanes": (lambda c: queues.lanes(c, ["main"]), "ix_lead_due"),
    "queues.in_flight": (queues.in_flight, "ix_lead_leased"),
}


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    found = Database(f"sqlite:///{tmp_path / 'bridge.db'}")
    prepare(found)
    yield found
    found.close()


@contextmanager
def plans(database: Database) -> Iterator[list[tuple[str, list[str]]]]:
    """Every SELECT and UPDATE that ran in a transaction, with SQLite's plan for it."""
    statements: list[str] = []
    seen: list[tuple[str, list[str]]] = []

    def begin(connection: Connection) -> None:
        raw: Any = connection.connection.driver_connection
        raw.set_trace_callback(statements.append)

    sql_event.listen(database.engine, "begin", begin)
    yield seen
    sql_event.remove(database.engine, "begin", begin)
    with database.read() as connection:
        raw: Any = connection.connection.driver_connection
        raw.set_trace_callback(None)
        for statement in statements:
            if statement.startswith(("SELECT", "UPDATE")):
                rows = raw.execute(f"EXPLAIN QUERY PLAN {statement}").fetchall()
                seen.append((statement, [row[-1] for row in rows]))


@pytest.mark.parametrize("name", HOT)
def test_a_hot_query_goes_by_its_index(database: Database, name: str) -> None:
    run, index = HOT[name]
    with plans(database) as seen, database.write() as connection:
        run(connection)
    steps = [step for _, plan in seen for step in plan]
    assert any(index in step for step in steps), steps
    assert not [
        step
        for step in steps
        if step.startswith("SCAN")
        and "INDEX" not in step
        and step != "SCAN front"  # what LIMIT has bounded before
        and ("CONSTANT ROW" not in step and "(subquery" not in step)
    ], steps
