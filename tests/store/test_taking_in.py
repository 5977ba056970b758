"""How much a worker takes in at once: less while webhooks come in quickly."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bridge.errors import StoreBusy, StoreChanged, StoreError
from bridge.steps import take_in
from bridge.store.database import Database

from .flood import Webhooks
from .replaying import BOUNDS, World

BATCH = 3
SHARE = 0.2


class Few(World):
    """A worker that takes in few events at a time."""

    bounds = replace(BOUNDS, batch=BATCH)


def test_deliveries_wait_while_no_campaign_is_configured(
    database: Database, tmp_path: Path
) -> None:
    world = World(database, tmp_path)
    ready = world.mappings
    without = {name: replace(one, missing=("A_TOKEN",)) for name, one in ready.campaigns.items()}
    world.mappings = replace(ready, campaigns=without)
    (receipt,) = world.take_in({"id": 1, "phone": "+14155550101", "dnc": True, "at": 1})
    assert world.outcomes() == []
    world.mappings = ready
    assert world.worker().take_in() == 1
    assert [state for _, state, _ in world.brief(receipt)] == ["waiting", "waiting"]


@pytest.mark.parametrize("error", [StoreBusy("locked"), StoreChanged("others have learned of it")])
def test_what_cannot_be_stored_right_now_is_taken_in_later_and_not_dead(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: StoreError
) -> None:
    """A fault has deliveries stored one by one, and then the database is busy, say."""
    world = World(database, tmp_path)
    receipt = world.receive({"id": 1, "phone": "+14155550101", "dnc": True, "at": 1})
    faults = iter([ValueError("a fault of the first try"), error])

    def store(*_: Any, **__: Any) -> Any:
        raise next(faults)

    with monkeypatch.context() as patch, suppress(StoreBusy):
        patch.setattr(take_in, "_store", store)
        world.worker().take_in()
    assert next(faults, None) is None
    assert world.outcomes() == []
    assert world.worker().take_in() == 1
    assert [state for _, state, _ in world.brief(receipt)] == ["waiting", "waiting"]


def test_a_worker_takes_twice_as_much_while_no_webhooks_come_in_quickly(
    database: Database, opened: Callable[..., Database], tmp_path: Path
) -> None:
    giving_way = opened(share=SHARE)
    world, other = Few(giving_way, tmp_path), Few(database, tmp_path)
    webhooks = Webhooks(tmp_path, giving_way, SHARE)
    for number in range(4 * BATCH):
        world.receive({"id": number, "phone": f"+1415555{number:04d}", "name": "Jo", "at": 1})
    webhooks.come()
    webhooks.go_by(0.5)
    assert world.worker().take_in() == BATCH, "they may come again"
    assert other.worker().take_in() == BATCH, "who does not give way does not know"
    webhooks.end()
    assert world.worker().take_in() == BATCH * (2 if database.is_sqlite else 1)
    while world.worker().take_in():
        pass
    assert len({row["phone"] for row in world.outcomes()}) == 4 * BATCH
