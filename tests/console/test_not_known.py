"""What nobody can know yet is not told as if it were known: no opt-out passes for confirmed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from bridge_process import Bridge, wait_until
from sandbox_client import Sandbox
from system.mapping_files import write_mappings

from .conftest import CAMPAIGNS, TOKEN
from .test_doors import csrf_of, sign_in

PHONE = "+14155550155"
LATER = {**CAMPAIGNS, "later": "${ID_OF_LATER}"}


@pytest.fixture
def quiet(tmp_path: Path, sandbox: Sandbox) -> Iterator[Bridge]:
    """A bridge with a web process alone, and a campaign that is not configured."""
    bridge = Bridge(
        tmp_path,
        mappings=write_mappings(tmp_path / "mappings", LATER),
        api_url=sandbox.url,
        api_token=sandbox.token,
        settings={"BRIDGE_CONSOLE_TOKEN": TOKEN},
    )
    with bridge:
        bridge.start_web()
        yield bridge


@pytest.fixture
def client(quiet: Bridge) -> Iterator[httpx.Client]:
    """Signed in, and with the token of the API."""
    headers = {"Authorization": f"Bearer {TOKEN}"}
    with httpx.Client(base_url=quiet.url, headers=headers, trust_env=False, timeout=60) as found:
        assert sign_in(found).status_code == 303
        yield found


def find(client: httpx.Client) -> str:
    """The page to which the phone number leads."""
    form = {"q": PHONE, "csrf": csrf_of(client.get("/console/leads"))}
    return client.post("/console/leads", data=form, follow_redirects=True).text


def test_an_opt_out_that_nobody_has_taken_in_is_not_told_to_be_confirmed(
    quiet: Bridge, client: httpx.Client
) -> None:
    assert "not taken in yet" not in find(client)
    quiet.deliver("crm", [{"id": "o", "phone": PHONE, "dnc": True}])
    page = client.get("/console/opt-outs").text
    assert "Every opt-out is confirmed" not in page
    assert "None waits, is being sent or stands" in page
    assert 'href="/console/deliveries?waiting=1"' in page
    page = find(client)
    assert "1 delivery is accepted and not taken in yet" in page
    assert 'href="/console/deliveries?waiting=1"' in page
    found = client.post("/api/leads/search", json={"text": PHONE}).json()
    assert (found["leads"], found["not_taken_in"]) == ([], 1)


def test_an_opt_out_of_a_campaign_that_is_not_configured_is_not_on_its_way(
    quiet: Bridge, client: httpx.Client, sandbox: Sandbox
) -> None:
    sandbox.put_leads("camp_one", [{"phone_number": PHONE}])
    quiet.start_worker()
    receipt = quiet.deliver("crm", [{"id": "o", "phone": PHONE, "dnc": True}])
    wait_until(lambda: quiet.states(receipt).count("updated") == 1, what="campaign one")
    page = find(client)
    assert "is on its way" not in page
    assert "its campaign is not configured (set ID_OF_LATER)" in page
    found = client.post("/api/leads/search", json={"text": PHONE}).json()
    told = {lead["campaign"]: lead for lead in found["leads"]}
    assert (told["later"]["verdict"], told["later"]["due_at"]) == ("held_back", None)
    [hold] = told["later"]["held_back"]
    assert (hold["by"], hold["reason"]) == ("settings", "set ID_OF_LATER")
    assert (told["one"]["verdict"], told["one"]["held_back"]) == ("confirmed", [])

    over_http = client.post("/api/leads/export", json={"text": PHONE}).text
    by_command = quiet.call("export", "lead", PHONE).stdout
    for file in (over_http, by_command):
        lines = [json.loads(line) for line in file.splitlines()]
        [later] = [one for one in lines if one["kind"] == "lead" and one["campaign"] == "later"]
        assert (later["verdict"], later["held_back"]) == ("held_back", [hold])
