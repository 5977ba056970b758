"""One campaign in trouble holds up no other. ``faults.neighbour`` measures how little it costs."""

from __future__ import annotations

from typing import Any

import pytest
from bridge_process import wait_until
from sandbox_client import Sandbox
from system.conftest import MakeBridge, on_both_engines

CAMPAIGNS = {"quiet": "camp_quiet", "loud": "camp_loud"}
PHONES = [f"+1415555{number:04d}" for number in range(60)]
LONG_S = 120


@on_both_engines
@pytest.mark.parametrize(
    "trouble",
    [{"mode": "slow", "seconds": LONG_S}, {"mode": "status", "status": 503}],
    ids=["slow", "503"],
)
def test_everything_for_one_campaign_ends_while_another_is_stuck(
    sandbox: Sandbox, make_bridge: MakeBridge, trouble: dict[str, Any]
) -> None:
    sandbox.put_campaigns(*CAMPAIGNS.values())
    for campaign in CAMPAIGNS.values():
        sandbox.put_leads(campaign, [{"phone_number": phone} for phone in PHONES])
    sandbox.behave(campaign=CAMPAIGNS["loud"], default=trouble)
    settings = {"BRIDGE_LEASE": str(4 * LONG_S), "BRIDGE_BACKOFF_MAX": "0.2"}
    bridge = make_bridge(campaigns=CAMPAIGNS, settings=settings, timeout=LONG_S, batch_size=10)
    bridge.start_both()
    events = [
        {"phone": phone, "dnc": True} if number % 3 else {"phone": phone, "again": True}
        for number, phone in enumerate(PHONES)
    ]
    stuck = bridge.deliver("crm", [{**event, "to": ["loud"]} for event in events])
    wait_until(lambda: sandbox.calls(campaign=CAMPAIGNS["loud"]), what="a call of the loud one")
    well = bridge.deliver("crm", [{**event, "to": ["quiet"]} for event in events])
    wait_until(
        lambda: bridge.states(well) == ["updated"] * len(PHONES), LONG_S - 10, "the quiet one"
    )
    assert "updated" not in bridge.states(stuck)
    first = sandbox.calls(campaign=CAMPAIGNS["loud"])[0]
    assert first.status == 503 or first.finished_ms is None
