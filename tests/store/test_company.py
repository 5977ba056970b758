"""How long an update waits for company, which is counted from its receipt."""

from __future__ import annotations

from pathlib import Path

import pytest

from bridge.clock import now_ms
from bridge.model import Lane
from bridge.store import leads
from bridge.store.database import Database

from .replaying import World

LINGER_MS = 50


@pytest.fixture
def world(database: Database, tmp_path: Path) -> World:
    folder = tmp_path / "mappings"
    folder.mkdir()
    return World(database, folder)


def due(world: World, lane: Lane) -> int:
    with world.database.read() as connection:
        return leads.next_due(connection, "one")[lane]


@pytest.mark.parametrize(("age_ms", "ahead_ms"), [(0, 0), (60_000, 0), (-60_000, LINGER_MS)])
def test_an_update_is_due_its_linger_after_its_receipt(
    world: World, age_ms: int, ahead_ms: int
) -> None:
    world.receive({"id": 1, "phone": "+14155550123", "name": "Ann"}, received_at=now_ms() - age_ms)
    before = world.database.now_ms()
    world.worker().take_in()
    after = world.database.now_ms()
    at = due(world, Lane.FIRST)
    if age_ms > LINGER_MS:
        assert before <= at <= after, "it has waited long enough"
    else:
        assert before - age_ms * (age_ms > 0) + ahead_ms <= at <= after + LINGER_MS


def test_an_opt_out_waits_for_nobody(world: World) -> None:
    world.receive({"id": 1, "phone": "+14155550123", "dnc": True})
    world.worker().take_in()
    assert due(world, Lane.OPT_OUT) <= world.database.now_ms()
