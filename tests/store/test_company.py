"""How long an update waits for company: a part of its linger, counted from its receipt."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import pytest

from bridge.clock import now_ms
from bridge.model import Lane
from bridge.store import leads
from bridge.store.database import Database

from .replaying import World

LINGER_MS = 40_001
DUE_MS = 30_000
"""The last quarter is for what is due together."""


class Patient(World):
    """A world whose campaigns let updates wait."""

    tuning: ClassVar = {"linger_ms": LINGER_MS}


@pytest.fixture
def world(database: Database, tmp_path: Path) -> World:
    folder = tmp_path / "mappings"
    folder.mkdir()
    return Patient(database, folder)


def due(world: World, lane: Lane) -> int:
    with world.database.read() as connection:
        return leads.next_due(connection, "one")[lane]


@pytest.mark.parametrize("age_ms", [0, 20_000, DUE_MS + 5_000, LINGER_MS + 5_000, -60_000])
def test_an_update_is_due_three_quarters_of_its_linger_after_its_receipt(
    world: World, age_ms: int
) -> None:
    received_at = now_ms() - age_ms
    world.receive({"id": 1, "phone": "+14155550123", "name": "Ann"}, received_at=received_at)
    before = world.database.now_ms()
    world.worker().take_in()
    after = world.database.now_ms()
    earliest, latest = (max(now, min(now, received_at) + DUE_MS) for now in (before, after))
    assert earliest <= due(world, Lane.FIRST) <= latest


def test_a_lead_is_due_by_its_update_that_waits_longest(world: World) -> None:
    received_at = now_ms() - 1_000
    for number, at in enumerate([received_at + 500, received_at, received_at + 1_000]):
        event = {"id": number, "phone": "+14155550123", "name": "Ann"}
        world.receive(event, received_at=at)
        world.worker().take_in()
    assert due(world, Lane.FIRST) == received_at + DUE_MS


def test_an_opt_out_waits_for_nobody(world: World) -> None:
    world.receive({"id": 1, "phone": "+14155550123", "dnc": True})
    world.worker().take_in()
    assert due(world, Lane.OPT_OUT) <= world.database.now_ms()
