"""Workers over PostgreSQL whose machine's clock is an hour off: due times and leases hold."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from bridge_process import Bridge, Group, wait_until
from sandbox_client import Sandbox

from .conftest import MakeBridge

PHONES = [f"+1415555{number:04d}" for number in range(4)]
SKEWED = Path(__file__).with_name("skewed_worker.py")
ONE = {"one": "camp_one"}
HOUR = 3600

pytestmark = pytest.mark.parametrize("engine", ["postgresql"])


def opt_out(phone: str) -> dict[str, Any]:
    return {"phone": phone, "dnc": True}


def start_skewed(bridge: Bridge, ahead_s: int) -> Group:
    """Start a worker whose clock is ahead (or behind), and wait until it is at work."""
    seen = bridge.said("worker", "worker started")
    worker = bridge.start("worker", [sys.executable, str(SKEWED), str(ahead_s)])
    wait_until(lambda: bridge.said("worker", "worker started") > seen, 60, "a skewed worker")
    wait_until(lambda: bridge.said("worker", "clock differs"), what="its own word on that")
    return worker


def clocks(bridge: Bridge) -> str:
    return str(bridge.get("/healthz").json()["checks"]["clocks"][0]["status"])


@pytest.mark.parametrize("ahead_s", [HOUR, -HOUR])
def test_a_worker_with_a_wrong_clock_works_and_puts_nothing_off(
    sandbox: Sandbox, make_bridge: MakeBridge, ahead_s: int
) -> None:
    sandbox.put_leads("camp_one", [{"phone_number": phone} for phone in PHONES])
    bridge = make_bridge(campaigns=ONE)
    bridge.start_web()
    skewed = start_skewed(bridge, ahead_s)
    wait_until(lambda: clocks(bridge) == "warn", what="a warning in health")
    alone = bridge.deliver("crm", opt_out(PHONES[0]))
    wait_until(lambda: bridge.states(alone) == ["updated"], what="work of the skewed worker")

    # what it takes in is left to a worker whose clock is right
    sandbox.behave(default={"mode": "status", "status": 503})
    left = bridge.deliver("crm", opt_out(PHONES[1]))
    calls = len(sandbox.calls())
    wait_until(lambda: len(sandbox.calls()) >= calls + 2, what="tries of the skewed worker")
    skewed.kill()
    bridge.start_worker()
    sandbox.behave()
    wait_until(lambda: bridge.states(left) == ["updated"], what="an opt-out that was not put off")
    wait_until(lambda: clocks(bridge) == "pass", 60, "the end of the warning")


def test_a_worker_whose_clock_is_ahead_takes_no_lead_from_another(
    sandbox: Sandbox, make_bridge: MakeBridge
) -> None:
    sandbox.put_leads("camp_one", [{"phone_number": phone} for phone in PHONES])
    bridge = make_bridge(campaigns=ONE, settings={"BRIDGE_LEASE": "90"}, timeout=25)
    bridge.start_web()
    bridge.start_worker()
    sandbox.behave({"mode": "slow", "seconds": 15})
    held = bridge.deliver("crm", opt_out(PHONES[0]))
    wait_until(lambda: len(sandbox.calls()) == 1, what="a call under way")
    start_skewed(bridge, HOUR)
    # it has looked for lost leads by the time that it serves others
    other = bridge.deliver("crm", [opt_out(phone) for phone in PHONES[1:]])
    wait_until(lambda: bridge.states(other) == ["updated"] * 3, what="other leads")
    wait_until(lambda: bridge.states(held) == ["updated"], what="the lead that was held")
    assert bridge.said("worker", "leads freed from a lost worker") == 0
    sent = [e["phone_number"] for call in sandbox.calls() for e in call.elements]
    assert sent.count(PHONES[0]) == 1
