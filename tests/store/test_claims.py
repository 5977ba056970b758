"""What goes into one batch: how many leads, in whose company, and how large a body."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import text

from bridge.jsontext import dump_bytes
from bridge.model import Campaign, Lane
from bridge.steps.claim import claim
from bridge.store.database import Database

from .replaying import World

PHONES = [f"+141555501{number:02}" for number in range(12)]
SIZE = 8


@pytest.fixture
def world(database: Database, tmp_path: Path) -> World:
    """Twelve people who are to be opted out of one campaign, the first of them first."""
    folder = tmp_path / "mappings"
    folder.mkdir()
    made = World(database, folder)
    made.write((folder / "crm.yaml").read_text(), ("one",))
    at = 1_700_000_000_000
    made.take_in(*({"id": p, "phone": p, "dnc": True, "at": at} for p in PHONES))
    set_leads(made, "due_at = id")
    return made


def set_leads(world: World, to: str, **given: object) -> None:
    with world.database.write() as connection:
        connection.execute(text(f"UPDATE lead SET {to}"), given)


def claimed(world: World, campaign: Campaign | None = None) -> list[str]:
    campaign = campaign or replace(world.mappings.campaigns["one"], batch_size=SIZE)
    taken = claim(world.worker()._equipment, campaign, Lane.OPT_OUT)
    return [item.lead.phone for item in taken.claimed]


def test_leads_whose_tries_failed_go_in_ever_smaller_company_and_in_the_end_alone(
    world: World,
) -> None:
    """So that one that brings the API down keeps nobody else's opt-out from being sent."""
    sizes = []
    for tries in (0, 1, 2, 3, 4, 100):
        set_leads(world, "tries = :tries, lane = 0, due_at = id, lease_until = 0", tries=tries)
        sizes.append(claimed(world))
    assert sizes == [PHONES[:most] for most in (8, 4, 2, 1, 1, 1)]


def test_a_lead_whose_tries_failed_waits_for_those_that_are_due_before_it(world: World) -> None:
    set_leads(world, "tries = CASE WHEN phone = :phone THEN 2 ELSE 0 END", phone=PHONES[2])
    assert claimed(world) == PHONES[:2], "with two others it would be one too many"
    assert claimed(world) == PHONES[2:4], "it goes first, and one that did not fail with it"
    assert claimed(world) == PHONES[4:]


def test_a_body_is_no_larger_than_it_may_be_and_whoever_has_no_room_is_next(world: World) -> None:
    campaign = replace(world.mappings.campaigns["one"], batch_size=SIZE)
    one = len(dump_bytes({"phone_number": PHONES[0], "do_not_call": True})) + 1
    three = replace(campaign, batch_bytes=3 * one)
    assert claimed(world, three) == PHONES[:3]
    assert claimed(world, replace(three, batch_bytes=3 * one - 1)) == PHONES[3:5]
    assert claimed(world, replace(three, batch_bytes=1)) == PHONES[5:6], "one goes in any case"
    assert claimed(world, three) == PHONES[6:9]


@pytest.mark.parametrize(
    ("lane", "payload"),
    [
        (Lane.OPT_OUT, {"do_not_call": True}),
        (Lane.STANDING, {"first_name": "Ann"}),  # it was tried alone, and is not found
    ],
)
def test_an_opt_out_that_goes_again_by_itself_goes_before_what_was_refused_beside_it(
    world: World, lane: Lane, payload: dict[str, object]
) -> None:
    assert claimed(world) == PHONES[:SIZE]
    with world.database.write() as connection:
        connection.execute(text("UPDATE outcome SET state = 'updated'"))
    set_leads(world, "lane = 9, lease_until = 0")
    world.take_in({"id": "later", "phone": PHONES[0], "name": "Ann", "at": 1_700_000_000_001})
    anew = "lane = :lane, due_at = id, reassert = true, bare = true"
    set_leads(world, f"{anew} WHERE phone = '{PHONES[0]}'", lane=int(lane))
    campaign = world.mappings.campaigns["one"]
    (item,) = claim(world.worker()._equipment, campaign, lane).claimed
    assert item.plan.payload == payload
