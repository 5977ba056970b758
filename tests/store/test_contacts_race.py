"""A new number and an opt-out of one contact, taken in by two workers at the same moment.

Each maps its event by what it recalled. Whoever stores second has to notice, and map again: else
the new number would be called although the contact is opted out.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import pytest

from bridge.errors import StoreChanged
from bridge.map import MappingSet, load_mappings
from bridge.model import ContactRef, Event, Known
from bridge.record.decide import Policy
from bridge.settings import Environment
from bridge.steps import memory, take_in
from bridge.steps.equipment import Bounds, Equipment
from bridge.store import contacts, deliveries, leads
from bridge.store.database import Connection, Database
from store.rows import a_delivery

SHIPPED = Path(__file__).parents[2] / "mappings"
OLD, NEW = "+14155550101", "+14155550102"
ANN = ContactRef("", "ann")


@pytest.fixture(scope="module")
def current() -> MappingSet:
    given = Environment({"GENERIC_TOKEN": "t", "BRIDGE_API_TOKEN": "t", "BRIDGE_CAMPAIGN_ID": "c"})
    return load_mappings(
        SHIPPED,
        given,
        api_url="https://api.example.com",
        api_token=given.secret("BRIDGE_API_TOKEN"),
        default_region="US",
    )


def equipment(database: Database, current: MappingSet) -> Equipment:
    return Equipment(
        database,
        lambda: current,
        policy=Policy(5, 1, (1,), 1, 1, 1),
        bounds=Bounds(100, 100, 64, 30_000, 1, 1, 1, 1),
        owner="one",
        ring=lambda _: None,
    )


def store(database: Database, **event: object) -> None:
    body = json.dumps({"contact_id": "ann", **event}).encode()
    with database.write() as connection:
        deliveries.add(connection, [a_delivery(source="generic", body=body)])


def opted_out(connection: Connection) -> set[str]:
    """The numbers that wait to be opted out."""
    rows = connection.exec_driver_sql(
        "SELECT phone FROM outcome WHERE opts_out AND state = 'waiting'"
    )
    return {row[0] for row in rows}


FIRST_NUMBER = {"phone": OLD, "first_name": "Ann", "event_id": "1"}
OPT_OUT = {"phone": OLD, "do_not_call": True, "event_id": "2"}
NEW_NUMBER = {"phone": NEW, "first_name": "Ann", "event_id": "3"}


def test_a_new_number_of_somebody_who_is_opted_out_is_opted_out(
    database: Database, current: MappingSet
) -> None:
    one = equipment(database, current)
    for event in (FIRST_NUMBER, OPT_OUT, NEW_NUMBER):
        store(database, **event)
        assert take_in.take_in(one) == 1
    with database.read() as connection:
        assert opted_out(connection) == {OLD, NEW}
        assert leads.next_due(connection, "main")


@pytest.mark.parametrize("order", [(OPT_OUT, NEW_NUMBER), (NEW_NUMBER, OPT_OUT)])
def test_of_two_at_the_same_moment_the_second_maps_again(
    database: Database,
    current: MappingSet,
    order: tuple[dict[str, object], dict[str, object]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    one, two = equipment(database, current), equipment(database, current)
    store(database, **FIRST_NUMBER)
    take_in.take_in(one)
    first, second = order
    store(database, **second)
    recall = memory.Memory.recall
    raced: list[bool] = []

    def recall_and_lose_time(
        connection: Connection, seen: Iterable[tuple[str, Event]]
    ) -> memory.Memory:
        found = recall(connection, seen)
        if not raced:
            raced.append(True)  # the other worker, in a process of its own, is quicker
            with database.write() as other:
                phones, consent = ((NEW,), None) if first is NEW_NUMBER else ((OLD,), True)
                learned = {ANN: (phones, consent, 2**41)}
                contacts.remember(other, "generic", learned, 2**41)
        return found

    monkeypatch.setattr(memory.Memory, "recall", staticmethod(recall_and_lose_time))
    while take_in.take_in(two):
        pass
    assert raced
    with database.read() as connection:
        assert NEW in opted_out(connection)
        known = contacts.recall(connection, "generic", [ANN])[ANN]
        assert known.opted_out
        assert set(known.phones) == {OLD, NEW}


def test_what_changed_since_it_was_recalled_is_not_stored_over(database: Database) -> None:
    with database.write() as connection:
        contacts.remember(connection, "generic", {ANN: ((OLD,), True, 5)}, 5)
    with pytest.raises(StoreChanged), database.write() as connection:
        contacts.remember(
            connection, "generic", {ANN: ((NEW,), None, 6)}, 6, recalled={ANN: Known((OLD,))}
        )
    with database.write() as connection:
        recalled = contacts.recall(connection, "generic", [ANN])
        contacts.remember(connection, "generic", {ANN: ((NEW,), None, 6)}, 6, recalled=recalled)
        found = contacts.recall(connection, "generic", [ANN])[ANN]
    assert found == Known((NEW, OLD), opted_out=True)


def test_somebody_who_became_known_meanwhile_is_not_stored_over(database: Database) -> None:
    bob = ContactRef("", "bob")
    learned = {bob: ((OLD,), None, 6), ANN: ((NEW,), None, 6)}
    with database.write() as connection:
        contacts.remember(connection, "generic", {ANN: ((OLD,), True, 5)}, 5)
    with pytest.raises(StoreChanged), database.write() as connection:
        contacts.remember(connection, "generic", learned, 6, recalled={})
    with database.write() as connection:
        assert contacts.recall(connection, "generic", [ANN, bob]) == {ANN: Known((OLD,), True)}
        contacts.remember(
            connection,
            "generic",
            learned,
            6,
            recalled=contacts.recall(connection, "generic", [ANN, bob]),
        )
        found = contacts.recall(connection, "generic", [ANN, bob])
    assert found == {ANN: Known((NEW, OLD), opted_out=True), bob: Known((OLD,))}


def test_what_two_learn_alike_of_somebody_new_is_stored_once(database: Database) -> None:
    learned = {ANN: ((OLD,), True, 5)}
    for _ in range(2):
        with database.write() as connection:
            contacts.remember(connection, "generic", learned, 5, recalled={})
    with database.read() as connection:
        assert contacts.recall(connection, "generic", [ANN]) == {ANN: Known((OLD,), True)}
