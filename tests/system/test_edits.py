"""Edits of the files beside a running bridge: a campaign's new id, and a file nobody can read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from bridge_process import CRM_TOKEN, wait_until
from sandbox_client import Sandbox

from .conftest import MakeBridge
from .mapping_files import write_campaigns

ONE = {"one": "camp_one"}
PHONES = [f"+1415555{number:04d}" for number in range(3)]


def opt_out(phone: str) -> dict[str, Any]:
    return {"phone": phone, "dnc": True}


@pytest.mark.parametrize("moment", ["while it runs", "before it starts again"])
def test_a_campaign_with_another_id_hears_of_every_opt_out_again(
    sandbox: Sandbox, make_bridge: MakeBridge, moment: str
) -> None:
    bridge = make_bridge(campaigns=ONE)
    sandbox.put_campaigns("camp_new")
    for campaign in ("camp_one", "camp_new"):
        sandbox.put_leads(campaign, [{"phone_number": phone} for phone in PHONES])
    bridge.start_both()
    receipt = bridge.deliver(
        "crm", [*map(opt_out, PHONES[:2]), {"phone": PHONES[2], "details": {"first_name": "Jane"}}]
    )
    bridge.wait_settled()
    assert bridge.states(receipt) == ["updated"] * 3

    if moment == "before it starts again":
        assert bridge.worker is not None
        bridge.worker.terminate()
        assert bridge.worker.ended() == 0
    write_campaigns(Path(bridge.env["BRIDGE_MAPPINGS"]), {"one": "camp_new"})
    if moment == "before it starts again":
        bridge.start_worker()

    def opted_out() -> list[bool]:
        leads = sandbox.leads("camp_new")
        return [leads[phone].do_not_call for phone in PHONES]

    wait_until(lambda: opted_out() == [True, True, False], what=lambda: f"{opted_out()}")
    bridge.wait_settled()
    assert bridge.states(receipt) == ["updated"] * 3
    later = bridge.deliver("crm", opt_out(PHONES[2]))
    bridge.wait_settled()
    assert bridge.states(later) == ["updated"]
    assert opted_out() == [True, True, True]
    assert not sandbox.leads("camp_one")[PHONES[2]].do_not_call


@pytest.mark.parametrize("moment", ["while it runs", "before it starts again"])
def test_a_campaign_that_was_away_hears_of_the_opt_outs_it_missed(
    sandbox: Sandbox, make_bridge: MakeBridge, moment: str
) -> None:
    both = {"one": "camp_one", "two": "camp_two"}
    bridge = make_bridge(campaigns=both)
    sandbox.put_campaigns("camp_two")
    for campaign in both.values():
        sandbox.put_leads(campaign, [{"phone_number": phone} for phone in PHONES])
    bridge.start_both()
    bridge.deliver("crm", {"phone": PHONES[0], "details": {"first_name": "Ann"}})
    bridge.wait_settled()
    folder = Path(bridge.env["BRIDGE_MAPPINGS"])

    write_campaigns(folder, ONE)
    wait_until(lambda: bridge.said("worker", "campaigns have left"), what="the worker's notice")
    receipt = bridge.deliver("crm", opt_out(PHONES[0]))
    wait_until(lambda: bridge.states(receipt) == ["updated"], what="an opt-out at one campaign")
    assert not sandbox.leads("camp_two")[PHONES[0]].do_not_call

    if moment == "before it starts again":
        assert bridge.worker is not None
        bridge.worker.terminate()
        assert bridge.worker.ended() == 0
    write_campaigns(folder, both)
    if moment == "before it starts again":
        bridge.start_worker()
    wait_until(lambda: sandbox.leads("camp_two")[PHONES[0]].do_not_call, what="the opt-out there")
    assert not sandbox.leads("camp_two")[PHONES[1]].do_not_call


def test_an_env_file_that_cannot_be_read_stops_no_webhook(
    sandbox: Sandbox, make_bridge: MakeBridge
) -> None:
    bridge = make_bridge(campaigns=ONE)
    sandbox.put_leads("camp_one", [{"phone_number": phone} for phone in PHONES])
    dotenv = bridge.folder / ".env"
    del bridge.env["CRM_TOKEN"]
    dotenv.write_text(f"CRM_TOKEN={CRM_TOKEN}\n")
    bridge.start_both()
    mapping = Path(bridge.env["BRIDGE_MAPPINGS"]) / "crm.yaml"
    good = mapping.read_text()

    def mappings_check() -> str:
        """What health says, while webhooks go on to be taken."""
        assert bridge.post("crm", opt_out(PHONES[0])).status_code == 200
        reply = bridge.get("/healthz")
        assert reply.status_code == 200
        return str(reply.json()["checks"]["mappings"][0]["status"])

    dotenv.write_bytes(b"CRM_TOKEN=\xff\xfe\x80\n")
    mapping.write_text(good + "# an edit\n")
    wait_until(lambda: mappings_check() == "warn", what="a warning")
    wait_until(lambda: bridge.said("worker", "mappings refused"), what="the worker's word")
    receipt = bridge.deliver("crm", opt_out(PHONES[1]))
    wait_until(lambda: bridge.states(receipt) == ["updated"], what="an update")

    dotenv.write_text(f"CRM_TOKEN={CRM_TOKEN}\n")
    mapping.write_text(good)
    wait_until(lambda: mappings_check() == "pass", what="the end of the warning")
    bridge.wait_settled()
