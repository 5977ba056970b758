"""Transactions that want the same rows wait one for the other, never each for each other."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from bridge.model import Lane
from bridge.store import adoption, events, leads
from bridge.store.database import Connection, Database

from .rows import a_lead, an_event, due, released
from .waiting import somebody_waits_for_a_lock, until


def both(
    database: Database,
    first: Callable[[Connection], object],
    second: Callable[[Connection], Any],
    then: Callable[[Connection], object],
) -> Any:
    """``first``, and in the same transaction ``then``, once ``second`` waits for it.

    Gives what ``second`` gave. On SQLite it waits to begin; errors: a deadlock, on PostgreSQL.
    """
    begun = threading.Event()

    def run() -> Any:
        begun.set()
        with database.write() as connection:
            return second(connection)

    with ThreadPoolExecutor(1) as pool:
        with database.write() as connection:
            first(connection)
            other = pool.submit(run)
            begun.wait(10)
            if not database.is_sqlite:
                until(lambda: somebody_waits_for_a_lock(database))
            then(connection)
        return other.result(20)


def test_arrivals_and_results_of_the_same_leads(database: Database) -> None:
    phones = [f"+1415555{number:04d}" for number in range(2)]
    with database.write() as connection:
        ids = {phone: a_lead(connection, phone) for phone in reversed(phones)}
        rows = leads.claimable(connection, "main", due().lane, due().due_at, 2)
        leads.claim(connection, [(row.id, {}, False) for row in rows], owner="w", until=2**50)
    held = both(
        database,
        lambda connection: leads.schedule(connection, [due(phones[0])]),
        lambda connection: leads.held(connection, dict.fromkeys(ids.values(), 1)),
        lambda connection: leads.schedule(connection, [due(phones[1])]),
    )
    assert held.keys() == set(ids.values())


def test_arrivals_at_the_same_leads_in_two_orders(database: Database) -> None:
    phones = [f"+1415555{number:04d}" for number in range(2)]
    ids = both(
        database,
        lambda connection: leads.schedule(connection, [due(phones[0])]),
        lambda connection: leads.schedule(connection, [due(phones[1]), due(phones[0])]),
        lambda connection: leads.schedule(connection, [due(phones[1])]),
    )
    assert len(set(ids.values())) == len(phones)


def test_an_arrival_waits_for_the_result_that_gives_its_lead_back(database: Database) -> None:
    """Where it came between the look at the lead and its release, nobody would ever claim it."""
    with database.write() as connection:
        number = a_lead(connection)
        leads.claim(connection, [(number, {}, False)], owner="w", until=2**50)
    both(
        database,
        lambda connection: leads.held(connection, {number: 1}),
        lambda connection: leads.schedule(connection, [due(lane=Lane.OPT_OUT)]),
        lambda connection: leads.release(connection, [released(number)]),
    )
    with database.read() as connection:
        assert leads.next_due(connection, "main") == {Lane.OPT_OUT: due().due_at}


def test_the_same_events_in_two_orders(database: Database) -> None:
    added = both(
        database,
        lambda connection: events.add(connection, [an_event(1, 0, "k1")]),
        lambda connection: events.add(connection, [an_event(2, 0, "k2"), an_event(2, 1, "k1")]),
        lambda connection: events.add(connection, [an_event(1, 1, "k2")]),
    )
    assert all(place.duplicate_of for place in added.values())


def test_arrivals_at_a_campaign_that_takes_over_opt_outs(database: Database) -> None:
    phones = [f"+1415555{number:04d}" for number in range(2)]
    with database.write() as connection:
        a_lead(connection, phones[0])  # the second is new to the campaign
    opt_outs = {phone: [True, 5, "k", False] for phone in phones}
    held = both(
        database,
        lambda connection: leads.schedule(connection, [due(phones[0])]),
        lambda connection: adoption.take_over(connection, "main", opt_outs, due().due_at),
        lambda connection: leads.schedule(connection, [due(phones[1])]),
    )
    assert held == 0
    with database.read() as connection:
        assert leads.claimable(connection, "main", Lane.OPT_OUT, 2**61, 3)
