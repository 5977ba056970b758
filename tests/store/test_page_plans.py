"""No page reads a big table from end to end: the plan of each query, on both engines."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Connection
from sqlalchemy import event as sql_event

from bridge.store import attempts, clues, deliveries, evidence, history, pages, queues, tally
from bridge.store.database import Database
from bridge.store.evidence import Only
from bridge.store.pages import Wanted
from bridge.store.tally import Span

from .rows import NOW

PHONE = "+14155550123"
MINE = Only((PHONE, "#1"), (1, 2), "main")


def page(**wanted: Any) -> Callable[[Connection], Any]:
    return lambda c: pages.outcomes(c, Wanted(**wanted), before=10**9, limit=50)


def received(**options: Any) -> Callable[[Connection], Any]:
    chosen = {"source": None, "waiting": False, "before": 10**9, "limit": 50} | options
    return lambda c: pages.deliveries(c, **chosen)


READ: dict[str, Callable[[Connection], Any]] = {
    "outcomes": page(),
    "outcomes of a state": page(state="dead"),
    "outcomes of a campaign": page(campaign="main"),
    "outcomes of a state and a source": page(state="dead", source="hubspot"),
    "dead letters": page(state="dead", newest=True),
    "dead letters of a source": page(state="dead", source="hubspot", newest=True),
    "dead letters of an hour": lambda c: queues.dead(c, NOW),
    "outcomes of a number": page(phone=PHONE),
    "outcomes of a delivery": page(receipt="0" * 32),
    "outcomes by id": lambda c: pages.outcomes_by_id(c, [1, 2]),
    "outcomes of events": lambda c: pages.outcomes_of_events(c, [1, 2]),
    "opt-outs of a number": lambda c: pages.opt_outs(c, PHONE),
    "all opt-outs of a number": lambda c: pages.opt_outs(c, PHONE, all_=True),
    "deliveries": received(),
    "deliveries of a source": received(source="hubspot"),
    "deliveries that wait": received(waiting=True),
    "deliveries of a source that wait": received(source="hubspot", waiting=True),
    "a delivery": lambda c: pages.delivery_by_receipt(c, "0" * 32),
    "events of a delivery": lambda c: pages.events_of_delivery(c, 1),
    "events by id": lambda c: pages.events_by_id(c, [1, 2]),
    "leads of numbers": lambda c: pages.leads_of(c, [PHONE, "+2"]),
    "a lead": lambda c: pages.lead_by_id(c, 1),
    "a refusal": lambda c: pages.refusal_by_receipt(c, "0" * 32),
    "refusals of a day": lambda c: pages.refusals_since(c, NOW),
    "tries": lambda c: attempts.of_outcomes(c, [1, 2]),
    "numbers by e-mail": lambda c: clues.phones(c, "#" + "0" * 38),
    "events by contact": lambda c: clues.events(c, "#" + "1" * 38),
    "numbers by contact": lambda c: clues.phones_of_contact(c, "1"),
    "counts of an hour": lambda c: tally.series(c, Span.MINUTE, NOW),
    "counts of a month": lambda c: tally.series(c, Span.HOUR, NOW),
    "counts in all": tally.totals,
    "counts of replays": lambda c: history.counts_of_replays(c, [1, 2]),
    "old counts": lambda c: tally.forget(c, NOW),
    "export: deliveries of a time": lambda c: evidence.heads_between(c, "0", "f", 200),
    "export: how many": lambda c: evidence.count_between(c, "0", "f", 100),
    "export: deliveries by id": lambda c: evidence.heads(c, [1, 2]),
    "export: deliveries of a number": lambda c: evidence.deliveries_of(c, PHONE, 0),
    "export: events of a clue": lambda c: evidence.events_of(c, "#" + "0" * 38, 0),
    "export: rows of deliveries": lambda c: evidence.rows_of(c, [1, 2]),
    "export: whole deliveries": lambda c: evidence.deliveries(c, [1, 2]),
    "export: events": lambda c: evidence.events(c, [1, 2], Only()),
    "export: events of some": lambda c: evidence.events(c, [1, 2], MINE),
    "export: outcomes": lambda c: evidence.outcomes(c, [1, 2], Only(), after=0, limit=9),
    "export: outcomes of some": lambda c: evidence.outcomes(c, [1, 2], MINE, after=0, limit=9),
    "export: mappings": lambda c: evidence.mappings(c, ["v1"]),
    "export: refusals": lambda c: evidence.refusals(c, 1, 2, 0, 500),
    "export: replays": lambda c: evidence.replays(c, [1, 2]),
    "open opt-outs": queues.opt_outs,
    "accepted and not taken in": queues.deliveries_by_source,
    "last delivery of a source": lambda c: deliveries.last_by_source(c, ["hubspot"]),
}

# What is walked through from its end is bounded by LIMIT, never by the size of the table.
IN_ORDER = ("outcomes", "outcomes of a campaign", "deliveries")


def sqlite_plan(connection: Connection, statement: str, parameters: Any) -> list[str]:
    raw: Any = connection.connection.driver_connection
    return [row[-1] for row in raw.execute(f"EXPLAIN QUERY PLAN {statement}", parameters)]


def postgres_plan(connection: Connection, statement: str, parameters: Any) -> list[str]:
    raw: Any = connection.connection.driver_connection
    with raw.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute(f"EXPLAIN {statement}", parameters)
        return [row[0] for row in cursor.fetchall()]


@pytest.mark.parametrize("name", READ)
def test_a_page_goes_by_indexes(database: Database, name: str) -> None:
    plans: dict[str, list[str]] = {}
    look = sqlite_plan if database.is_sqlite else postgres_plan

    def note(connection: Connection, _c: Any, statement: str, parameters: Any, *_: Any) -> None:
        if re.match(r"SELECT|UPDATE|DELETE", statement):
            one = parameters[0] if isinstance(parameters, list) else parameters
            plans[statement] = look(connection, statement, one)

    sql_event.listen(database.engine, "before_cursor_execute", note)
    try:
        with database.write() as connection:
            READ[name](connection)
    finally:
        sql_event.remove(database.engine, "before_cursor_execute", note)
    assert plans
    steps = [step.strip() for plan in plans.values() for step in plan]
    bad = [step for step in steps if "Seq Scan" in step]
    bad += [
        step
        for step in steps
        # these are the window that a page looks through, and the front of what waits
        if step.startswith("SCAN") and not any(w in step for w in ("INDEX", "anon_", "front"))
    ]
    if name in IN_ORDER:
        bad = [step for step in bad if step not in ("SCAN outcome", "SCAN delivery")]
    assert not bad, steps
    if database.is_sqlite and name in ("outcomes", "outcomes of a state", "deliveries"):
        # on PostgreSQL that depends on how much there is, and here there is nothing
        assert not [step for step in steps if "TEMP B-TREE" in step], steps
