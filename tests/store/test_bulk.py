"""Statements of the busy paths: the same rows on both engines, and errors as of any statement."""

from __future__ import annotations

import pytest
from sqlalchemy import bindparam, literal, select, update

from bridge.errors import StoreError
from bridge.store.bulk import Many, Query, among, insert_many, listed
from bridge.store.database import Database
from bridge.store.schema import campaign_arrival, heartbeat

ARRIVALS = (("a", 3), ("b", 1), ("c", 2))

ADD = insert_many(campaign_arrival, ("name", "arrived_at"))
AMONG = Query(
    select(campaign_arrival.c.name, campaign_arrival.c.arrived_at, literal(7))
    .where(
        among(campaign_arrival.c.name, "names"), campaign_arrival.c.arrived_at < bindparam("before")
    )
    .order_by(campaign_arrival.c.arrived_at)
    .limit(bindparam("most"))
)


def test_a_query_gives_the_rows_that_it_is_asked_for(database: Database) -> None:
    with database.write() as connection:
        ADD.execute(connection, ARRIVALS)
    with database.read() as connection:
        given = {"names": listed(["a", "b", "c", "d"]), "before": 3}
        assert [tuple(row) for row in AMONG.all(connection, most=9, **given)] == [
            ("b", 1, 7),
            ("c", 2, 7),
        ]
        assert [tuple(row) for row in AMONG.all(connection, most=1, **given)] == [("b", 1, 7)]


def test_a_value_that_is_not_given_does_not_pass_for_null(database: Database) -> None:
    with database.write() as connection:
        ADD.execute(connection, ARRIVALS)
    with pytest.raises((KeyError, StoreError)), database.read() as connection:
        AMONG.all(connection, names=listed(["a"]), befor=9, most=9)


def test_what_a_read_sees_does_not_change_while_it_is_open(database: Database) -> None:
    given = {"names": listed(["a"]), "before": 9, "most": 9}
    with database.read() as connection:
        assert not AMONG.all(connection, **given)
        with database.write() as other:
            ADD.execute(other, ARRIVALS)
        assert not AMONG.all(connection, **given)
    with database.read() as connection:
        assert len(AMONG.all(connection, **given)) == 1


def test_what_a_query_changed_is_rolled_back_with_the_rest(database: Database) -> None:
    change = Query(
        update(campaign_arrival)
        .where(campaign_arrival.c.name == bindparam("the_name"))
        .values(arrived_at=campaign_arrival.c.arrived_at + 10)
        .returning(campaign_arrival.c.arrived_at)
    )
    with database.write() as connection:
        ADD.execute(connection, ARRIVALS)

    def change_and_fail() -> None:
        with database.write() as connection:
            assert change.all(connection, the_name="a")[0][0] == 13
            ADD.execute(connection, ARRIVALS)

    with pytest.raises(StoreError):
        change_and_fail()
    with database.write() as connection:
        assert change.all(connection, the_name="a")[0][0] == 13


def test_a_statement_that_fails_is_an_error_of_the_store_and_leaves_nothing(
    database: Database,
) -> None:
    with pytest.raises(StoreError, match="refused a statement"), database.write() as connection:
        ADD.execute(connection, [*ARRIVALS, ARRIVALS[0]])
    with database.read() as connection:
        assert not AMONG.all(connection, names=listed(["a", "b", "c"]), before=9, most=9)


def test_constants_of_a_statement_stand_between_the_values_of_its_rows(
    database: Database,
) -> None:
    put = Many(
        {"name": heartbeat.c.name.type, "at": heartbeat.c["at"].type},
        lambda given: (
            update(heartbeat)
            .where(heartbeat.c.name == given("name"), heartbeat.c["at"] < 5)
            .values(at=given("at") + 1000)
        ),
    )
    with database.write() as connection:
        insert_many(heartbeat, ("name", "at")).execute(connection, [("x", 1), ("y", 9)])
        put.execute(connection, [("x", 20), ("y", 30)])
    with database.read() as connection:
        rows = Query(select(heartbeat.c.name, heartbeat.c["at"]).order_by("name")).all(connection)
    assert [tuple(row) for row in rows if row[0] in ("x", "y")] == [("x", 1020), ("y", 9)]


def test_rows_that_were_added_are_counted_and_those_that_were_there_are_not(
    database: Database,
) -> None:
    add = insert_many(
        campaign_arrival,
        ("name",),
        constants={"arrived_at": "7"},
        on_conflict=lambda new: new.on_conflict_do_nothing(),
    )
    with database.write() as connection:
        assert add.count(connection, []) == 0
        assert add.count(connection, [("a",), ("b",)]) == 2
        assert add.count(connection, [("c",), ("a",), ("d",)]) == 2
        assert add.count(connection, [("a",)]) == 0
        found = connection.execute(select(campaign_arrival.c.name, campaign_arrival.c.arrived_at))
        assert {tuple(row) for row in found} == {(name, 7) for name in "abcd"}
