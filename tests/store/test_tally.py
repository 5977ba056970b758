"""Counts agree with what is stored, whoever writes and however a transaction ends."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import func, select

from bridge.model import State
from bridge.operate.console import charts
from bridge.operate.overview import figures_of
from bridge.store import deliveries, history, outcomes, tally
from bridge.store.database import Database
from bridge.store.outcomes import Decision
from bridge.store.schema import outcome
from bridge.store.tally import HOUR, MINUTE, Span

from .rows import NOW, a_delivery, a_lead, an_outcome

THIS_MINUTE = NOW // MINUTE * MINUTE
THIS_HOUR = NOW // HOUR * HOUR


def added(database: Database, span: Span = Span.MINUTE, since: int = 0) -> dict[str, int]:
    with database.read() as connection:
        found = tally.series(connection, span, since)
    return {kind: total for kind, steps in found.items() if (total := sum(steps.values()))}


def stored(database: Database) -> dict[str, Counter[str]]:
    """By campaign and kind, counted the slow way."""
    found: dict[str, Counter[str]] = {}
    with database.read() as connection:
        query = select(outcome.c.campaign, outcome.c.state, func.count())
        rows = connection.execute(query.group_by(outcome.c.campaign, outcome.c.state))
        for campaign, state, count in rows:
            found.setdefault(campaign, Counter())[tally.kind_of(state)] += count
    return found


def totals(database: Database) -> dict[str, dict[str, int]]:
    with database.read() as connection:
        found = tally.totals(connection)
    return {
        name: {kind: count for kind, count in kinds.items() if count}
        for name, kinds in found.items()
    }


def put(database: Database, count: int, **changes: Any) -> list[int]:
    """Store outcomes of one lead; their ids."""
    with database.write() as connection:
        lead = a_lead(connection, campaign=changes.get("campaign", "main"))
        first = connection.scalar(select(func.max(outcome.c.event_id))) or 0
        rows = [an_outcome(first + n, lead, **changes) for n in range(1, count + 1)]
        outcomes.add(connection, rows)
        query = select(outcome.c.id).where(outcome.c.event_id > first).order_by(outcome.c.id)
        return list(connection.scalars(query))


def decided(id_: int, state: State, **changes: Any) -> Decision:
    return Decision(id_, state, "", changes.get("doubtful", False), 1, changes.get("batch_id"))


def test_every_move_of_an_outcome_is_counted_once(database: Database) -> None:
    ids = put(database, 4)
    put(database, 2, campaign="", phone="", state=State.SKIPPED, decided_at=NOW)
    assert added(database) == {"waiting": 4, "skipped": 2}
    with database.write() as connection:
        outcomes.in_flight(connection, ids)
    assert added(database) == {"waiting": 4, "skipped": 2}
    with database.write() as connection:
        outcomes.decide(
            connection,
            [
                decided(ids[0], State.UPDATED),
                decided(ids[1], State.STANDING),
                decided(ids[2], State.WAITING),
            ],
            NOW,
        )
    assert totals(database) == stored(database)
    assert added(database) == {"waiting": 2, "standing": 1, "updated": 1, "skipped": 2}
    with database.write() as connection:
        late = NOW + HOUR
        outcomes.decide(connection, [decided(ids[1], State.UPDATED)], late)
        # what is final moves no more, and is not counted again
        outcomes.decide(connection, [decided(ids[0], State.DEAD)], late)
    assert totals(database) == stored(database)
    assert added(database, Span.HOUR, THIS_HOUR + HOUR) == {"standing": -1, "updated": 1}


def test_the_outcomes_of_each_replay_are_counted(database: Database) -> None:
    first = put(database, 4, replay_id=1)
    second = put(database, 2, replay_id=2)
    put(database, 1)
    put(database, 1, replay_id=2, campaign="", phone="", state=State.DEAD, decided_at=NOW)
    with database.write() as connection:
        outcomes.in_flight(connection, first[:1])
        ends = (State.UPDATED, State.STANDING)
        moves = [decided(id_, state) for id_, state in zip(first[2:], ends, strict=True)]
        outcomes.decide(connection, [*moves, decided(second[0], State.UPDATED)], NOW)
    with database.write() as connection:
        # what is final moves no more, and is not counted again
        again = [decided(first[3], State.UPDATED), decided(second[0], State.DEAD)]
        outcomes.decide(connection, again, NOW)
    with database.read() as connection:
        found = history.counts_of_replays(connection, [1, 2, 3])
        query = select(outcome.c.replay_id, outcome.c.state, func.count())
        rows = connection.execute(query.group_by(outcome.c.replay_id, outcome.c.state))
        slowly: dict[int, dict[State, int]] = {3: {}}
        for replay_id, state, count in rows:
            slowly.setdefault(replay_id, {})[State(state)] = count
    assert found[1] == {State.WAITING: 1, State.IN_FLIGHT: 1, State.UPDATED: 2}
    slowly.pop(0)
    assert found == slowly


def test_deliveries_count_by_the_time_they_came(database: Database) -> None:
    with database.write() as connection:
        deliveries.add(connection, [a_delivery(), a_delivery(received_at=NOW - MINUTE)])
        ids = [row.id for row in deliveries.next_stored(connection, ["hubspot"], 10)]
        deliveries.take(connection, ids, {})
        deliveries.take(connection, ids, {})
    with database.read() as connection:
        found = tally.series(connection, Span.MINUTE, 0)
    assert found == {tally.ACCEPTED: {THIS_MINUTE: 1, THIS_MINUTE - MINUTE: 1}}
    assert totals(database) == {}


def test_what_is_rolled_back_is_not_counted(database: Database) -> None:
    put(database, 1)

    def broken() -> None:
        with database.write() as connection:
            outcomes.add(connection, [an_outcome(99, a_lead(connection))])
            raise RuntimeError

    with pytest.raises(RuntimeError):
        broken()
    put(database, 1)
    assert totals(database) == stored(database) == {"main": {"waiting": 2}}


def test_many_writers_at_once_lose_no_count(opened: Callable[..., Database]) -> None:
    one = opened()
    ids = [put(one, 30, campaign=f"c{number}") for number in range(4)]

    def work(mine: list[int]) -> None:
        database = opened(busy_timeout_s=60)
        for place in range(0, len(mine), 3):
            with database.write() as connection:
                rows = [decided(id_, State.UPDATED) for id_ in mine[place : place + 3]]
                outcomes.decide(connection, rows, NOW)

    threads = [threading.Thread(target=work, args=(mine,)) for mine in ids]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert totals(one) == stored(one)
    assert added(one) == {"updated": 120}


def test_counts_that_no_chart_shows_are_forgotten(database: Database) -> None:
    put(database, 1)
    put(database, 1, accepted_at=NOW - tally.KEPT_MINUTES - 2 * MINUTE)
    put(database, 1, accepted_at=NOW - tally.KEPT_HOURS - 2 * HOUR)
    with database.write() as connection:
        tally.forget(connection, NOW)
    assert added(database, Span.MINUTE) == {"waiting": 1}
    assert added(database, Span.HOUR) == {"waiting": 2}
    assert totals(database) == stored(database)


def test_what_stood_for_minutes_of_the_hour_stood_in_the_day_and_the_month(
    database: Database,
) -> None:
    now = THIS_HOUR + 40 * MINUTE
    for minutes_ago, change in ((20, 3), (10, -3)):
        with database.write() as connection:
            tally.note(connection, [("main", "waiting", change)], now - minutes_ago * MINUTE)
    with database.read() as connection:
        found = figures_of(connection, tally.totals(connection), 0, now)["waiting"]
    assert found["now"] == 0
    assert [figure["total"] for figure in found["periods"].values()] == [3, 3, 3]
    said = [charts.stock(figure, "Waiting").said for figure in found["periods"].values()]
    assert said[0].startswith("Waiting: 3 at most, most (3) at ")
    assert said[1:] == ["Waiting: 3 at most", "Waiting: 3 at most"]
