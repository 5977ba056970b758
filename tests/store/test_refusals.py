"""Refusals are kept whole and within bounds, and nobody's flood pushes out what others sent."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from bridge import jsontext
from bridge.clock import now_ms
from bridge.errors import StoreError
from bridge.store import refusals
from bridge.store.database import Database
from bridge.store.refusal_room import LOOK_EVERY_S, REPLACE_EVERY_S, Room
from bridge.store.refusals import ROW_BYTES, Bounds, NewRefusal, network_of
from bridge.store.schema import refusal

from .rows import NOW

FLOOD, OTHER = "203.0.113.9", "192.0.2.1"
DAY_MS = 86_400_000


def bounds(**changes: int) -> Bounds:
    wide = {"rows": 1_000, "total_bytes": 10**7, "network_rows": 1_000, "network_bytes": 10**7}
    return Bounds(**(wide | changes))


def refused(address: str = OTHER, **changes: Any) -> NewRefusal:
    values: dict[str, Any] = {
        "receipt": uuid4().hex,
        "source": "hubspot",
        "received_at": now_ms(),
        "address": address,
        "reason": "",
        "method": "POST",
        "url": "",
        "headers": {},
        "body": b"",
    }
    return NewRefusal(**(values | changes))


def store(database: Database, rows: Sequence[NewRefusal], limits: Bounds) -> None:
    with database.write() as connection:
        refusals.add(connection, rows, limits)


def kept(database: Database) -> list[dict[str, Any]]:
    """What is there, the oldest first."""
    with database.read() as connection:
        return refusals.listing(connection, source=None, before=None, limit=5_000)[::-1]


def receipts(database: Database) -> list[str]:
    return [row["receipt"] for row in kept(database)]


def by_address(database: Database) -> Counter[str]:
    return Counter(row["address"] for row in kept(database))


def within(database: Database, limits: Bounds) -> bool:
    with database.read() as connection:
        held = refusals.held(connection).values()
    return (
        sum(one.rows for one in held) <= limits.rows
        and sum(one.bytes for one in held) <= limits.total_bytes
    )


class Clock:
    """Seconds that grow when the test says so."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


def send(room: Room, database: Database, row: NewRefusal) -> bool:
    """As the web process does it; whether the request was kept."""
    with room.place(row) as placed:
        if placed is not None:
            with database.write() as connection:
                room.store(connection, [placed])
    return placed is not None


# --------------------------------------------------------------------- what is stored


def test_a_refusal_is_kept_whole(database: Database) -> None:
    body = bytes(range(256)) * 8_000
    row = refused(body=body, headers={"x-signature": ["v1", "v2"]}, url="https://b/hooks/crm?a=%2F")
    store(database, [row], bounds())
    with database.read() as connection:
        (found,) = connection.execute(select(refusal)).all()
    assert found.body == body
    assert jsontext.loads(found.headers) == {"x-signature": ["v1", "v2"]}
    assert (found.url, found.receipt) == (row.url, row.receipt)


def test_a_listing_of_refusals_narrows_and_pages(database: Database) -> None:
    store(database, [refused(source=s, body=b"\x00\xff") for s in ("a", "b", "a")], bounds())
    with database.read() as connection:
        newest, oldest = refusals.listing(connection, source="a", before=None, limit=9)
        assert refusals.listing(connection, source="a", before=newest["id"], limit=9) == [oldest]
    assert (oldest["bytes"], oldest["passed_over"]) == (2, 0)
    assert "body" not in oldest


# --------------------------------------------------------------------- what makes room


def test_a_network_over_its_rows_loses_its_own_oldest(database: Database) -> None:
    limits = bounds(network_rows=3)
    other, rows = refused(), [refused(FLOOD) for _ in range(5)]
    store(database, [other], limits)
    for row in rows:
        store(database, [row], limits)
    assert receipts(database) == [row.receipt for row in (other, *rows[2:])]


def test_a_network_over_its_bytes_loses_its_own_oldest(database: Database) -> None:
    limits = bounds(network_bytes=3 * (ROW_BYTES + 1_000))
    other, rows = refused(), [refused(FLOOD, body=b"x" * 1_000) for _ in range(5)]
    store(database, [other], limits)
    for row in rows:
        store(database, [row], limits)
    assert receipts(database) == [row.receipt for row in (other, *rows[2:])]


@pytest.mark.parametrize(
    "limits",
    [bounds(rows=20), bounds(total_bytes=20 * (ROW_BYTES + 1_000))],
    ids=["rows", "bytes"],
)
def test_in_all_the_oldest_of_the_largest_network_go(database: Database, limits: Bounds) -> None:
    quiet = [refused("192.0.2.1"), refused("192.0.2.2")]
    store(database, quiet, limits)
    for _ in range(60):
        store(database, [refused(FLOOD, body=b"x" * 1_000)], limits)
        assert within(database, limits)
    late = refused("192.0.2.3")
    store(database, [late], limits)
    found = receipts(database)
    assert {row.receipt for row in (*quiet, late)} <= set(found)
    assert len(found) >= 15


def test_refusals_expire_the_oldest_first_and_some_at_a_time(database: Database) -> None:
    store(database, [refused(received_at=NOW + age) for age in range(10)], bounds())
    with database.write() as connection:
        assert refusals.expire(connection, NOW + 6, most=4) == 4
        assert refusals.expire(connection, NOW + 6, most=4) == 2
        assert refusals.expire(connection, NOW + 6, most=4) == 0
    assert [row["received_at"] for row in kept(database)] == [NOW + n for n in range(6, 10)]


