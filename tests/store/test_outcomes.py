"""Outcomes: one row per event, campaign and lead; final once and for all."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import select

from bridge.errors import StoreError
from bridge.model import State
from bridge.store import events, outcomes
from bridge.store.database import Connection, Database
from bridge.store.outcomes import ALIKE, Decision
from bridge.store.schema import outcome

from .rows import NOW, a_delivery, a_lead, an_event, an_outcome, stored

OPEN = [state for state in State if not state.final]
FINAL = [state for state in State if state.final]


def decision(number: int, state: State, **changes: object) -> Decision:
    values: dict[str, object] = {"message": "m", "doubtful": False, "tries": 1, "batch_id": None}
    return Decision(number, state, **(values | changes))  # type: ignore[arg-type]


def add_one(connection: Connection, event_id: int = 1, **changes: object) -> tuple[int, int]:
    """Store an open update; returns the ids of its lead and of itself."""
    lead = a_lead(connection)
    outcomes.add(connection, [an_outcome(event_id, lead, **changes)])
    number = max(row.id for row in outcomes.open_updates(connection, [lead])[lead])
    return lead, number


def states(connection: Connection) -> dict[int, tuple[str, int | None]]:
    rows = connection.exec_driver_sql("SELECT id, state, decided_at FROM outcome")
    return {row[0]: (row[1], row[2]) for row in rows}


def test_an_open_update_comes_back_as_it_was_stored(database: Database) -> None:
    with database.write() as connection:
        lead, number = add_one(connection, opts_out=True, rules=("a", "b"), message="note")
        (row,) = outcomes.open_updates(connection, [lead])[lead]
    assert (row.id, row.lead_id, row.state, row.opts_out) == (number, lead, State.WAITING, True)
    assert (row.fields, row.rules, row.message) == ({"first_name": "Zoë"}, ("a", "b"), "note")
    assert (row.doubtful, row.tries) == (False, 0)


def test_open_updates_come_oldest_event_first(database: Database) -> None:
    with database.write() as connection:
        lead = a_lead(connection)
        for event_id, time, key in ((1, 9, "a"), (2, 5, "z"), (3, 5, "b")):
            outcomes.add(connection, [an_outcome(event_id, lead, event_time=time, key=key)])
        rows = outcomes.open_updates(connection, [lead, 999])[lead]
        assert [(row.event_time, row.key) for row in rows] == [(5, "b"), (5, "z"), (9, "a")]


@pytest.mark.parametrize("final", FINAL)
def test_nothing_changes_a_final_state(database: Database, final: State) -> None:
    with database.write() as connection:
        lead, number = add_one(connection)
        outcomes.decide(connection, [decision(number, final)], NOW)
        for state in State:
            outcomes.decide(connection, [decision(number, state, message="later")], NOW + 1)
        outcomes.in_flight(connection, [number])
        assert outcomes.doubt(connection, [lead]) == []
        assert states(connection) == {number: (final.value, NOW)}
        assert outcomes.open_updates(connection, [lead]) == {}


@pytest.mark.parametrize("state", OPEN)
def test_an_open_state_has_no_time_of_decision(database: Database, state: State) -> None:
    with database.write() as connection:
        lead, number = add_one(connection)
        outcomes.decide(connection, [decision(number, state, doubtful=True, tries=3)], NOW)
        assert states(connection) == {number: (state.value, None)}
        (row,) = outcomes.open_updates(connection, [lead])[lead]
        assert (row.state, row.doubtful, row.tries) == (state, True, 3)


@pytest.mark.parametrize("alike", [ALIKE - 1, ALIKE, 3 * ALIKE])
def test_each_of_many_outcomes_becomes_what_was_decided_of_it(
    database: Database, alike: int
) -> None:
    """Those that become the same are changed together; a final one is left alone there, too."""
    with database.write() as connection:
        lead = a_lead(connection)
        outcomes.add(connection, [an_outcome(n, lead) for n in range(1, 2 * alike + 6)])
        ids = [row.id for row in outcomes.open_updates(connection, [lead])[lead]]
        ended, *rest = ids
        batch = outcomes.add_batch(
            connection,
            campaign="main",
            started_at=NOW,
            elapsed_ms=1,
            leads=1,
            calls=1,
            status=200,
            trouble=None,
            detail="",
        )
        outcomes.decide(connection, [decision(ended, State.REJECTED)], NOW - 1)
        sent, old, others = rest[:alike], rest[alike : 2 * alike], rest[2 * alike :]
        made = [decision(n, State.UPDATED, message="a\x00b", batch_id=batch) for n in sent]
        made += [decision(n, State.SUPERSEDED, tries=0) for n in [*old, ended]]
        made += [decision(n, State.WAITING, message=str(n), doubtful=True) for n in others]
        outcomes.decide(connection, sorted(made, key=lambda one: one.message), NOW)
        rows = connection.execute(select(outcome)).all()
    found = {
        row.id: (row.state, row.message, row.batch_id, row.tries, row.decided_at) for row in rows
    }
    wanted: dict[int, tuple[Any, ...]] = dict.fromkeys(sent, ("updated", "ab", batch, 1, NOW))
    wanted |= dict.fromkeys(old, ("superseded", "m", None, 0, NOW))
    wanted |= {n: ("waiting", str(n), None, 1, None) for n in others}
    assert found == wanted | {ended: ("rejected", "m", None, 1, NOW - 1)}
    assert {row.id for row in rows if row.doubtful} == set(others)


def test_one_event_leads_to_one_outcome_per_campaign_and_lead(database: Database) -> None:
    with database.write() as connection:
        add_one(connection)
    with pytest.raises(StoreError), database.write() as connection:
        outcomes.add(connection, [an_outcome(1, 1)])
    with database.write() as connection:
        outcomes.add(connection, [an_outcome(1, 1, campaign="other")])
        found = connection.execute(select(outcome.c.campaign)).scalars().all()
    assert sorted(found) == ["main", "other"]


def test_what_was_in_flight_with_a_lost_worker_waits_in_doubt(database: Database) -> None:
    with database.write() as connection:
        lead, first = add_one(connection, 1, opts_out=True)
        _, second = add_one(connection, 2)
        outcomes.in_flight(connection, [first])
        outcomes.in_flight(connection, [])
        assert outcomes.doubt(connection, [lead]) == [lead]
        by_id = {row.id: row for row in outcomes.open_updates(connection, [lead])[lead]}
    assert (by_id[first].state, by_id[first].doubtful) == (State.WAITING, True)
    assert (by_id[second].state, by_id[second].doubtful) == (State.WAITING, False)


def test_an_outcome_keeps_the_batch_that_led_to_it(database: Database) -> None:
    (delivery,) = stored(database, a_delivery())
    with database.write() as connection:
        event = events.add(connection, [an_event(delivery.id, 0, "k")])[delivery.id, 0].id
        _, number = add_one(connection, event, delivery_id=delivery.id, receipt=delivery.receipt)
        batch = outcomes.add_batch(
            connection,
            campaign="main",
            started_at=NOW,
            elapsed_ms=12,
            leads=1,
            calls=1,
            status=200,
            trouble=None,
            detail="",
        )
        outcomes.decide(connection, [decision(number, State.WAITING, batch_id=batch)], NOW)
        outcomes.decide(connection, [decision(number, State.UPDATED)], NOW + 3)
        (row,) = outcomes.listing(connection, receipt=delivery.receipt)
    assert (row["batch_id"], row["batch_status"], row["batch_elapsed_ms"]) == (batch, 200, 12)
    assert (row["state"], row["decided_at"], row["fields"]) == (
        "updated",
        NOW + 3,
        {"first_name": "Zoë"},
    )


def test_a_lead_was_refused_alone_if_others_of_its_campaign_got_through_later(
    database: Database,
) -> None:
    """Else a 403 is the campaign's, which is paused for it."""

    def call(campaign: str = "main", status: int | None = 200, leads: int = 1) -> int:
        return outcomes.add_batch(
            connection,
            campaign=campaign,
            started_at=NOW,
            elapsed_ms=1,
            leads=leads,
            calls=1,
            status=status,
            trouble={200: None, 403: "refused"}.get(status or 0, "server"),
            detail="",
        )

    def refused(event_id: int, *, leads: int = 1) -> list[int]:
        _, number = add_one(connection, event_id)
        batch = call(status=403, leads=leads)
        outcomes.decide(connection, [decision(number, State.WAITING, batch_id=batch)], NOW)
        return [number]

    with database.write() as connection:
        call()
        first, beside = refused(1), refused(2, leads=2)
        for campaign, status in (("other", 200), ("main", 403), ("main", 500), ("main", None)):
            call(campaign, status)
            assert not outcomes.refused_alone(connection, first)
        call()
        assert outcomes.refused_alone(connection, first)
        assert not outcomes.refused_alone(connection, beside)
        assert not outcomes.refused_alone(connection, refused(3))


