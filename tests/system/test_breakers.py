"""What the API tells one worker or campaign, and what follows for the others."""

from __future__ import annotations

import json
from typing import Any

import pytest
from bridge_process import Bridge, wait_until
from sandbox_client import Call, Sandbox

from bridge.store import campaigns as campaign_rows

from .conftest import MakeBridge

NAMES = ("one", "two", "three")
CAMPAIGNS = {name: f"camp_{name}" for name in NAMES}
PHONES = [f"+1415555{number:04d}" for number in range(12)]
REFUSED = {"mode": "status", "status": 401}
HOUR = {"BRIDGE_PAUSE_PROBE": "3600"}


def opt_out(phone: str, *to: str) -> dict[str, Any]:
    return {"phone": phone, "to": to, "dnc": True}


def named(phone: str, *to: str) -> dict[str, Any]:
    return {"phone": phone, "to": to, "details": {"first_name": "Jane"}}


@pytest.fixture(autouse=True)
def leads(sandbox: Sandbox) -> None:
    sandbox.put_campaigns(*CAMPAIGNS.values())
    for campaign in CAMPAIGNS.values():
        sandbox.put_leads(campaign, [{"phone_number": phone} for phone in PHONES])


def condition(bridge: Bridge, name: str) -> campaign_rows.Condition:
    with bridge.database.read() as connection:
        return campaign_rows.conditions(connection)[name]


def calls(sandbox: Sandbox, name: str) -> list[Call]:
    return sandbox.calls(campaign=CAMPAIGNS[name])


def ends(bridge: Bridge, receipt: str, *states: str) -> None:
    wait_until(
        lambda: bridge.states(receipt) == sorted(states),
        what=lambda: f"{states} instead of {bridge.states(receipt)}",
    )


@pytest.mark.parametrize("engine", ["postgresql"])
def test_what_one_worker_is_told_all_obey_and_one_of_them_tries_again(
    sandbox: Sandbox, make_bridge: MakeBridge
) -> None:
    bridge = make_bridge(campaigns=CAMPAIGNS)
    bridge.start_both()
    sandbox.behave({"mode": "429", "retry_after": 8}, campaign="camp_one")
    first = bridge.deliver("crm", opt_out(PHONES[0], "one"))
    wait_until(lambda: bridge.said("worker", "campaign condition heard"), what="the other worker")
    later = bridge.deliver("crm", [named(phone, "one") for phone in PHONES[1:]])
    ends(bridge, first, "updated")
    ends(bridge, later, *["updated"] * 11)
    refused, *rest = calls(sandbox, "one")
    assert refused.finished_ms is not None
    assert rest[0].started_ms >= refused.finished_ms + 8000 - 5
    assert rest[0].finished_ms is not None
    assert all(call.started_ms >= rest[0].finished_ms for call in rest[1:]), "one probe alone"
    assert condition(bridge, "one").condition == "open"


@pytest.mark.parametrize("engine", ["sqlite", "postgresql"])
def test_a_worker_that_starts_again_goes_on_waiting(
    sandbox: Sandbox, make_bridge: MakeBridge
) -> None:
    bridge = make_bridge(campaigns=CAMPAIGNS)
    bridge.start_both()
    sandbox.behave({"mode": "429", "retry_after": 10}, campaign="camp_one")
    receipt = bridge.deliver("crm", opt_out(PHONES[0], "one"))
    wait_until(lambda: condition(bridge, "one").status == 429, what="a note of the 429")
    for number, worker in list(bridge.workers.items()):
        worker.kill()
        bridge.start_worker(number)
    ends(bridge, receipt, "updated")
    refused, again = calls(sandbox, "one")
    assert refused.finished_ms is not None
    assert again.started_ms >= refused.finished_ms + 10_000 - 5


