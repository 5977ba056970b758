"""A web process whose machine's clock is wrong, beside others whose clock is right."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from flask import Flask

from bridge.app import create_app
from bridge.clock import now_ms
from bridge.model import Lane
from bridge.settings import Environment, Settings
from bridge.steps.claim import claim
from bridge.store.database import Database

from .replaying import ENVIRONMENT, HEAD, World

PHONE = "+14155550123"
MINUTE = 60_000
CONSENT = """
rules:
  - name: consent
    when: "dnc != `null`"
    allow_opt_in: true
    channel: voice
    lead: {phone_number: phone, do_not_call: {from: dnc, to: boolean}}
"""


@pytest.fixture
def world(database: Database, tmp_path: Path) -> World:
    folder = tmp_path / "mappings"
    folder.mkdir()
    made = World(database, folder)
    made.write(HEAD + CONSENT, ("one",))
    return made


def web(world: World, url: str) -> Flask:
    given = {name: ENVIRONMENT[name] for name in ("CRM_TOKEN", "CRM_URL", "BRIDGE_API_TOKEN")}
    given |= {"DATABASE_URL": url, "BRIDGE_MAPPINGS": str(world.folder)}
    given |= {"BRIDGE_LOG_LEVEL": "error"}
    return create_app(Settings(Environment(given)))


@pytest.mark.parametrize("engine", ["postgresql"])  # on SQLite there is one machine
@pytest.mark.parametrize("ahead_min", [-60, 60])
def test_what_comes_in_is_reckoned_by_the_clock_that_all_share(
    world: World, url: str, monkeypatch: pytest.MonkeyPatch, ahead_min: int
) -> None:
    now = now_ms()
    # both from a CRM whose clock is right; the opt-in came in half an hour ago, elsewhere
    opt_in = {"id": 1, "phone": PHONE, "dnc": False, "at": now - 30 * MINUTE}
    opt_out = {"id": 2, "phone": PHONE, "dnc": True, "at": now}
    world.receive(opt_in, received_at=now - 30 * MINUTE)
    real = time.time_ns
    monkeypatch.setattr(time, "time_ns", lambda: real() + ahead_min * MINUTE * 1_000_000)
    headers = {"Authorization": "Bearer crm-token", "Content-Type": "application/json"}
    answer = (
        web(world, url).test_client().post("/hooks/crm", data=json.dumps(opt_out), headers=headers)
    )
    monkeypatch.undo()
    assert answer.status_code == 200
    assert abs(int(json.loads(answer.data)["receipt"][:12], 16) - now) < MINUTE
    world.take_in()
    worker = world.worker()
    (claimed,) = claim(worker._equipment, world.mappings.campaigns["one"], Lane.OPT_OUT).claimed
    assert claimed.plan.payload == {"do_not_call": True}
