"""A record that its CRM does not know yet is waited for where it may make an opt-out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bridge.clock import now_ms
from bridge.model import Found, Wanted
from bridge.store.database import Database

from .replaying import BOUNDS, HEAD, World

PHONE = "+14155550123"
OTHER = "+14155550124"
SETTLE_MS = 3_600_000
FILE = (
    HEAD
    + """\
  contacts: {ids: [contact]}
enrich:
  person:
    url: "${CRM_URL}/people/{id}"
    token: "${CRM_TOKEN}"
    ids: contact
rules:
  - name: opt-out
    when: WHEN
    channel: voice
    lead: {phone_number: person.phone, do_not_call: {value: true}}
  - name: details
    when: details
    lead:
      phone_number: {first: [phone, person.phone]}
      first_name: details.name
      email: {from: details.email, to: email}
"""
)


class Late:
    """Look-ups of a record that is not known before it has come."""

    def __init__(self) -> None:
        self.record: dict[str, Any] | None = None

    def replace(self, _lookups: object) -> None:
        """What is declared makes no difference here."""

    def resolve(self, wanted: list[Wanted], _now: object) -> list[Found]:
        return [
            Found((), one.ids) if self.record is None else Found((self.record,)) for one in wanted
        ]


class Waiting(World):
    """A world in which a record may come within the hour."""

    bounds = replace(BOUNDS, lookup_settle=SETTLE_MS)

    def look_up(self, late: Late) -> None:
        with self.database.write() as connection:
            connection.exec_driver_sql("UPDATE event SET due_at = 0 WHERE state = 'pending'")
        self.worker().look_up("crm", late)  # type: ignore[arg-type]

    def pending(self) -> int:
        with self.database.read() as connection:
            query = "SELECT count(*) FROM event WHERE state = 'pending'"
            return int(connection.exec_driver_sql(query).scalar() or 0)


@pytest.fixture
def world(database: Database, tmp_path: Path) -> Waiting:
    folder = tmp_path / "mappings"
    folder.mkdir()
    return Waiting(database, folder)


SAID: dict[str, Any] = {"id": "a", "at": 1_700_000_000_000, "contact": "7", "dnc": True}


@pytest.mark.parametrize(
    ("when", "event", "told"),
    [
        ("dnc", {"details": {"name": "Ann"}}, {(PHONE, True)}),
        # a mistake elsewhere must not end what only lacks its number
        ("dnc", {"details": {"email": "no address"}}, {(PHONE, True)}),
        # nor may what needs no record go on without the opt-out
        ("dnc", {"phone": OTHER, "details": {"name": "Ann"}}, {(PHONE, True), (OTHER, False)}),
        (
            "person.out",
            {"phone": OTHER, "details": {"name": "Ann"}},
            {(PHONE, True), (OTHER, False)},
        ),
    ],
    ids=["no number", "a mistake beside it", "another number", "told by the record alone"],
)
def test_an_opt_out_waits_for_its_record(
    world: Waiting, when: str, event: dict[str, Any], told: set[tuple[str, bool]]
) -> None:
    world.write(FILE.replace("WHEN", when))
    (receipt,) = world.take_in(SAID | event)
    late = Late()
    for _ in range(2):
        world.look_up(late)
        assert (world.pending(), world.outcomes(receipt=receipt)) == (1, [])
    late.record = {"phone": PHONE, "out": True}
    world.look_up(late)
    rows = world.outcomes(receipt=receipt)
    assert world.pending() == 0
    assert {(row["phone"], row["opts_out"]) for row in rows} == told


def test_what_never_comes_ends_with_all_that_was_wrong(world: Waiting) -> None:
    world.write(FILE.replace("WHEN", "dnc"))
    event = SAID | {"details": {"email": "no address"}}
    receipt = world.receive(event, received_at=now_ms() - SETTLE_MS - 1000)
    while world.worker().take_in():
        pass
    world.look_up(Late())
    (row,) = world.outcomes(receipt=receipt)
    assert (row["state"], world.pending()) == ("dead", 0)
    assert "“no address” is not an e-mail address" in row["message"]
    assert "the CRM does not know person 7" in row["message"]


def test_what_the_record_cannot_make_an_opt_out_goes_on_at_once(world: Waiting) -> None:
    world.write(FILE.replace("WHEN", "dnc"))
    event = SAID | {"dnc": False, "phone": OTHER, "details": {"name": "Ann"}}
    (receipt,) = world.take_in(event)
    world.look_up(Late())
    rows = world.outcomes(receipt=receipt)
    assert (world.pending(), {row["phone"] for row in rows}) == (0, {OTHER})


LINKED = (
    FILE.replace("    ids: contact\nrules", "    ids: contact\n    when: dnc\nrules")
    .replace("WHEN", "dnc || _known.opted_out")
    .replace("phone_number: person.phone,", "phone_number: {all: [phone, person.phone, KNOWN]},")
    .replace("KNOWN", "_known.phones")
)


def test_an_opt_out_waits_for_its_record_also_where_it_reaches_the_numbers_of_others(
    world: Waiting,
) -> None:
    """Those whom a later event named as the same person are opted out at once."""
    world.write(LINKED, ("one",))
    at = SAID["at"]
    world.take_in({"id": "b", "at": at + 10, "contact": ["7", "8"]})
    world.take_in({"id": "c", "at": at + 20, "contact": "8", "phone": OTHER, "details": {}})
    (receipt,) = world.take_in(SAID)
    late = Late()
    for _ in range(2):
        world.look_up(late)
        assert world.pending() == 1
        assert [row["phone"] for row in world.outcomes(receipt=receipt)] == [OTHER]
    late.record = {"phone": PHONE}
    world.look_up(late)
    assert world.pending() == 0
    rows = world.outcomes(receipt=receipt)
    assert [(row["phone"], row["opts_out"]) for row in rows] == [(OTHER, True), (PHONE, True)]