def test_a_listing_narrows_and_pages(database: Database) -> None:
    (delivery,) = stored(database, a_delivery())
    with database.write() as connection:
        added = events.add(connection, [an_event(delivery.id, n, f"k{n}") for n in range(3)])
        for n in range(3):
            outcomes.add(
                connection,
                [an_outcome(added[delivery.id, n].id, None, phone=f"+1415555000{n}")],
            )
        newest = outcomes.listing(connection, campaign="main", source="hubspot", limit=2)
        assert [row["phone"][-1] for row in newest] == ["2", "1"]
        rest = outcomes.listing(connection, before=newest[-1]["id"])
        assert [row["phone"][-1] for row in rest] == ["0"]
        assert outcomes.listing(connection, state="updated") == []
        (one,) = outcomes.listing(connection, phones=["+14155550001"])
        assert one["ordinal"] == 1


def test_a_message_with_a_nul_is_stored_without_it(database: Database) -> None:
    with database.write() as connection:
        lead, number = add_one(connection, message="a\x00b", fields={"first_name": "A\x00n"})
        (row,) = outcomes.open_updates(connection, [lead])[lead]
        assert (row.message, row.fields) == ("ab", {"first_name": "A\x00n"})
        outcomes.decide(connection, [decision(number, State.WAITING, message="c\x00d")], NOW)
        (row,) = outcomes.open_updates(connection, [lead])[lead]
        assert row.message == "cd"
