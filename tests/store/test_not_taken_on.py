"""A 413, which needs no right, does not show that a campaign may be called."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import pytest
from sqlalchemy import text

from bridge.bells import Bells
from bridge.forward.client import CampaignClient
from bridge.model import Answered, Campaign, Lane, Result, Sent, Trouble, Verdict
from bridge.record.gate import GatePolicy, GateState
from bridge.steps.conditions import Conditions, monotonic_ms
from bridge.steps.greet import greet
from bridge.steps.turns import Turns
from bridge.store import outcomes
from bridge.store.counters import Counts
from bridge.store.database import Database

from .idle_worker import idle_worker
from .replaying import CONSENT, HEAD, World


@pytest.fixture
def world(database: Database, tmp_path: Path) -> World:
    folder = tmp_path / "mappings"
    folder.mkdir()
    return World(database, folder)


@pytest.mark.parametrize(("status", "state"), [(413, GateState.PAUSED), (422, GateState.OPEN)])
def test_it_opens_no_campaign(world: World, status: int, state: GateState) -> None:
    """Each probe would else open one that lacks its right, and leads be to blame for that."""
    campaign = world.mappings.campaigns["one"]
    greet(world.database, campaign, [], set(), lambda: False)
    conditions = Conditions(world.database, GatePolicy(0, 0, 0), Bells().ring, Counts())
    conditions.limit(world.mappings.campaigns)
    conditions.start(campaign)
    gate = conditions.gate("one")
    conditions.note(campaign, gate, Answered((), 403, Trouble.REFUSED, "HTTP 403"))
    conditions.start(campaign)  # a pause is tried at once
    gate = conditions.gate("one")
    assert gate.try_pass(monotonic_ms()) == 0
    conditions.note(campaign, gate, Answered((), status))
    assert gate.view(monotonic_ms()).state is state


def test_nobody_is_to_blame_for_it(world: World) -> None:
    world.take_in({"id": 1, "phone": "+14155550101", "name": "Ann", "at": 1_700_000_000_000})

    def answered(status: int, trouble: str | None = None) -> int:
        with world.database.write() as connection:
            return outcomes.add_batch(
                connection,
                campaign="one",
                started_at=0,
                elapsed_ms=0,
                leads=1,
                calls=1,
                status=status,
                trouble=trouble,
                detail="",
            )

    refused = answered(403, "refused_alone")
    with world.database.write() as connection:
        connection.execute(text("UPDATE outcome SET batch_id = :batch"), {"batch": refused})
        ids = [row.id for row in connection.execute(text("SELECT id FROM outcome"))]

    def known() -> bool:
        with world.database.read() as connection:
            return outcomes.refused_alone(connection, ids)

    for status, expected in ((403, False), (413, False), (422, True)):
        answered(status)
        assert known() is expected, status


class TooLarge:
    """A campaign API in front of which each body is too large."""

    def update_leads(self, _campaign: Campaign, batch: Sequence[Sent], heard: Any) -> Answered:
        answer = Answered(tuple(Result(Verdict.REJECTED) for _ in batch), 413)
        heard(answer)
        return answer


def test_a_probe_that_opened_nothing_by_it_keeps_nobody_waiting(
    world: World, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its place would else be kept for as long as its call could have taken."""
    world.write(HEAD + CONSENT, ("one",))
    campaign = world.mappings.campaigns["one"]
    client = cast(CampaignClient, TooLarge())
    with idle_worker(world, url, monkeypatch) as (worker, _):
        worker._start_missing()
        conditions = worker.conditions
        refused = Answered((), 403, Trouble.REFUSED, "HTTP 403")
        conditions.note(campaign, conditions.gate("one"), refused)
        conditions.start(campaign)  # a pause is tried at once
        gate = conditions.gate("one")
        world.take_in({"id": 1, "phone": "+14155550101", "dnc": True, "at": 1_700_000_000_000})
        assert gate.try_pass(monotonic_ms(), urgent=True) == 0
        turns = Turns(0, only_opt_outs=True)
        worker._sending._send_one(campaign, Lane.OPT_OUT, gate, client, turns)
        assert gate.view(monotonic_ms()).state is GateState.PAUSED
        with world.database.read() as connection:
            assert connection.execute(text("SELECT status FROM batch")).scalar() == 413
        assert conditions.claim_probe(campaign)