@given(
    rows=st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 50)), max_size=30),
    too_many=st.integers(-3, 30),
    too_large=st.integers(-3, 400),
)
def test_what_goes_is_enough_not_more_and_never_of_a_smaller_network(
    rows: list[tuple[str, int]], too_many: int, too_large: int
) -> None:
    numbered = [(number, network, size) for number, (network, size) in enumerate(rows)]
    gone = refusals.oldest_of_the_largest(numbered, too_many, too_large)
    sizes: Counter[str] = Counter()
    for _, network, size in numbered:
        sizes[network] += size
    for place, number in enumerate(gone):
        _, network, size = numbered[number]
        assert too_many > 0 or too_large > 0
        assert sizes[network] == max(sizes.values())
        assert all(n in gone[:place] for n, other, _ in numbered[:number] if other == network)
        sizes[network] -= size
        too_many, too_large = too_many - 1, too_large - size
    assert (too_many <= 0 and too_large <= 0) or len(gone) == len(rows)


# --------------------------------------------------------------------- what is worth a row


def test_a_flood_is_counted_and_others_are_still_kept(database: Database) -> None:
    room = Room(database, bounds(network_rows=3), 30, Clock())
    answers = [send(room, database, refused(FLOOD)) for _ in range(50)]
    assert answers == [True] * 3 + [False] * 47
    assert send(room, database, refused(OTHER))
    assert by_address(database) == {FLOOD: 3, OTHER: 1}


def test_a_flood_of_large_bodies_ends_the_keeping_for_nobody(database: Database) -> None:
    """However many addresses send as much as they may, the next one is kept."""
    large = b"x" * 100_000
    room = Room(database, bounds(network_bytes=400_000, total_bytes=2_000_000), 30, Clock())
    for number in range(40):
        for _ in range(6):
            send(room, database, refused(f"203.0.113.{number}", body=large))
        assert send(room, database, refused(f"192.0.2.{number}"))
    assert sum(count for address, count in by_address(database).items() if "192" in address) == 40
    assert within(database, bounds(total_bytes=2_000_000))


def test_an_address_over_its_share_keeps_a_new_one_now_and_then(database: Database) -> None:
    clock = Clock()
    room = Room(database, bounds(network_rows=2), 30, clock)
    rows = [refused(FLOOD) for _ in range(6)]
    assert [send(room, database, row) for row in rows[:5]] == [True, True, False, False, False]
    clock.now += REPLACE_EVERY_S
    assert send(room, database, rows[5])
    assert not send(room, database, refused(FLOOD))
    assert receipts(database) == [rows[1].receipt, rows[5].receipt]
    assert kept(database)[-1]["passed_over"] == 3


def test_a_counted_request_costs_no_look_at_the_database(database: Database) -> None:
    room = Room(database, bounds(network_rows=1), 30, Clock())
    assert send(room, database, refused(FLOOD))
    with database.write():  # while another write has its turn, a second one would wait
        assert not send(room, database, refused(FLOOD))


def test_totals_are_compared_with_the_database_now_and_then(database: Database) -> None:
    clock = Clock()
    room = Room(database, bounds(network_rows=2), 30, clock)
    assert send(room, database, refused(FLOOD))
    store(database, [refused(FLOOD)], bounds())  # by another process
    clock.now += LOOK_EVERY_S
    assert not send(room, database, refused(FLOOD))


def test_a_place_is_given_back_when_the_request_could_not_be_stored(database: Database) -> None:
    room = Room(database, bounds(network_rows=2), 30, Clock())
    row = refused(FLOOD)
    send(Room(database, bounds(), 30, Clock()), database, row)
    with pytest.raises(StoreError):
        send(room, database, row)  # a receipt exists once
    assert send(room, database, refused(FLOOD))
    assert not send(room, database, refused(FLOOD))


def test_requests_on_their_way_together_stay_within_the_bounds(database: Database) -> None:
    room = Room(database, bounds(rows=2), 30, Clock())
    with room.place(refused("192.0.2.1")) as one, room.place(refused("192.0.2.2")) as two:
        assert one is not None
        assert two is not None
        with room.place(refused("192.0.2.3")) as three:
            assert three is None


def test_what_is_larger_than_the_bounds_is_not_said_to_be_kept(database: Database) -> None:
    room = Room(database, bounds(network_bytes=1_000), 30, Clock())
    assert not send(room, database, refused(body=b"x" * 1_000))
    assert not send(Room(database, bounds(rows=0), 30, Clock()), database, refused())
    assert kept(database) == []


def test_what_is_too_old_goes_while_others_come(database: Database) -> None:
    clock = Clock()
    room = Room(database, bounds(), 30, clock)
    store(database, [refused(received_at=now_ms() - 31 * DAY_MS)], bounds())
    fresh = refused(received_at=now_ms() - 29 * DAY_MS)
    assert send(room, database, fresh)
    assert receipts(database) == [fresh.receipt]


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("192.0.2.1:5678", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("[2001:db8:1:2:ffff::1]:443", "2001:db8:1:2::/64"),
        ("unknown", "unknown"),
        ("", ""),
    ],
)
def test_one_share_for_an_ipv4_address_and_for_an_ipv6_network(address: str, network: str) -> None:
    assert network_of(address) == network
