"""Workers over PostgreSQL that share look-ups: one that dies gives back what it was at."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path

import pytest
from bridge_process import Bridge, wait_until
from sandbox_client import Sandbox

from .conftest import CAMPAIGNS, MakeBridge
from .mapping_files import write_campaigns
from .test_look_up_faults import HUBSPOT, PHONE, opt_out

LEASE_S = 3

pytestmark = pytest.mark.parametrize("engine", ["postgresql"])


def hubspot_bridge(
    folder: Path, sandbox: Sandbox, make_bridge: MakeBridge, seconds: float
) -> Bridge:
    """Two workers; the CRM takes so long for its first answer."""
    mappings = folder / "mappings"
    mappings.mkdir()
    shutil.copy(HUBSPOT, mappings)
    write_campaigns(mappings, CAMPAIGNS)
    for campaign in CAMPAIGNS.values():
        sandbox.put_leads(campaign, [{"phone_number": PHONE}])
    sandbox.put_contacts([{"id": "101", "properties": {"phone": PHONE}}])
    sandbox.behave({"mode": "slow", "seconds": seconds}, hubspot=True)
    return make_bridge(
        mappings=mappings,
        settings={
            "BRIDGE_LEASE": str(LEASE_S),
            "BRIDGE_PUBLIC_URL": "https://hooks.example.com",
            "HUBSPOT_CLIENT_SECRET": "hubspot-client-secret-for-tests",
            "HUBSPOT_ACCESS_TOKEN": sandbox.hubspot_token,
            "HUBSPOT_API_URL": sandbox.url,
        },
    )


def look_ups(sandbox: Sandbox) -> int:
    """How often the CRM was asked."""
    return len(sandbox.calls(endpoint="batch_read"))


def test_what_a_killed_worker_was_looking_up_soon_goes_to_another(
    tmp_path: Path, sandbox: Sandbox, make_bridge: MakeBridge
) -> None:
    bridge = hubspot_bridge(tmp_path, sandbox, make_bridge, seconds=60)
    bridge.start_web()
    first = bridge.start_worker()
    receipt = bridge.post_signed("hubspot", [opt_out(101)]).json()["receipt"]
    wait_until(lambda: look_ups(sandbox) == 1, what="a look-up")
    first.kill()
    bridge.start_worker(1)
    # a minute is far more than the lease, and far less than somebody who opted out would bear
    wait_until(lambda: bridge.states(receipt) == ["updated", "updated"], 60, "the opt-out")
    assert look_ups(sandbox) == 2


def test_a_look_up_that_outlasts_its_lease_is_not_done_twice(
    tmp_path: Path, sandbox: Sandbox, make_bridge: MakeBridge
) -> None:
    bridge = hubspot_bridge(tmp_path, sandbox, make_bridge, seconds=2 * LEASE_S)
    bridge.start_both()
    receipt = bridge.post_signed("hubspot", [opt_out(101)]).json()["receipt"]
    wait_until(lambda: bridge.states(receipt) == ["updated", "updated"], 60, "the opt-out")
    assert Counter(call.mode for call in sandbox.calls(endpoint="batch_read")) == {"slow": 1}
