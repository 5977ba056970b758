"""A thread that was let through to a campaign and could not send gives its turn back."""

from __future__ import annotations

from pathlib import Path

import pytest

from bridge.bells import Bells
from bridge.errors import StoreBusy
from bridge.live import LiveMappings
from bridge.model import Answered, Campaign, Trouble
from bridge.record.gate import GatePolicy
from bridge.sending import Sending
from bridge.settings import Environment, Settings
from bridge.steps.conditions import Conditions
from bridge.store.counters import Counts
from bridge.store.database import Database

from .replaying import ENVIRONMENT, World


class OutOfReach(Sending):
    """The database cannot be reached in the moment in which an opt-out is looked for once more."""

    def _opt_out_due(self, campaign: Campaign) -> bool:
        raise StoreBusy(f"{campaign.name}: out of reach")


def test_a_probe_that_a_busy_database_keeps_from_being_sent_is_free_for_the_next(
    database: Database, tmp_path: Path
) -> None:
    world = World(database, tmp_path)
    world.take_in({"id": 1, "phone": "+14155550123", "at": 1_700_000_000_000, "name": "Jane"})
    settings = Settings(
        Environment({**ENVIRONMENT, "BRIDGE_MAPPINGS": str(tmp_path), "DATABASE_URL": database.url})
    )
    live, bells = LiveMappings(settings), Bells()
    conditions = Conditions(database, GatePolicy(0, 0, 0), bells.ring, Counts())
    campaign = live.current().campaigns["one"]
    conditions.limit(live.current().campaigns)
    conditions.start(campaign)
    gate = conditions.gate("one")
    conditions.note(campaign, gate, Answered((), 500, Trouble.SERVER, "HTTP 500"))
    sending = OutOfReach(database, world.worker(), live, conditions, bells, poll_s=0.05)
    with pytest.raises(StoreBusy):
        sending.run("one", 0)
    assert gate.probes == 0
