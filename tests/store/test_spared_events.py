"""An optional look-up holds nothing back for long, and costs no opt-out: its CRM is away here."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bridge.clock import now_ms
from bridge.enrich import Lookups
from bridge.errors import LookupFailed
from bridge.map.search import search
from bridge.model import Found, Lane, State, Wanted
from bridge.steps import replay_control as control
from bridge.store.database import Database
from bridge.store.replays import ReplayState

from .replaying import BOUNDS, HEAD, World

PHONE = "+14155550123"
OTHER = "+14155550124"
FILE = (
    HEAD
    + """\
  contacts: {ids: [contact]}
enrich:
  person:
    url: "${CRM_URL}/people/{id}"
    token: "${CRM_TOKEN}"
    optional: SECONDS
    ids: contact
  company:
    url: "${CRM_URL}/companies/{id}"
    token: "${CRM_TOKEN}"
    when: company
    ids: company
rules:
  - name: opt-out
    when: "dnc == `true`"
    channel: voice
    lead: {phone_number: {all: [phone, person.phone, _known.phones]}, do_not_call: {value: true}}
  - name: was opted out before
    when: "_known.opted_out && person"
    channel: voice
    yields_to_opt_in: true
    lead: {phone_number: {all: [phone, person.phone, _known.phones]}, do_not_call: {value: true}}
  - name: details
    when: name
    lead:
      phone_number: {all: [phone, person.phone]}
      first_name: name
      custom_fields: {plan: person.plan}
"""
)
BY_RECORD = """\
  - name: opt-out by record
    when: person.dnc
    channel: voice
    lead: {phone_number: {all: [phone, person.phone]}, do_not_call: {value: true}}
"""


class Looking(World):
    """A world whose worker looks up, in vain, and gives up after an hour."""

    bounds = replace(BOUNDS, lookup_give_up=3_600_000)

    def look_up(self, source: str = "crm") -> None:
        with self.database.write() as connection:
            connection.exec_driver_sql("UPDATE event SET due_at = 0 WHERE state = 'pending'")
        lookups = Lookups(self.mappings.mappings[source].lookups, search, wait=lambda _s: True)
        try:
            self.worker().look_up(source, lookups)
        finally:
            lookups.close()

    def given(self, *, ago_s: float, **payload: Any) -> str:
        """Take in an event that came so long ago, and look it up once."""
        event = {"id": f"{payload}", "at": 1_700_000_000_000, "contact": "7", **payload}
        receipt = self.receive(event, received_at=now_ms() - round(ago_s * 1000))
        while self.worker().take_in():
            pass
        self.look_up()
        return receipt

    def waiting(self) -> list[int]:
        """When each event that waits is due."""
        with self.database.read() as connection:
            query = "SELECT due_at FROM event WHERE state = 'pending'"
            return [row[0] for row in connection.exec_driver_sql(query)]


@pytest.fixture
def world(database: Database, tmp_path: Path) -> Looking:
    folder = tmp_path / "mappings"
    folder.mkdir()
    made = Looking(database, folder)
    made.write(FILE.replace("SECONDS", "60"))
    return made


def test_an_event_goes_on_without_the_record_once_its_time_is_over(world: Looking) -> None:
    receipt = world.given(ago_s=600, phone=PHONE, name="Ann")
    assert world.waiting() == []
    rows = world.outcomes(receipt=receipt)
    assert {(r["campaign"], r["state"]) for r in rows} == {("one", "waiting"), ("two", "waiting")}
    for row in rows:
        assert row["fields"] == {"first_name": "Ann"}
        assert "without the record of person: look-up person" in row["message"]


def test_until_then_it_waits_and_no_longer(world: Looking) -> None:
    before = now_ms()
    assert world.outcomes(receipt=world.given(ago_s=0, phone=PHONE, name="Ann")) == []
    (due,) = world.waiting()
    assert before - 1000 < due <= now_ms() + 60_000


@pytest.mark.parametrize(
    "payload",
    [
        {"phone": PHONE, "dnc": True},  # an opt-out: the record may hold more numbers
        {"name": "Ann"},  # nothing would come of it
        {"phone": PHONE, "name": "Ann", "company": "3"},  # and a look-up that is not optional
    ],
    ids=["opt-out", "no number", "another look-up"],
)
def test_what_an_opt_out_may_hang_on_waits_all_the_same(
    world: Looking, payload: dict[str, Any]
) -> None:
    receipt = world.given(ago_s=600, **payload)
    assert len(world.waiting()) == 1
    told = {(row["phone"], row["opts_out"]) for row in world.outcomes(receipt=receipt)}
    assert told == ({(PHONE, True)} if payload.get("dnc") else set())


def test_what_the_record_alone_can_show_to_be_an_opt_out_waits(world: Looking) -> None:
    world.write(FILE.replace("SECONDS", "0") + BY_RECORD)
    assert world.outcomes(receipt=world.given(ago_s=600, phone=PHONE, name="Ann")) == []
    assert len(world.waiting()) == 1


def test_somebody_who_is_opted_out_is_not_passed_over(world: Looking) -> None:
    """The record may hold a new number, which has to be opted out too."""
    world.write(FILE.replace("SECONDS\n", "0\n    when: '!full'\n"))
    (told,) = world.take_in({"id": "a", "contact": "7", "full": 1, "phone": PHONE, "dnc": True})
    assert {row["opts_out"] for row in world.outcomes(receipt=told)} == {True}
    receipt = world.given(ago_s=600, phone=OTHER, name="Ann")
    assert len(world.waiting()) == 1
    assert world.outcomes(receipt=receipt) == []


def test_nor_somebody_who_was_named_as_one_with_somebody_who_is_opted_out(world: Looking) -> None:
    """Later in time, and before this event came: its record may hold numbers of both."""
    file = FILE.replace("SECONDS\n", "0\n    when: '!full'\n")
    world.write(file.replace('"_known.opted_out && person"', "_known.opted_out"))
    at = 1_700_000_000_000
    merge = {"contact": ["7", "8"], "full": 1, "phone": PHONE, "at": at + 10}
    opt_out = {"contact": "8", "full": 1, "phone": PHONE, "dnc": True, "at": at + 20}
    world.take_in({**merge, "id": "a"}, {**opt_out, "id": "b"})
    receipt = world.given(ago_s=600, phone=OTHER, name="Ann")
    assert len(world.waiting()) == 1
    assert world.outcomes(receipt=receipt) == []


def test_a_replay_goes_on_without_it_after_its_tries(world: Looking) -> None:
    (receipt,) = world.take_in({"id": 1, "contact": "7", "name": "Ann", "phone": PHONE})
    with world.database.write() as connection:
        connection.exec_driver_sql("UPDATE event SET state = 'done'")
    number = world.make(receipt=receipt)
    while control.report_of(world.database, number).replay.state is ReplayState.RUNNING:
        with world.database.write() as connection:
            connection.exec_driver_sql("UPDATE replay SET next_at = 0")
        world.worker().replay(world.tools)
    rows = [row for row in world.outcomes(receipt=receipt) if row["replay_id"] == number]
    assert {row["state"] for row in rows} == {State.WAITING.value}
    assert all("without the record of person" in row["message"] for row in rows)


COMPANY_AWAY = (
    HEAD
    + """\
  contacts: {ids: [contact]}
