"""Transactions that want the same rows wait one for the other, never each for each other."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from bridge.model import Campaign, Lane, Secret
from bridge.steps.greet import greet
from bridge.store import adoption, campaigns, events, leads
from bridge.store.database import Connection, Database

from .rows import a_lead, an_event, due, released
from .waiting import somebody_waits_for_a_lock, until

OUT = {"do_not_call": [True, 5, "k", False]}


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


@pytest.mark.parametrize("engine", ["postgresql"])  # SQLite has one lock for all
def test_arrivals_at_a_campaign_that_gets_another_id(
    database: Database, opened: Callable[..., Database], monkeypatch: pytest.MonkeyPatch
) -> None:
    """They wait for a few leads of it, not until all of its opt-outs stand to be sent again."""
    monkeypatch.setattr(leads, "AT_A_TIME", 1)
    first, second = (f"+1415555{number:04d}" for number in range(2))
    before = Campaign("main", "before", "http://127.0.0.1:9", Secret("T", ("t",)))
    after = replace(before, id="after")
    with database.write() as connection:
        campaigns.greet(connection, "main", before.called, due().due_at)
        for phone in (first, second):
            lead = a_lead(connection, phone)
            leads.release(connection, [released(lead, ledger=OUT, opted_out=True)])
    quick = opened(busy_timeout_s=2.0)
    with ThreadPoolExecutor(1) as pool:
        with database.write() as connection:
            leads.schedule(connection, [due(second)])
            greeted = pool.submit(greet, database, after, [after], ["main"], lambda: False)
            until(lambda: somebody_waits_for_a_lock(database))
            with quick.write() as other:
                leads.schedule(other, [due(first)])
        greeted.result(20)
    with database.read() as connection:
        found = leads.claimable(connection, "main", Lane.OPT_OUT, 2**61, 3)
        assert [(row.phone, row.reassert) for row in found] == [(first, True), (second, True)]
        assert campaigns.called(connection, "main") == after.called