def test_a_pause_is_tried_at_once_by_a_worker_that_starts_again(
    sandbox: Sandbox, make_bridge: MakeBridge
) -> None:
    bridge = make_bridge(campaigns=CAMPAIGNS, settings={"BRIDGE_PAUSE_PROBE": "0"})
    bridge.start_both()
    sandbox.behave(default=REFUSED, campaign="camp_one")
    receipt = bridge.deliver("crm", opt_out(PHONES[0], "one"))
    wait_until(lambda: condition(bridge, "one").condition == "paused", what="a pause")
    assert bridge.worker is not None
    bridge.worker.terminate()
    bridge.worker.ended()
    assert condition(bridge, "one").condition == "paused"
    sandbox.behave(campaign="camp_one")
    bridge.start_worker()
    ends(bridge, receipt, "updated")
    assert condition(bridge, "one").condition == "open"


def test_a_401_stops_nobody_else_and_its_end_is_the_end_for_all(
    sandbox: Sandbox, make_bridge: MakeBridge
) -> None:
    bridge = make_bridge(campaigns=CAMPAIGNS, settings=HOUR)
    bridge.start_both()
    for name in ("one", "two"):
        sandbox.behave(default=REFUSED, campaign=CAMPAIGNS[name])
    held = bridge.deliver("crm", [opt_out(PHONES[0], "one"), opt_out(PHONES[1], "two")])
    for name in ("one", "two"):
        wait_until(lambda: condition(bridge, name).status == 401, what="a pause")  # noqa: B023
    for phone in PHONES:
        ends(bridge, bridge.deliver("crm", opt_out(phone, "three")), "updated")
    # the third works with the same token all the time, and that alone wakes nobody
    assert {len(calls(sandbox, name)) for name in ("one", "two")} <= {1, 2, 3}
    assert bridge.states(held) == ["waiting", "waiting"]

    for name in ("one", "two"):
        sandbox.behave(campaign=CAMPAIGNS[name])
    done = bridge.run("campaigns", "resume", "one")
    assert "workers try it within two seconds" in done.stdout
    ends(bridge, held, "updated", "updated")
    [row] = [r for r in json.loads(bridge.run("campaigns", "--json").stdout) if r["name"] == "two"]
    assert row["condition"] == "open"


def test_a_429_of_two_campaigns_holds_their_token_and_a_third_tries_alone(
    sandbox: Sandbox, make_bridge: MakeBridge
) -> None:
    bridge = make_bridge(campaigns=CAMPAIGNS)
    bridge.start_both()
    for name in ("one", "two"):
        sandbox.behave({"mode": "429", "retry_after": 6}, campaign=CAMPAIGNS[name])
    held = bridge.deliver("crm", [opt_out(PHONES[0], "one"), opt_out(PHONES[1], "two")])
    wait_until(lambda: bridge.said("worker", "token held back") == 1, what="a token held back")
    ends(bridge, bridge.deliver("crm", opt_out(PHONES[2], "three")), "updated")
    assert bridge.states(held) == ["waiting", "waiting"], "the third did not wait for the others"
    ends(bridge, held, "updated", "updated")
    for name in ("one", "two"):
        refused, again = calls(sandbox, name)
        assert refused.finished_ms is not None
        assert again.started_ms >= refused.finished_ms + 6000 - 5


@pytest.mark.parametrize("held", ["slow", "half-open"])
def test_an_opt_out_does_not_wait_for_slow_calls_of_its_own_campaign(
    sandbox: Sandbox, make_bridge: MakeBridge, held: str
) -> None:
    bridge = make_bridge(
        campaigns=CAMPAIGNS, settings={"BRIDGE_LEASE": "90"}, timeout=25, batch_size=2
    )
    bridge.start_both()
    hang = {"mode": "slow", "seconds": 20}
    if held == "slow":
        sandbox.behave(hang, hang, campaign="camp_one")
    else:
        sandbox.behave({"mode": "status", "status": 503}, hang, campaign="camp_one")
    backlog = bridge.deliver("crm", [named(phone, "one") for phone in PHONES[:8]])

    def hanging() -> int:
        return sum(call.finished_ms is None for call in calls(sandbox, "one"))

    wait_until(lambda: hanging() == (2 if held == "slow" else 1), what="senders that hang")
    urgent = bridge.deliver("crm", opt_out(PHONES[9], "one"))
    ends(bridge, urgent, "updated")
    assert hanging() == (2 if held == "slow" else 1), "they hang still"
    assert "updated" not in bridge.states(backlog) or held == "half-open"
