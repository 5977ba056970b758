"""Events: the first copy of each counts, every later one is a duplicate of it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

import pytest

from bridge.model import Lane, State
from bridge.store import events, outcomes
from bridge.store.database import Connection, Database
from bridge.store.events import Added

from .rows import NOW, a_delivery, an_event, an_outcome, stored
from .waiting import while_open


def due(connection: Connection, now: int, source: str = "hubspot") -> list[events.PendingEvent]:
    """The events that are due now, taken for no longer than this moment."""
    limits = {Lane.OPT_OUT: 5, Lane.FIRST: 5}
    return events.claim_pending(connection, source, now, limits=limits, until=now)


def test_copies_in_one_statement_are_duplicates_of_the_first(database: Database) -> None:
    with database.write() as connection:
        added = events.add(
            connection,
            [
                an_event(1, 0, "k1"),
                an_event(1, 1, "k1"),
                an_event(1, 2, "k2"),
                an_event(2, 0, "k1"),
            ],
        )
    first = added[1, 0].id
    assert len({place.id for place in added.values()}) == 4
    assert [added[place].duplicate_of for place in ((1, 0), (1, 1), (1, 2), (2, 0))] == [
        None,
        first,
        None,
        first,
    ]


def test_a_copy_in_a_later_delivery_is_a_duplicate_even_if_it_would_wait(
    database: Database,
) -> None:
    with database.write() as connection:
        first = events.add(connection, [an_event(1, 0, "k", pending=True)])[1, 0]
    with database.write() as connection:
        again = events.add(connection, [an_event(2, 0, "k", pending=True)])[2, 0]
        assert again.duplicate_of == first.id
        assert [row.id for row in due(connection, NOW)] == [first.id]


def test_of_two_copies_in_two_transactions_at_once_one_is_the_duplicate(
    database: Database, opened: Callable[..., Database]
) -> None:
    other = opened()

    def add(connection: Connection) -> dict[tuple[int, int], Added]:
        return events.add(connection, [an_event(1, 0, "k"), an_event(1, 1, "mine")])

    def add_too() -> dict[tuple[int, int], Added]:
        with other.write() as connection:
            return events.add(connection, [an_event(2, 0, "k"), an_event(2, 1, "theirs")])

    mine, theirs = while_open(database, add, add_too)
    assert mine[1, 0].duplicate_of is None
    assert theirs[2, 0].duplicate_of == mine[1, 0].id
    assert theirs[2, 1].duplicate_of is None


def dies(connection: Connection, event_id: int, version: str) -> None:
    dead = {"campaign": "", "phone": "", "state": State.DEAD, "version": version}
    outcomes.add(connection, [an_outcome(event_id, None, decided_at=NOW, **dead)])


def test_of_two_copies_at_once_of_what_another_version_could_not_read_one_is_read(
    database: Database, opened: Callable[..., Database]
) -> None:
    other = opened()
    with database.write() as connection:
        first = events.add(connection, [an_event(1, 0, "k")])[1, 0]
        dies(connection, first.id, "v1")
        same = events.add(connection, [an_event(2, 0, "k", version="v1")])
        assert same[2, 0].duplicate_of == first.id

    def add(connection: Connection) -> dict[tuple[int, int], Added]:
        return events.add(connection, [an_event(3, n, "k", version="v2") for n in range(2)])

    def add_too() -> dict[tuple[int, int], Added]:
        with other.write() as connection:
            return events.add(connection, [an_event(4, 0, "k", version="v2")])

    mine, theirs = while_open(database, add, add_too)
    assert mine[3, 0].duplicate_of is None
    assert mine[3, 1].duplicate_of == theirs[4, 0].duplicate_of == mine[3, 0].id


def test_what_one_version_after_the_other_cannot_read_is_read_by_each_once(
    database: Database,
) -> None:
    """A file is mended in several steps, and the CRM sends again after each of them."""
    ids: dict[str, int] = {}
    for number, version in enumerate(("v1", "v2", "v3", "v4")):
        with database.write() as connection:
            rows = [an_event(2 * number + n, 0, "k", version=version) for n in range(2)]
            added = events.add(connection, rows)
            first = added[2 * number, 0]
            assert first.duplicate_of is None
            assert added[2 * number + 1, 0].duplicate_of == first.id
            ids[version] = first.id
            if version != "v4":
                dies(connection, first.id, version)
    with database.write() as connection:
        again = {
            version: events.add(connection, [an_event(20 + n, 0, "k", version=version)])[20 + n, 0]
            for n, version in enumerate((*ids, "v5"))
        }
        assert events.came_again(connection, ids.values()) == {
            ids["v1"]: ids["v2"],
            ids["v2"]: ids["v3"],
            ids["v3"]: ids["v4"],
        }
    of = {version: place.duplicate_of for version, place in again.items()}
    assert of == {**ids, "v5": ids["v4"]}, "each has had its word, and the last one could read it"


def test_a_copy_that_dies_while_another_version_takes_in_the_next_leaves_that_to_it(
    database: Database, opened: Callable[..., Database]
) -> None:
    """Two workers, one of which has not yet seen the last edit."""
    other = opened()
    with database.write() as connection:
        first = events.add(connection, [an_event(1, 0, "k", version="v1")])[1, 0]
        dies(connection, first.id, "v1")

    def add_in_vain(connection: Connection) -> dict[tuple[int, int], Added]:
        added = events.add(connection, [an_event(2, 0, "k", version="v2")])
        dies(connection, added[2, 0].id, "v2")
        return added

    def add() -> dict[tuple[int, int], Added]:
        with other.write() as connection:
            return events.add(connection, [an_event(3, n, "k", version="v3") for n in range(2)])

    vain, added = while_open(database, add_in_vain, add)
    assert vain[2, 0].duplicate_of is None
    assert added[3, 0].duplicate_of is None, "by which it could be read"
    assert added[3, 1].duplicate_of == added[3, 0].id


def test_a_copy_whose_first_was_rolled_back_counts_as_the_first(database: Database) -> None:
    with suppress(ZeroDivisionError), database.write() as connection:
        events.add(connection, [an_event(1, 0, "k")])
        assert 1 / 0
    with database.write() as connection:
        assert events.add(connection, [an_event(2, 0, "k")])[2, 0].duplicate_of is None


def test_thousands_of_copies_are_told_apart(database: Database) -> None:
    keys = [f"{n:032x}" for n in range(6_000)]
    with database.write() as connection:
        first = events.add(connection, [an_event(1, n, key) for n, key in enumerate(keys)])
    with database.write() as connection:
        again = events.add(connection, [an_event(2, n, key) for n, key in enumerate(keys)])
    assert [again[2, n].duplicate_of for n in range(6_000)] == [
        first[1, n].id for n in range(6_000)
    ]


def test_no_events_are_no_work(database: Database) -> None:
    with database.write() as connection:
        assert events.add(connection, []) == {}
        events.postpone(connection, [])
        assert events.take(connection, []) == set()


def test_opt_outs_are_looked_up_first_then_who_waits_longest(database: Database) -> None:
    rows = [
        an_event(1, 0, "a", pending=True, due_at=NOW - 1),
        an_event(1, 1, "b", pending=True, due_at=NOW - 2),
        an_event(1, 2, "c", pending=True, urgent=True, due_at=NOW),
        an_event(1, 3, "d", pending=True, due_at=NOW + 1),
        an_event(1, 4, "e"),
    ]
    with database.write() as connection:
        ids = {place[1]: added.id for place, added in events.add(connection, rows).items()}
        order = []
        for _ in range(3):
            found = due(connection, NOW)
            order.append([row.ordinal for row in found])
            events.take(connection, [row.id for row in found])
        assert order == [[2], [1, 0], []]
        assert events.next_due(connection, "hubspot") == NOW + 1
        assert due(connection, NOW + 9, "another") == []
        assert events.take(connection, [ids[3], ids[4]]) == {ids[3]}


def test_an_event_that_was_put_off_counts_its_tries_and_keeps_the_reason(
    database: Database,
) -> None:
    with database.write() as connection:
        number = events.add(connection, [an_event(1, 0, "k", pending=True)])[1, 0].id
        events.postpone(connection, [(number, NOW + 500, "HTTP 429")])
        assert due(connection, NOW) == []
        (row,) = due(connection, NOW + 500)
        assert (row.id, row.tries) == (number, 1)
        events.take(connection, [number])
        events.postpone(connection, [(number, 1, "too late: it is mapped")])
        assert events.next_due(connection, "hubspot") is None


def test_of_two_transactions_at_once_exactly_one_maps_a_pending_event(
    database: Database, opened: Callable[..., Database]
) -> None:
    with database.write() as connection:
        number = events.add(connection, [an_event(1, 0, "k", pending=True)])[1, 0].id
    other = opened()

    def take_too() -> set[int]:
        with other.write() as connection:
            return events.take(connection, [number])

    ends = while_open(database, lambda c: events.take(c, [number]), take_too)
    assert ends == ({number}, set())


def test_an_event_whose_look_up_is_under_way_is_given_to_nobody_else(database: Database) -> None:
    limits = {Lane.OPT_OUT: 5, Lane.FIRST: 5}
    with database.write() as connection:
        number = events.add(connection, [an_event(1, 0, "k", pending=True)])[1, 0].id
        (mine,) = events.claim_pending(
            connection, "hubspot", NOW, limits=limits, until=NOW + 60_000
        )
        assert mine.id == number
        assert due(connection, NOW + 59_999) == []
        events.release_pending(connection, NOW)
        assert [row.id for row in due(connection, NOW)] == [number]


def test_a_hold_is_renewed_only_where_it_is_still_the_same(database: Database) -> None:
    limits = {Lane.OPT_OUT: 5, Lane.FIRST: 5}
    first, second = NOW + 1_000, NOW + 2_000
    with database.write() as connection:
        rows = [an_event(1, number, f"k{number}", pending=True) for number in range(3)]
        kept, put_off, done = (place.id for place in events.add(connection, rows).values())
        events.claim_pending(connection, "hubspot", NOW, limits=limits, until=first)
        events.postpone(connection, [(put_off, NOW + 10, "not now")])
        events.take(connection, [done])
        events.hold_longer(connection, [kept, put_off, done], before=first, until=second)
        assert [row.id for row in due(connection, first)] == [put_off]
        assert {row.id for row in due(connection, second)} == {kept, put_off}


@pytest.mark.parametrize(
    ("room", "claims"),
    [
        (20_000, [[0, 0, 1, 1], [2, 2]]),
        (19_999, [[0, 0], [1, 1], [2, 2]]),
        (1, [[0, 0], [1, 1], [2, 2]]),
    ],
)
def test_no_more_bodies_are_looked_up_together_than_have_room(
    database: Database, monkeypatch: pytest.MonkeyPatch, room: int, claims: list[list[int]]
) -> None:
    monkeypatch.setattr(events, "MOST_BYTES", room)
    limits = {Lane.OPT_OUT: 50, Lane.FIRST: 50}
    large = b"[" + b" " * 9_998 + b"]"  # stored packed, read as it came
    found = stored(database, *(a_delivery(body=large, receipt=f"{n:032x}") for n in range(3)))
    with database.write() as connection:
        for place, one in enumerate(found):
            both = [an_event(one.id, n, f"{place}-{n}", pending=True) for n in range(2)]
            events.add(connection, both)
    for claim in [*claims, []]:
        with database.write() as connection:
            mine = events.claim_pending(connection, "hubspot", NOW, limits=limits, until=NOW + 9)
        assert [row.delivery_id for row in mine] == [found[place].id for place in claim]
