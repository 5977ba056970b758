"""How much a worker takes in at once: less while webhooks come in quickly."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from pathlib import Path

from bridge.store.database import Database
from bridge.store.right_of_way import MANY

from .replaying import BOUNDS, World

BATCH = 3


class Few(World):
    """A worker that takes in few events at a time."""

    bounds = replace(BOUNDS, batch=BATCH)


def test_a_worker_takes_twice_as_much_while_no_webhooks_come_in_quickly(
    database: Database, tmp_path: Path
) -> None:
    with closing(Database(database.url, share=0.2)) as giving_way:
        world, other = Few(giving_way, tmp_path), Few(database, tmp_path)
        for number in range(4 * BATCH):
            world.receive({"id": number, "phone": f"+1415555{number:04d}", "name": "Jo", "at": 1})
        # right before the look, since it says something for two seconds only
        with database.right_of_way.claim(MANY):
            assert world.worker().take_in() == BATCH
        assert other.worker().take_in() == BATCH, "who does not give way does not know"
        if database.path is not None:
            Path(f"{database.path.resolve()}.busy").write_bytes(b"")  # as on a quiet day
            assert world.worker().take_in() == 2 * BATCH
        while world.worker().take_in():
            pass
        assert len({row["phone"] for row in world.outcomes()}) == 4 * BATCH
