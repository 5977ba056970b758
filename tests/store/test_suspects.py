"""A lead whose calls fail takes ever fewer others along, wherever in the row it stands."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import text

from bridge.model import Lane
from bridge.steps.claim import claim
from bridge.store.database import Database

from .replaying import World

PHONES = [f"+1415555010{number}" for number in range(8)]


@pytest.fixture
def world(database: Database, tmp_path: Path) -> World:
    """Eight leads that are due one after the other."""
    folder = tmp_path / "mappings"
    folder.mkdir()
    world = World(database, folder)
    for number, phone in enumerate(PHONES):
        world.take_in({"id": number, "phone": phone, "again": True, "at": 1_000 + number})
    with database.write() as connection:
        connection.execute(text("UPDATE lead SET due_at = id"))
    return world


@pytest.mark.parametrize(
    ("place", "tries", "batches"),
    [
        (0, 1, [4, 4]),
        (0, 2, [2, 6]),
        (0, 9, [1, 7]),
        (3, 1, [4, 4]),
        (3, 2, [3, 2, 3]),
        (3, 9, [3, 1, 4]),
        (7, 9, [7, 1]),
    ],
)
def test_those_behind_a_suspect_are_kept_from_it_like_those_before_it(
    world: World, place: int, tries: int, batches: list[int]
) -> None:
    with world.database.write() as connection:
        connection.execute(
            text("UPDATE lead SET tries = :tries WHERE phone = :phone"),
            {"tries": tries, "phone": PHONES[place]},
        )
    campaign = replace(world.mappings.campaigns["one"], batch_size=8)
    found = []
    while taken := claim(world.worker()._equipment, campaign, Lane.FIRST).claimed:
        found.append([one.lead.phone for one in taken])
    assert [len(one) for one in found] == batches
    assert [phone for one in found for phone in one] == PHONES
