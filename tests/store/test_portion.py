"""How many deliveries a turn fetches: about as many as hold the events that it takes in."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from bridge.clock import now_ms
from bridge.steps.portion import LEAST, Portion
from bridge.steps.scout import Scout
from bridge.store import deliveries
from bridge.store.database import Database

from .replaying import BOUNDS, CONSENT, HEAD, World
from .rows import a_delivery

BATCH = 100
_ids = itertools.count(1)


class Middling(World):
    """A worker that takes in a hundred events at a time."""

    bounds = replace(BOUNDS, batch=BATCH)


@pytest.fixture
def world(database: Database, tmp_path: Path) -> World:
    folder = tmp_path / "mappings"
    folder.mkdir()
    world = Middling(database, folder)
    world.write(HEAD + CONSENT)
    return world


Read = list[tuple[int, int]]


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> Read:
    """How many deliveries each turn read: those that go ahead, and those that are next in line."""
    counts: Read = []
    ahead, next_stored = Scout.ahead, deliveries.next_stored

    def counting_ahead(*given: Any) -> Any:
        found = ahead(*given)
        counts.append((len(found), 0))
        return found

    def counting_next(*given: Any, **named: Any) -> Any:
        found = next_stored(*given, **named)
        counts[-1] = (counts[-1][0], len(found))
        return found

    monkeypatch.setattr(Scout, "ahead", counting_ahead)
    monkeypatch.setattr(deliveries, "next_stored", counting_next)
    return counts


def wait_in_line(world: World, sizes: Iterable[int], **more: Any) -> None:
    """Store deliveries of so many events each, each event once."""
    bodies = [
        [
            {"id": n, "phone": f"+1415555{n % 10_000:04d}", "name": "A", "at": now_ms()} | more
            for n in itertools.islice(_ids, size)
        ]
        for size in sizes
    ]
    rows = [a_delivery(source="crm", body=json.dumps(body).encode()) for body in bodies]
    with world.database.write() as connection:
        deliveries.add(connection, rows)


def turns(world: World) -> list[int]:
    """How many deliveries each turn took until none was left."""
    return list(iter(world.worker().take_in, 0))


def test_no_more_deliveries_are_read_than_a_turn_may_take_in(world: World, read: Read) -> None:
    wait_in_line(world, [20] * 40)
    assert turns(world) == [5] * 8
    at_first = [40]  # it cannot know
    assert [line for _, line in read][:-1] == at_first + [7] * 6 + [5]


def test_after_a_change_of_size_one_turn_is_small_at_most(world: World) -> None:
    wait_in_line(world, [50] * 6 + [1] * (LEAST + 2 * BATCH) + [50] * 6)
    assert turns(world) == [2, 2, 2, LEAST, BATCH, BATCH, 2, 2, 2]


@pytest.mark.parametrize(
    ("size", "ahead", "line"), [(1, (80, 80), (2, 5)), (20, (4, 5), (2, 5)), (90, (1, 5), (1, 5))]
)
def test_opt_outs_that_go_ahead_are_read_as_sparingly(
    world: World, read: Read, size: int, ahead: tuple[int, int], line: tuple[int, int]
) -> None:
    """Each pair: so many are taken, so many were read for it."""
    wait_in_line(world, [10] * 60)
    many = 160 if size == 1 else 100
    wait_in_line(world, [size] * many, dnc=True)
    world.worker().take_in()  # nobody has looked ahead yet
    world.worker().take_in()  # and nobody knew how large they are
    assert world.worker().take_in() == ahead[0] + line[0]
    assert read[-1] == (ahead[1], line[1])
    turns(world)
    with world.database.read() as connection:
        found = connection.execute(text("SELECT count(*) FROM event")).scalar()
    assert found == 600 + many * size


def opted_out(world: World) -> int:
    """How many opt-outs have been taken in."""
    with world.database.read() as connection:
        query = text("SELECT count(DISTINCT event_id) FROM outcome WHERE opts_out")
        return connection.execute(query).scalar() or 0


def test_an_opt_out_goes_ahead_also_of_what_a_small_turn_has_left(world: World) -> None:
    wait_in_line(world, [50] * 6 + [1] * 400)
    for _ in range(3):
        world.worker().take_in()
    assert world.worker().take_in() == LEAST
    wait_in_line(world, [1], dnc=True)
    world.worker().take_in()
    assert opted_out(world) == 1
    turns(world)
    # and the next backlog is looked at from its own end
    wait_in_line(world, [1] * 400)
    wait_in_line(world, [1], dnc=True)
    world.worker().take_in()
    assert opted_out(world) == 1
    world.worker().take_in()
    assert opted_out(world) == 2


def test_a_portion_is_the_room_for_deliveries_of_one_event_and_never_none() -> None:
    portion = Portion()
    assert portion.of(500) == 500
    assert portion.of(0) == portion.of(-100) == LEAST
    assert portion.held([("a", range(1_000)), ("b", range(0))]) == 1_000
    assert portion.of(500) == LEAST
    portion.held([])
    assert portion.of(500) == LEAST, "a turn without deliveries says nothing"
    portion.held([("a", range(0))])
    assert portion.of(500) == 500, "empty deliveries are deliveries"
