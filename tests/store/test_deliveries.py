"""Deliveries: kept byte for byte, worked on once."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from bridge.store import deliveries
from bridge.store.database import Connection, Database

from .rows import NOW, a_delivery, stored
from .waiting import while_open


def test_a_delivery_comes_back_as_it_was_stored(database: Database) -> None:
    row = a_delivery(body=bytes(range(256)), query={"q": "\U0001f600"}, headers={"x": 'ü"\\'})
    (back,) = stored(database, row)
    assert (back.body, back.query, back.headers) == (row.body, row.query, row.headers)
    assert (back.receipt, back.source, back.received_at) == (row.receipt, "hubspot", NOW)
    with database.read() as connection:
        assert deliveries.by_ids(connection, [back.id, back.id, 999]) == {back.id: back}
        assert deliveries.by_receipt(connection, "nobody's") is None


def test_what_is_next_comes_in_order_and_only_of_known_sources(database: Database) -> None:
    rows = stored(database, *(a_delivery(source=s) for s in ("a", "b", "a", "c", "b")))
    with database.read() as connection:
        found = deliveries.next_stored(connection, ["b", "a"], 3)
        assert [row.id for row in found] == [rows[0].id, rows[1].id, rows[2].id]
        assert deliveries.next_stored(connection, [], 3) == []


def test_what_is_left_out_leaves_room_for_those_behind(database: Database) -> None:
    rows = stored(database, *(a_delivery(body=b"x" * 10) for _ in range(6)))
    ids = [row.id for row in rows]

    def following(limit: int, most_bytes: int, *gone: int) -> list[int]:
        with database.read() as connection:
            found = deliveries.next_stored(
                connection, ["hubspot"], limit, most_bytes, besides={ids[at] for at in gone}
            )
        return [ids.index(row.id) for row in found]

    assert following(3, 100, 0, 2) == [1, 3, 4]
    assert following(3, 100, 4, 5) == [0, 1, 2]
    assert following(3, 20, 0, 2) == [1, 3]
    assert following(3, 5, 0) == [1]
    assert following(3, 100, *range(6)) == []


def test_a_delivery_is_taken_once_and_keeps_its_version(database: Database) -> None:
    one, two = stored(database, a_delivery(), a_delivery())
    with database.write() as connection:
        assert deliveries.take(connection, [one.id], {one.id: "v1"}) == {one.id}
    with database.write() as connection:
        assert deliveries.take(connection, [one.id, two.id], {two.id: "v2"}) == {two.id}
        listed = deliveries.listing(connection, source=None, before=None, limit=10)
    assert [(row["id"], row["state"], row["version"]) for row in listed] == [
        (two.id, "done", "v2"),
        (one.id, "done", "v1"),
    ]


def test_of_two_transactions_at_once_exactly_one_takes_a_delivery(
    database: Database, opened: Callable[..., Database]
) -> None:
    (row,) = stored(database, a_delivery())
    other = opened()

    def take(connection: Connection) -> set[int]:
        return deliveries.take(connection, [row.id], {})

    def take_too() -> set[int]:
        with other.write() as connection:
            return take(connection)

    assert while_open(database, take, take_too) == ({row.id}, set())


def test_what_a_transaction_took_is_free_again_when_it_fails(database: Database) -> None:
    (row,) = stored(database, a_delivery())
    with suppress(ZeroDivisionError), database.write() as connection:
        deliveries.take(connection, [row.id], {})
        assert 1 / 0
    with database.write() as connection:
        assert deliveries.take(connection, [row.id], {}) == {row.id}


def test_many_takers_share_deliveries_without_overlap(opened: Callable[..., Database]) -> None:
    databases = [opened() for _ in range(4)]
    rows = stored(databases[0], *(a_delivery() for _ in range(100)))

    def work(database: Database) -> list[int]:
        mine: list[int] = []
        while True:
            # as the worker does: on PostgreSQL what is next stays locked until it is taken
            with database.write() as connection:
                found = deliveries.next_stored(connection, ["hubspot"], 7)
                mine += deliveries.take(connection, [row.id for row in found], {})
            if not found:
                return mine

    with ThreadPoolExecutor(4) as pool:
        parts = list(pool.map(work, databases))
    assert sorted(number for part in parts for number in part) == [row.id for row in rows]


def test_listings_page_backwards(database: Database) -> None:
    rows = stored(database, *(a_delivery(source=s) for s in ("a", "b", "a")))
    with database.read() as connection:
        page = deliveries.listing(connection, source="a", before=rows[2].id, limit=5)
        assert [row["id"] for row in page] == [rows[0].id]
        assert page[0]["bytes"] == len(rows[0].body)
        assert deliveries.last_by_source(connection, ["a", "nobody"]) == {"a": NOW}


def test_the_write_probe_leaves_one_row(database: Database) -> None:
    for when in (1, 2):
        with database.write() as connection:
            deliveries.prove_writable(connection, "web", when)
    with database.read() as connection:
        rows = connection.exec_driver_sql("SELECT name, at FROM heartbeat").all()
    assert [tuple(row) for row in rows] == [("web", 2)]
