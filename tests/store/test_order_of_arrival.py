"""Whatever the order of arrival, and whenever a record comes, the newest word of each field counts.

An opt-out of some campaigns may wait for its record while older and newer events of the contact
bring the number.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest

from bridge.model import Found, Lane, Wanted
from bridge.record.ledger import MARK
from bridge.steps.claim import claim
from bridge.store.database import Database

from .replaying import BOUNDS, HEAD, World

START = 1_700_000_000_000
CAMPAIGNS = ("one", "two", "three")
FILE = (
    HEAD
    + """\
  contacts: {ids: [contact]}
enrich:
  person:
    url: "${CRM_URL}/people/{id}"
    token: "${CRM_TOKEN}"
    when: "contact && !phone"
    ids: contact
    rate: 10000
rules:
  - name: opt-out
    when: "dnc == `true`"
    channel: voice
    campaigns: {from: to, default: all}
    lead: {phone_number: {OUT: [phone, person.phoneKNOWN]}, do_not_call: {value: true}}
  - name: opt-in
    when: "dnc == `false`"
    channel: voice
    allow_opt_in: true
    campaigns: {from: to, default: all}
    lead: {phone_number: {first: [phone, person.phone]}, do_not_call: {value: false}}
  - name: details
    when: name
    campaigns: {from: to, default: all}
    lead: {phone_number: {first: [phone, person.phone]}, first_name: name}
"""
)
AGAIN = """\
  - name: again
    when: again
    campaigns: {from: to, default: all}
    lead: {phone_number: phone, mark_as_unanswered: {value: true}, custom_fields: {by: id}}
"""
ALONE = FILE.replace("OUT", "first").replace("KNOWN", "")
RECALLING = (
    FILE.replace("OUT", "all").replace("KNOWN", ", _known.phones")
    + """\
  - name: remembered
    when: _known.opted_out
    yields_to_opt_in: true
    channel: voice
    lead: {phone_number: {all: [phone, person.phone, _known.phones]}, do_not_call: {value: true}}
