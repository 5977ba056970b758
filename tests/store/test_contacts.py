"""Contacts: what is remembered of them follows event time, and is not lost between workers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import permutations

import pytest

from bridge.model import LONGEST_ID, ContactRef, Known
from bridge.store import contacts
from bridge.store.database import Connection, Database

from .waiting import while_open

ANN = ContactRef("1", "501")


def learn(connection: Connection, phones: Sequence[str], consent: bool | None, when: int) -> Known:
    contacts.remember(connection, "hubspot", {ANN: (tuple(phones), consent, when)}, when)
    return contacts.recall(connection, "hubspot", [ANN])[ANN]


def test_an_unknown_contact_is_not_remembered(database: Database) -> None:
    with database.write() as connection:
        learn(connection, ["+1"], None, 5)
        assert contacts.recall(connection, "another", [ANN]) == {}
        assert contacts.recall(connection, "hubspot", [ContactRef("2", "501")]) == {}
        assert contacts.recall(connection, "hubspot", []) == {}


def test_the_newest_phones_come_first_and_the_oldest_give_way(database: Database) -> None:
    with database.write() as connection:
        learn(connection, ["+1", "+2"], None, 5)
        assert learn(connection, ["+3", "+1"], None, 6).phones == ("+3", "+1", "+2")
        many = [f"+{n}" for n in range(100, 100 + contacts.MOST_PHONES)]
        assert learn(connection, many, None, 7).phones == tuple(many)


@pytest.mark.parametrize("order", list(permutations([(True, 5), (False, 3), (None, 9)])))
def test_consent_follows_the_time_of_the_event_not_of_arrival(
    database: Database, order: Sequence[tuple[bool | None, int]]
) -> None:
    with database.write() as connection:
        for consent, when in order:
            learn(connection, [], consent, when)
        assert learn(connection, [], None, 99).opted_out is True
        assert learn(connection, [], False, 6).opted_out is False


@pytest.mark.parametrize("order", list(permutations([True, False])))
def test_at_equal_times_an_opt_out_stands(database: Database, order: Sequence[bool]) -> None:
    with database.write() as connection:
        for consent in order:
            learn(connection, [], consent, 5)
        assert learn(connection, [], None, 9).opted_out is True


@pytest.mark.parametrize("known_before", [False, True])
def test_what_two_transactions_learn_at_once_is_kept_both(
    database: Database, opened: Callable[..., Database], known_before: bool
) -> None:
    other = opened()
    if known_before:
        with database.write() as connection:
            learn(connection, ["+0"], False, 1)

    def mine(connection: Connection) -> int:
        learn(connection, ["+1"], True, 5)
        return 0

    def theirs() -> int:
        with other.write() as connection:
            learn(connection, ["+2"], None, 6)
        return 0

    while_open(database, mine, theirs)
    with database.read() as connection:
        known = contacts.recall(connection, "hubspot", [ANN])[ANN]
    assert known.opted_out is True
    assert set(known.phones) == {"+1", "+2"} | ({"+0"} if known_before else set())


def test_thousands_of_contacts_are_remembered_in_one_go(database: Database) -> None:
    refs = [ContactRef("1", str(n)) for n in range(3_000)]
    seen = {ref: ((f"+{ref.id}",), None, 5) for ref in refs}
    with database.write() as connection:
        contacts.remember(connection, "hubspot", seen, 5)
        contacts.remember(connection, "hubspot", seen, 6)
        known = contacts.recall(connection, "hubspot", refs)
    assert {ref: what.phones for ref, what in known.items()} == {r: (f"+{r.id}",) for r in refs}


def test_ids_of_any_length_are_told_apart(database: Database) -> None:
    refs = [ContactRef("1", "9" * 500 + end) for end in ("a", "b")]
    refs += [ContactRef("x" * 300, "501"), ContactRef("1", "9" * LONGEST_ID)]
    seen = {ref: ((f"+{n}",), n == 0, 5) for n, ref in enumerate(refs)}
    with database.write() as connection:
        contacts.remember(connection, "hubspot", seen, 5)
        contacts.remember(connection, "hubspot", seen, 6)
        known = contacts.recall(connection, "hubspot", refs)
    assert known == {ref: Known((f"+{n}",), n == 0) for n, ref in enumerate(refs)}
