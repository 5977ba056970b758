"""What the threads of a worker, and several workers, tell of a campaign at the same moment."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from threading import Thread

import pytest
from sqlalchemy import text

from bridge.bells import Bells
from bridge.model import Answered, Campaign, Trouble
from bridge.record.gate import GatePolicy, GateState
from bridge.steps.conditions import Conditions, monotonic_ms
from bridge.steps.greet import greet
from bridge.store import campaigns, outcomes
from bridge.store.counters import Counts
from bridge.store.database import Connection, Database

from .replaying import HEAD, RULES, World
from .waiting import until

ALONE = Answered((), 403, Trouble.REFUSED_ALONE, "HTTP 403")
REFUSED = Answered((), 403, Trouble.REFUSED, "HTTP 403")
BUSY = Answered((), 503, Trouble.SERVER, "HTTP 503")
WELL = Answered((), 200)


@pytest.fixture
def world(database: Database, tmp_path: Path) -> World:
    folder = tmp_path / "mappings"
    folder.mkdir()
    made = World(database, folder)
    greet(database, made.mappings.campaigns["one"], [], set(), lambda: False)
    return made


@pytest.fixture
def campaign(world: World) -> Campaign:
    return world.mappings.campaigns["one"]


def worker(world: World) -> Conditions:
    conditions = Conditions(world.database, GatePolicy(0, 0, 300_000), Bells().ring, Counts())
    conditions.limit(world.mappings.campaigns)
    conditions.start(world.mappings.campaigns["one"])
    return conditions


def state(conditions: Conditions) -> GateState:
    return conditions.gate("one").view(monotonic_ms()).state


def known(world: World) -> campaigns.Condition:
    with world.database.read() as connection:
        found = campaigns.condition(connection, "one")
    assert found is not None
    return found


def probes(conditions: Conditions, campaign: Campaign) -> bool:
    """A call goes as a probe; whether the database lets it."""
    gate = conditions.gate("one")
    assert gate.try_pass(monotonic_ms()) == 0
    assert gate.probing
    return conditions.claim_probe(campaign)


@pytest.mark.parametrize("answer", [ALONE, BUSY], ids=["403", "503"])
def test_a_probe_opens_over_nothing_that_another_worker_has_told_meanwhile(
    world: World, campaign: Campaign, answer: Answered
) -> None:
    one, other = worker(world), worker(world)
    one.note(campaign, one.gate("one"), ALONE)
    assert probes(one, campaign)
    other.note(campaign, other.gate("one"), answer)
    one.note(campaign, one.gate("one"), WELL)
    assert known(world).condition == "backoff"
    assert state(one) is GateState.BACKOFF


@pytest.mark.parametrize("heard_between", [False, True])
@pytest.mark.parametrize("by_another", [False, True])
def test_a_403_takes_nothing_from_the_retry_after_of_a_503(
    world: World, campaign: Campaign, *, by_another: bool, heard_between: bool
) -> None:
    """Else a probe of another worker, which was out before, would open the campaign over it."""
    one, other, third = worker(world), worker(world), worker(world)
    other.note(campaign, other.gate("one"), ALONE)
    assert probes(other, campaign)
    one.note(campaign, one.gate("one"), replace(BUSY, retry_after_s=600.0))
    if heard_between:
        other.hear()
    late = third if by_another else one
    late.note(campaign, late.gate("one"), ALONE)
    other.hear()
    other.note(campaign, other.gate("one"), WELL)
    assert known(world).not_before > world.database.now_ms() + 500_000
    assert other.gate("one").try_pass(monotonic_ms()) > 500_000


def test_a_403_beside_a_429_is_no_other_429_for_the_token(world: World) -> None:
    """That would keep the probe of the token, which another campaign has out, from freeing it."""
    names = ("one", "two", "three", "four")
    world.write(HEAD + RULES, names)
    there = world.mappings.campaigns
    conditions = worker(world)
    for name in names:
        greet(world.database, there[name], [], set(), lambda: False)
        conditions.start(there[name])
    for name in ("one", "two"):
        full = Answered((), 429, Trouble.BUSY, "HTTP 429", 600.0)
        conditions.note(there[name], conditions.gate(name), full)
    assert conditions.gate("four").try_pass(monotonic_ms()) > 0, "the token is held back"
    three, four = conditions.gate("three"), conditions.gate("four")
    until(lambda: three.try_pass(monotonic_ms()) == 0)
    late = Thread(target=conditions.note, args=(there["one"], conditions.gate("one"), ALONE))
    late.start()
    late.join()
    assert known(world).status == 429
    conditions.note(there["three"], three, WELL)
    assert four.try_pass(monotonic_ms()) == 0


def test_who_would_probe_what_another_has_opened_goes_on(world: World, campaign: Campaign) -> None:
    if world.database.is_sqlite:
        pytest.skip("on SQLite a worker is alone")
    one, other = worker(world), worker(world)
    one.note(campaign, one.gate("one"), ALONE)
    other.hear()
    assert probes(one, campaign)
    one.note(campaign, one.gate("one"), WELL)
    assert not probes(other, campaign)
    assert state(other) is GateState.OPEN


@pytest.mark.parametrize("recorded", [False, True])
def test_a_lead_is_to_blame_by_who_has_opened_the_campaign_since(
    world: World, campaign: Campaign, *, recorded: bool
) -> None:
    """And may not have been recorded yet; but by nothing once the campaign is closed again."""
    one, other = worker(world), worker(world)
    world.take_in({"id": 1, "phone": "+14155550101", "name": "Ann", "at": 1_700_000_000_000})
    gate = one.gate("one")

    def to_blame(*, told: bool) -> bool:
        ago = gate.opened_ago(monotonic_ms())
        opened_at = None if ago is None else world.database.now_ms() - round(ago)
        seen = gate.view(monotonic_ms()).changes if told else -1
        with world.database.read() as connection:
            return outcomes.refused_alone(connection, ids, opened_at=opened_at, seen=seen)

    with world.database.write() as connection:
        refused = a_batch(connection, 403, at=world.database.now_ms() - 1_000)
        connection.execute(text("UPDATE outcome SET batch_id = :batch"), {"batch": refused})
        ids = list(connection.execute(text("SELECT id FROM outcome")).scalars())
    assert not to_blame(told=True), "it was not closed yet"
    one.note(campaign, gate, ALONE)
    assert probes(one, campaign)
    assert gate.succeeded(monotonic_ms())
    assert not to_blame(told=False)
    assert to_blame(told=True), "nothing was noted since it was found closed"
    one.hear()
    assert to_blame(told=False)
    if recorded:
        with world.database.write() as connection:
            a_batch(connection, 200, at=world.database.now_ms())
    other.note(campaign, other.gate("one"), REFUSED)
    assert to_blame(told=True) is recorded


def a_batch(connection: Connection, status: int, *, at: int) -> int:
    return outcomes.add_batch(
        connection,
        campaign="one",
        started_at=at,
        elapsed_ms=1,
        leads=1,
        calls=1,
        status=status,
        trouble=None if status == 200 else "refused_alone",
        detail="",
    )
