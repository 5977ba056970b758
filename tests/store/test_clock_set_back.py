"""What a clock put off that was ahead, and was set right since, does not hold an opt-out back."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import text

from bridge.bells import Bells
from bridge.clock import now_ms
from bridge.model import Answered, Lane, Trouble
from bridge.record.gate import GatePolicy
from bridge.steps.claim import claim
from bridge.steps.conditions import Conditions, monotonic_ms
from bridge.steps.greet import greet
from bridge.store import campaigns
from bridge.store.counters import Counts
from bridge.store.database import Database
from bridge.store.schema import NEVER

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


class Told:
    """A worker that a campaign's API has told to wait, and that another worker has heard of."""

    def __init__(self, world: World, policy: GatePolicy) -> None:
        self.world = world
        self.campaign = world.mappings.campaigns["one"]
        greet(world.database, self.campaign, [], set(), lambda: False)
        self.policy = policy
        self.conditions = self.worker()

    def worker(self) -> Conditions:
        """A worker that has just started."""
        made = Conditions(self.world.database, self.policy, Bells().ring, Counts())
        made.limit(self.world.mappings.campaigns)
        made.start(self.campaign)
        return made

    def tell(self, trouble: Trouble, status: int) -> None:
        """The API answers a call that the gate let through."""
        gate = self.conditions.gate("one")
        answered = Answered((), status, trouble, f"HTTP {status}")
        self.conditions.note(self.campaign, gate, answered)

    def waits_ms(self, conditions: Conditions) -> float:
        """How long a call with opt-outs has to wait."""
        return conditions.gate("one").view(monotonic_ms()).wait_ms

    def changes(self) -> int:
        with self.world.database.read() as connection:
            return campaigns.conditions(connection)["one"].changes


@pytest.mark.parametrize("by", [HOUR, 24 * HOUR], ids=["an hour", "a day"])
@pytest.mark.parametrize(
    ("trouble", "status"),
    [(Trouble.SERVER, 500), (Trouble.REFUSED, 401)],
    ids=["back-off", "pause"],
)
def test_a_campaign_that_is_held_back_is_tried(
    world: World, trouble: Trouble, status: int, by: int
) -> None:
    told = Told(world, GatePolicy(first=1, most=1, probe=1))
    told.tell(trouble, status)
    ahead(world, "campaign", "since", "not_before", "probe_until", by=by)
    told.tell(trouble, status)  # the later of both times counts
    started = told.worker()
    for conditions in (told.conditions, started):
        conditions.hear()
        assert told.waits_ms(conditions) < 1_000
    assert started.claim_probe(told.campaign)
    before = told.changes()
    for conditions in (told.conditions, started):
        conditions.hear()
    assert told.changes() == before


def test_a_campaign_that_is_to_be_left_alone_is(world: World) -> None:
    told = Told(world, GatePolicy(first=10 * HOUR, most=10 * HOUR, probe=0))
    told.tell(Trouble.REFUSED, 401)
    before = told.changes()
    told.conditions.hear()
    with world.database.read() as connection:
        found = campaigns.conditions(connection)["one"]
    assert (found.not_before, found.changes) == (NEVER, before)
