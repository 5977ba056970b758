"""Opt-outs where two parts meet: clocks and memory, look-ups that fail for ever."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from bridge.clock import now_ms
from bridge.enrich import Lookups
from bridge.map.search import search
from bridge.store.database import Database

from .replaying import BOUNDS, HEAD, LOOK_UP, World

OLD, NEW = "+14155550101", "+14155550102"
HOUR = 3_600_000
KNOWING = HEAD.replace("event_id", "contacts: {ids: [contact]}\n  event_id")
CONSENT = """
rules:
  - name: consent
    when: "dnc != `null`"
    allow_opt_in: true
    channel: voice
    lead: {phone_number: {all: [phone, _known.phones]}, do_not_call: {from: dnc, to: boolean}}
  - name: remembered
    when: _known.opted_out
    yields_to_opt_in: true
    channel: voice
    lead: {phone_number: {all: [phone, _known.phones]}, do_not_call: {value: true}}
  - name: details
    when: name
    lead: {phone_number: phone, first_name: name}
"""
BY_RECORD = """
rules:
  - name: opt-out
    when: contact.dnc == 'true'
    channel: voice
    lead: {phone_number: phone, do_not_call: {value: true}}
  - name: details
    when: name
    lead: {phone_number: phone, first_name: name}
"""
DETAILS = BY_RECORD.replace("channel: voice", "channel: none").replace(
    "do_not_call: {value: true}", "last_name: name"
)


@pytest.fixture
def world(database: Database, tmp_path: Path) -> World:
    folder = tmp_path / "mappings"
    folder.mkdir()
    return World(database, folder)


def said(world: World, phone: str) -> list[Any]:
    """What the events say of a number's consent, in the order in which they came."""
    return [row["fields"].get("do_not_call") for row in world.outcomes(phone=phone)]


def test_an_opt_in_of_a_clock_that_is_ahead_hides_no_opt_out_that_comes_next(world: World) -> None:
    world.write(KNOWING + CONSENT, ("one",))
    now = now_ms()
    ahead = {"id": 1, "contact": "7", "phone": OLD, "dnc": False, "at": now + 280_000}
    after = {"id": 2, "contact": "7", "phone": OLD, "dnc": True, "at": now + 60_000}
    moved = {"id": 3, "contact": "7", "phone": NEW, "name": "A", "at": now + 61_000}
    for one in (ahead, after, moved):
        world.take_in(one)
    assert said(world, OLD) == [False, True, True]
    assert said(world, NEW) == [True]


@pytest.mark.parametrize(
    ("rules", "state"), [(BY_RECORD, "pending"), (DETAILS, "done")], ids=["undecided", "details"]
)
def test_a_look_up_that_alone_shows_an_opt_out_is_never_given_up_on(
    world: World, rules: str, state: str
) -> None:
    world.write(HEAD + LOOK_UP + rules, ("one",))
    old = now_ms() - BOUNDS.lookup_give_up - HOUR
    receipt = world.receive(
        {"id": 1, "contact": "7", "name": "A", "phone": OLD, "at": old}, received_at=old
    )
    world.take_in()
    lookups = Lookups(world.mappings.mappings["crm"].lookups, search, wait=lambda _seconds: True)
    try:
        assert world.worker().look_up("crm", lookups) == 1
    finally:
        lookups.close()
    with world.database.read() as connection:
        row = connection.execute(text("SELECT state, trouble FROM event")).one()
    assert row.state == state
    assert bool(row.trouble) is (state == "pending")
    assert [s for _, s, _ in world.brief(receipt)] == ([] if state == "pending" else ["dead"])
