"""What a clock put off that was ahead, and was set right since, does not hold an opt-out back."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import text

from bridge.clock import now_ms
from bridge.model import Lane
from bridge.steps.claim import claim
from bridge.store.database import Database

from .replaying import World

PHONE = "+14155550101"
HOUR = 3_600_000
OPT_OUT = {"id": 1, "phone": PHONE, "dnc": True, "at": 1_700_000_000_000}


@pytest.fixture
def world(database: Database, tmp_path: Path) -> World:
    folder = tmp_path / "mappings"
    folder.mkdir()
    return World(database, folder)


def ahead(world: World, table: str, *columns: str, by: int = 24 * HOUR) -> None:
    """These times were noted while the clock was ahead."""
    with world.database.write() as connection:
        for column in columns:
            connection.execute(text(f"UPDATE {table} SET {column} = {column} + {by}"))


def test_a_standing_opt_out_is_due(world: World) -> None:
    world.take_in(OPT_OUT)
    with world.database.write() as connection:
        connection.execute(text("UPDATE lead SET lane = :lane"), {"lane": int(Lane.STANDING)})
    campaign = world.mappings.campaigns["one"]
    # as far ahead as one that stands may be due, and further
    for by, due in ((50_000, 0), (24 * HOUR, 1)):
        ahead(world, "lead", "due_at", by=by)
        world.worker().recover()
        found = claim(world.worker()._equipment, campaign, Lane.STANDING).claimed
        assert len(found) == due


def test_a_replay_goes_on(world: World) -> None:
    world.take_in(OPT_OUT)
    number = world.make()
    ahead(world, "replay", "next_at", by=now_ms() + 24 * HOUR)
    assert not world.worker().replay(world.tools)
    world.worker().recover()
    assert world.worker().replay(world.tools)
    world.work(number)
    assert [row["replay_id"] for row in world.outcomes(campaign="one")] == [0, number]


def test_a_replay_that_is_to_be_slow_stays_slow(world: World) -> None:
    world.take_in(OPT_OUT)
    world.make()
    with world.database.write() as connection:
        connection.execute(text("UPDATE replay SET rate = 0.01"))
    ahead(world, "replay", "next_at", by=now_ms() + HOUR)
    world.worker().recover()
    assert not world.worker().replay(world.tools)