"""
)
LATE = {"id": "late", "at": START + 30_000, "contact": True, "dnc": True}
"""Waits for the record of its contact."""
OLD = {
    "id": "old",
    "at": START + 10_000,
    "contact": True,
    "phone": True,
    "dnc": True,
    "name": "Ann",
}
NAMED = {"id": "named", "at": START + 25_000, "contact": True, "phone": True, "name": "Eve"}
BACK = {"id": "back", "at": START + 20_000, "phone": True, "dnc": False}

Words = dict[str, dict[str, Any]]
Order = tuple[tuple[Mapping[str, Any], ...], int]
"""Events as they arrive, and at which of them the record of their contact has come."""


class Records:
    """Look-ups of records by contact, of which some have come."""

    def __init__(self) -> None:
        self.come: dict[str, dict[str, str]] = {}

    def replace(self, _lookups: object) -> None:
        """What is declared makes no difference here."""

    def resolve(self, wanted: Sequence[Wanted], _now: object) -> list[Found]:
        return [
            Found((self.come[one.ids[0]],)) if one.ids[0] in self.come else Found((), one.ids)
            for one in wanted
        ]


class People(World):
    """A world in which a record may come within the hour."""

    bounds = replace(BOUNDS, lookup_settle=3_600_000)

    def arrive(self, orders: Sequence[Order]) -> list[Words]:
        """Take in each order for a person of its own, all of them step by step.

        What is known of each person at the end: by campaign the newest value of each field.
        """
        records = Records()
        people = [(f"+1415555{number:04d}", f"c{number}") for number in range(len(orders))]
        for step in range(max(len(events) for events, _ in orders) + 1):
            told = []
            for (phone, contact), (events, comes) in zip(people, orders, strict=True):
                if step >= comes:
                    records.come[contact] = {"phone": phone}
                if step < len(events):
                    given = {"phone": phone, "contact": contact}
                    mine = {name: given.get(name, value) for name, value in events[step].items()}
                    told.append(mine | {"id": f"{mine['id']} of {contact}"})
            self.take_in(*told)
            self.look_up(records)
        return [self.words(phone) for phone, _ in people]

    def look_up(self, records: Records) -> None:
        with self.database.write() as connection:
            connection.exec_driver_sql("UPDATE event SET due_at = 0 WHERE state = 'pending'")
        self.worker().look_up("crm", records)  # type: ignore[arg-type]

    def words(self, phone: str) -> Words:
        best: dict[tuple[str, str], tuple[int, Any]] = {}
        for row in self.outcomes(phones=[phone]):
            for name, value in row["fields"].items():
                place = row["campaign"], name
                best[place] = max(best.get(place, (0, value)), (row["event_time"], value))
        words: Words = {}
        for (campaign, name), (_, value) in best.items():
            words.setdefault(campaign, {})[name] = value
        return words


@pytest.fixture
def people(database: Database, tmp_path: Path) -> People:
    folder = tmp_path / "mappings"
    folder.mkdir()
    return People(database, folder)


def in_every_order(people: People, *events: Mapping[str, Any]) -> dict[str, Words]:
    """What is known at the end, by the order of arrival and the place of the record in it."""
    orders = [(o, comes) for o in permutations(events) for comes in range(len(events) + 1)]
    found = {}
    for (order, comes), words in zip(orders, people.arrive(orders), strict=True):
        names = [event["id"] for event in order]
        found[", ".join([*names[:comes], "record", *names[comes:]])] = words
    assert len(found) == len(orders)
    return found


def test_an_opt_out_of_some_campaigns_lends_its_time_to_no_other(people: People) -> None:
    people.write(ALONE, CAMPAIGNS)
    found = in_every_order(
        people,
        LATE | {"to": ["one", "two"]},
        OLD | {"to": ["one", "three"]},
        BACK | {"to": ["two", "three"]},
        NAMED | {"to": ["three"]},
    )
    wanted = {
        "one": {"do_not_call": True, "first_name": "Ann"},
        "two": {"do_not_call": True},
        "three": {"do_not_call": False, "first_name": "Eve"},
    }
    assert {order: words for order, words in found.items() if words != wanted} == {}


@pytest.mark.parametrize(("back", "out"), [(20_000, True), (40_000, False)])
def test_what_is_remembered_goes_to_every_number_until_a_newer_opt_in(
    people: People, back: int, out: bool
) -> None:
    people.write(RECALLING, CAMPAIGNS)
    found = in_every_order(people, LATE, OLD, NAMED, BACK | {"contact": True, "at": START + back})
    consent = {
        order: {campaign: words[campaign]["do_not_call"] for campaign in CAMPAIGNS}
        for order, words in found.items()
    }
    wrong = {o: said for o, said in consent.items() if said != dict.fromkeys(CAMPAIGNS, out)}
    assert wrong == {}


def test_a_mark_goes_out_by_its_lead_although_a_newer_one_of_the_contact_was_withheld(
    people: People,
) -> None:
    """A contact is out of campaign one; what asks for its lead in another is older or newer."""
    people.write(ALONE + AGAIN, CAMPAIGNS)
    orders = {f"+1415555{n:04d}": order for n, order in enumerate(permutations(("a", "b", "out")))}
    for phone, order in orders.items():
        told: dict[str, dict[str, Any]] = {
            "a": {"at": START, "again": True},
            "b": {"at": START + 1_000, "again": True, "contact": phone},
            "out": {"at": START + 500, "dnc": True, "contact": phone, "to": ["one"]},
        }
        people.take_in(*(told[name] | {"id": name + phone, "phone": phone} for name in order))
    with people.database.write() as connection:
        connection.exec_driver_sql("UPDATE lead SET due_at = 0")
    sent = {
        (name, item.sent.phone): item.sent.payload
        for name, one in people.mappings.campaigns.items()
        for lane in (Lane.OPT_OUT, Lane.FIRST)
        for item in claim(people.worker()._equipment, one, lane).claimed
    }
    for phone, order in orders.items():
        by = {"phone_number": phone, "custom_fields": {"by": "b" + phone}}
        assert sent["one", phone] == by | {"do_not_call": True}
        assert sent["three", phone] == by | {"mark_as_unanswered": True}
        rows = people.outcomes(campaign="three", phones=[phone])
        marks = [row["fields"]["custom_fields"]["by"] for row in rows if MARK in row["fields"]]
        withheld = order.index("out") < order.index("b")
        assert sorted(marks) == ["a" + phone] + ([] if withheld else ["b" + phone]), order
