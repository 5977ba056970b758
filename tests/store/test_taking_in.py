"""How much a worker takes in at once: less while webhooks come in quickly."""

from __future__ import annotations

import json
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from bridge.map import load_mappings
from bridge.record.decide import Policy
from bridge.settings import Environment
from bridge.steps import take_in
from bridge.steps.equipment import Bounds, Equipment
from bridge.store import deliveries
from bridge.store.database import Database
from bridge.store.right_of_way import MANY
from store.rows import a_delivery

SHIPPED = Path(__file__).parents[2] / "mappings"
BATCH = 3


def equipment(database: Database) -> Equipment:
    given = Environment({"GENERIC_TOKEN": "t", "BRIDGE_API_TOKEN": "t", "BRIDGE_CAMPAIGN_ID": "c"})
    current = load_mappings(
        SHIPPED,
        given,
        api_url="https://api.example.com",
        api_token=given.secret("BRIDGE_API_TOKEN"),
        default_region="US",
    )
    return Equipment(
        database,
        lambda: current,
        policy=Policy(5, 1, (1,), 1, 1, 1),
        bounds=Bounds(BATCH, 100, 64, 30_000, 1, 1, 1, 1),
        owner="one",
        ring=lambda _: None,
    )


def test_a_worker_takes_twice_as_much_while_no_webhooks_come_in_quickly(database: Database) -> None:
    rows = [
        a_delivery(
            source="generic",
            body=json.dumps(
                {"event_id": str(n), "first_name": "Jo", "phone": f"+1415555{n:04d}"}
            ).encode(),
        )
        for n in range(4 * BATCH)
    ]
    with closing(Database(database.url, share=0.2)) as worker_store:
        worker = equipment(worker_store)
        with database.right_of_way.claim(MANY), database.write() as connection:
            deliveries.add(connection, rows)
        assert take_in.take_in(worker) == BATCH
        other = replace(worker, database=database)
        assert take_in.take_in(other) == BATCH, "who does not give way does not know"
        if database.path is not None:
            Path(f"{database.path.resolve()}.busy").write_bytes(b"")  # as on a quiet day
            assert take_in.take_in(worker) == 2 * BATCH
        while take_in.take_in(worker):
            pass
    with database.read() as connection:
        count = connection.exec_driver_sql("SELECT count(DISTINCT phone) FROM outcome").scalar()
    assert count == 4 * BATCH
