"""A campaign that a person pauses and resumes: what goes on, what waits, and who is told."""

from __future__ import annotations

import json
from typing import Any

from bridge_process import Bridge, wait_until
from sandbox_client import Sandbox

from bridge.store import operator_actions

from .conftest import MakeBridge, on_both_engines

CAMPAIGNS = {"one": "camp_one", "two": "camp_two"}
PHONES = [f"+1415555{number:04d}" for number in range(8)]


def named(phone: str, *to: str) -> dict[str, Any]:
    return {"phone": phone, "to": to or list(CAMPAIGNS), "details": {"first_name": "Jane"}}


def opt_out(phone: str) -> dict[str, Any]:
    return {"phone": phone, "to": ["one"], "dnc": True}


def listed(bridge: Bridge, name: str) -> dict[str, Any]:
    rows = json.loads(bridge.call("campaigns", "--json").stdout)
    [row] = [row for row in rows if row["name"] == name]
    return dict(row)


def command(bridge: Bridge, *arguments: str) -> str:
    """Run ``crm-bridge campaigns …``; what it prints."""
    done = bridge.call("campaigns", *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


def all_heard(bridge: Bridge, words: str, times: int) -> None:
    """Wait until every worker has said so, so many times."""
    count = times * bridge.processes
    wait_until(lambda: bridge.said("worker", words) >= count, what=words)


@on_both_engines
def test_a_paused_campaign_keeps_its_queue_and_sends_opt_outs_only(
    sandbox: Sandbox, make_bridge: MakeBridge
) -> None:
    sandbox.put_campaigns(*CAMPAIGNS.values())
    for campaign in CAMPAIGNS.values():
        sandbox.put_leads(campaign, [{"phone_number": phone} for phone in PHONES])
    # a poll of a minute: it is no poll that notices
    bridge = make_bridge(campaigns=CAMPAIGNS, settings={"BRIDGE_POLL": "60"})
    bridge.start_both()

    told = command(bridge, "pause", "one", "--reason", "the script is being rebuilt")
    assert "Opt-outs go on" in told
    all_heard(bridge, "campaign paused by hand", 1)
    kept = bridge.deliver("crm", [named(phone) for phone in PHONES[:3]])
    urgent = bridge.deliver("crm", opt_out(PHONES[3]))
    wait_until(lambda: bridge.states(urgent) == ["updated"], what="an opt-out")
    half = ["updated"] * 3 + ["waiting"] * 3
    wait_until(lambda: bridge.states(kept) == half, what="the other campaign")
    sent = [element for call in sandbox.calls(campaign="camp_one") for element in call.elements]
    assert sent == [{"phone_number": PHONES[3], "do_not_call": True}]

    row = listed(bridge, "one")
    assert row["condition"] == "open"
    assert row["waiting"] == {"first": 3}
    assert row["oldest_seconds_by_lane"]["first"] >= 0
    assert row["paused_by_hand"]["reason"] == "the script is being rebuilt"
    assert row["paused_by_hand"]["opt_outs"] == "go on"
    assert "@" in row["paused_by_hand"]["by"]
    assert listed(bridge, "two")["paused_by_hand"] is None

    def health() -> tuple[str, str]:
        [check] = bridge.get("/healthz").json()["checks"]["campaigns"]
        return check["status"], check.get("output", "")

    by_hand = ("warn", "1 of 2 campaigns held back, 1 of them paused by hand")
    wait_until(lambda: health() == by_hand, what=lambda: str(health()))
    assert bridge.get("/readyz").status_code == 200

    assert "may be called until you resume" in command(bridge, "pause", "one", "--hold-opt-outs")
    all_heard(bridge, "campaign paused by hand", 2)
    held = bridge.deliver("crm", opt_out(PHONES[4]))
    elsewhere = bridge.deliver("crm", named(PHONES[5], "two"))
    wait_until(lambda: bridge.states(elsewhere) == ["updated"], what="the other campaign")
    assert bridge.states(held) == ["waiting"]
    assert len(sandbox.calls(campaign="camp_one")) == 1
    wait_until(lambda: health()[1].endswith("with their opt-outs"), what=lambda: str(health()))

    # a worker that starts now obeys from its first moment
    assert bridge.worker is not None
    bridge.worker.kill()
    bridge.start_worker()
    elsewhere = bridge.deliver("crm", named(PHONES[6], "two"))
    wait_until(lambda: bridge.states(elsewhere) == ["updated"], what="the other campaign")
    assert len(sandbox.calls(campaign="camp_one")) == 1

    assert "one is resumed" in command(bridge, "resume", "one")
    wait_until(lambda: bridge.states(held) == ["updated"], what="the opt-out that was held")
    wait_until(lambda: bridge.states(kept) == ["updated"] * 6, what="what was held")
    assert "was not paused" in command(bridge, "resume", "one")
    wait_until(lambda: health()[0] == "pass", what=lambda: str(health()))

    with bridge.database.read() as connection:
        done = operator_actions.listing(connection, subject="one")
    assert [(one["action"], one["details"]) for one in reversed(done)] == [
        ("campaign.pause", {"reason": "the script is being rebuilt", "opt_outs": "go on"}),
        ("campaign.pause", {"reason": "", "opt_outs": "held"}),
        ("campaign.resume", {"was_paused": True, "tried_at_once": False}),
        ("campaign.resume", {"was_paused": False, "tried_at_once": False}),
    ]
    assert {one["actor"] for one in done} == {row["paused_by_hand"]["by"]}


def test_a_campaign_that_is_not_there_cannot_be_paused(make_bridge: MakeBridge) -> None:
    bridge = make_bridge(campaigns=CAMPAIGNS)
    done = bridge.run("campaigns", "pause", "three")
    assert done.returncode == 2
    assert "there is no campaign three. There are: one, two." in done.stderr
    # one that no worker has seen yet can, and comes to be paused
    assert bridge.run("campaigns", "pause", "one").returncode == 0
    assert listed(bridge, "one")["paused_by_hand"] is not None
