"""A campaign that a clock closed which was ahead is tried once that clock is right."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import text

from bridge.model import Answered, Trouble
from bridge.record.gate import GatePolicy
from bridge.steps.conditions import Conditions, monotonic_ms
from bridge.steps.greet import greet
from bridge.store.counters import Counts
from bridge.store.database import Database

from .replaying import World

HOUR = 3_600_000
POLICY = GatePolicy(0, 0, 0)


@pytest.mark.parametrize(
    ("not_before", "probe_until", "tried"),
    [(24 * HOUR, 0, True), (0, 24 * HOUR, True), (HOUR, 0, False)],
)
def test_a_clock_that_was_ahead_closes_no_campaign_once_it_is_right(
    database: Database, tmp_path: Path, not_before: int, probe_until: int, tried: bool
) -> None:
    """Opt-outs wait for a campaign that is closed, also for a worker that starts anew. What the API
    may ask for is heeded."""
    world = World(database, tmp_path)
    named = world.mappings.campaigns
    campaign = named["one"]
    greet(database, campaign, [campaign], ["one"], lambda: False)
    before, anew = (Conditions(database, POLICY, lambda _names: None, Counts()) for _ in range(2))
    before.limit(named)
    before.start(campaign)
    refused = Answered((), 503, Trouble.SERVER, "HTTP 503")
    before.note(campaign, before.gate("one"), refused)
    with database.write() as connection:
        connection.execute(
            text(
                "UPDATE campaign SET not_before = :closed, probe_until = :held, "
                "changes = changes + 1 WHERE name = 'one'"
            ),
            {
                "closed": database.now_ms() + not_before,
                "held": database.now_ms() + probe_until,
            },
        )
    anew.limit(named)
    anew.start(campaign)
    for _ in range(2):  # each of which takes a second at a worker
        anew.hear()
    gate = anew.gate("one")
    assert (gate.try_pass(monotonic_ms(), urgent=True) == 0) is tried
    assert anew.claim_probe(campaign) is (tried or database.is_sqlite)