enrich:
  person:
    url: "${CRM_URL}/people/{id}"
    token: "${CRM_TOKEN}"
    ids: contact
  company:
    url: "${CRM_URL}/companies/{id}"
    token: "${CRM_TOKEN}"
    ids: company
rules:
  - name: opt-out
    when: WHEN
    channel: voice
    lead:
      phone_number: {all: [person.phone, company.phone]}
      do_not_call: {value: true}
  - name: details
    when: name
    lead: {phone_number: {all: [person.phone, company.phone]}, first_name: name}
"""
)


class Half:
    """Look-ups of which one brings a record, and the other nothing yet."""

    def __init__(self, record: dict[str, Any]) -> None:
        self.record = record
        self.away = True

    def replace(self, _lookups: object) -> None:
        """What is declared makes no difference here."""

    def resolve(self, wanted: list[Wanted], _now: object) -> list[Found | LookupFailed]:
        return [
            Found((self.record,))
            if one.lookup == "person"
            else LookupFailed("the company is away")
            if self.away
            else Found(({"phone": OTHER, "calls": False},))
            for one in wanted
        ]


@pytest.mark.parametrize(
    ("when", "lane", "at_once"),
    [
        ("dnc", Lane.OPT_OUT, True),
        ("person.dnc", Lane.OPT_OUT, True),
        ("person.dnc && company.calls == `false`", Lane.FIRST, False),
    ],
)
def test_a_number_that_came_is_opted_out_while_another_record_is_away(
    world: Looking, when: str, lane: Lane, at_once: bool
) -> None:
    world.write(COMPANY_AWAY.replace("WHEN", f'"{when}"'))
    event = {"id": "a", "contact": "7", "company": "3", "dnc": True, "name": "Ann"}
    (receipt,) = world.take_in(event)
    half = Half({"phone": PHONE, "dnc": True})
    for _ in range(2):
        with world.database.write() as connection:
            connection.exec_driver_sql("UPDATE event SET due_at = 0 WHERE state = 'pending'")
        world.worker().look_up("crm", half)  # type: ignore[arg-type]
        told = {(row["phone"], row["opts_out"]) for row in world.outcomes(receipt=receipt)}
        assert told == ({(PHONE, True)} if at_once else set())
        with world.database.read() as connection:
            [waits] = connection.exec_driver_sql("SELECT lane FROM event WHERE state = 'pending'")
        assert waits[0] == int(lane)
    half.away = False
    with world.database.write() as connection:
        connection.exec_driver_sql("UPDATE event SET due_at = 0 WHERE state = 'pending'")
    world.worker().look_up("crm", half)  # type: ignore[arg-type]
    rows = world.outcomes(receipt=receipt)
    assert {(row["phone"], row["opts_out"]) for row in rows} == {(PHONE, True), (OTHER, True)}
    assert len(rows) == 4, "for each of two campaigns and numbers one"
    assert world.waiting() == []
