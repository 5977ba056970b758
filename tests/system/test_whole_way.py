"""From the CRM's signed webhook to the lead in the campaign, through real processes.

The mapping files are the shipped ones; HighLevel's public key is set to one made here.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from bridge_process import CRM_TOKEN, Bridge, wait_until
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from sandbox_client import Sandbox

from bridge.clock import now_ms

from .conftest import CAMPAIGNS, ENGINES, bridge_over, shared_database
from .mapping_files import write_campaigns

SHIPPED = Path(__file__).parents[2] / "mappings"
PORTAL = 48975575


@pytest.fixture(scope="module")
def ghl_key() -> Ed25519PrivateKey:
    return Ed25519PrivateKey.generate()


@pytest.fixture(scope="module", params=ENGINES)
def engine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory, engine: str) -> Iterator[Sandbox]:
    """One for each engine, since the tests count what was sent."""
    folder = tmp_path_factory.mktemp("sandbox")
    with Sandbox(folder, campaigns=list(CAMPAIGNS.values())) as running:
        yield running


@pytest.fixture(scope="module")
def bridge(
    tmp_path_factory: pytest.TempPathFactory,
    sandbox: Sandbox,
    ghl_key: Ed25519PrivateKey,
    engine: str,
    request: pytest.FixtureRequest,
) -> Iterator[Bridge]:
    folder = tmp_path_factory.mktemp("bridge")
    mappings = folder / "mappings"
    mappings.mkdir()
    for name in ("hubspot", "hubspot-workflow", "gohighlevel", "generic"):
        shutil.copy(SHIPPED / f"{name}.yaml", mappings)
    public = ghl_key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    write_campaigns(mappings, CAMPAIGNS)
    settings = {
        "BRIDGE_PUBLIC_URL": "https://hooks.example.com",
        "HUBSPOT_CLIENT_SECRET": "hubspot-client-secret-for-tests",
        "HUBSPOT_ACCESS_TOKEN": sandbox.hubspot_token,
        "HUBSPOT_API_URL": sandbox.url,
        "GENERIC_TOKEN": CRM_TOKEN,
        "GHL_PUBLIC_KEY": public.hex(),
        "BRIDGE_LOOKUP_SETTLE": "20",
    }
    with (
        shared_database(engine, request) as over,
        bridge_over(folder, sandbox, mappings=mappings, settings=settings, **over) as made,
    ):
        made.start_both()
        yield made


def known_lead(sandbox: Sandbox, phone: str, **fields: Any) -> str:
    """The same lead in every campaign."""
    for campaign in CAMPAIGNS.values():
        sandbox.put_leads(campaign, [{"phone_number": phone, **fields}])
    return phone


def everywhere(sandbox: Sandbox, phone: str, field: str) -> list[Any]:
    """The values of a field of this lead in every campaign."""
    return [getattr(sandbox.leads(campaign)[phone], field) for campaign in CAMPAIGNS.values()]


def sent_for(sandbox: Sandbox, phone: str) -> list[dict[str, Any]]:
    """Every element that any call carried for this lead."""
    return [
        element
        for call in sandbox.calls()
        for element in call.elements
        if element["phone_number"] == phone
    ]


def property_change(contact: str, name: str, value: str, at: int) -> dict[str, Any]:
    """One event of a HubSpot app, as HubSpot documents it."""
    return {
        "eventId": 1,
        "subscriptionId": 25,
        "portalId": PORTAL,
        "appId": 1160452,
        "occurredAt": at,
        "subscriptionType": "contact.propertyChange",
        "attemptNumber": 0,
        "objectId": int(contact),
        "propertyName": name,
        "propertyValue": value,
        "changeSource": "CRM_UI",
    }


def test_a_hubspot_opt_out_reaches_every_campaign_by_way_of_a_look_up(
    bridge: Bridge, sandbox: Sandbox
) -> None:
    phone = known_lead(sandbox, "+14155550101")
    sandbox.put_contacts([{"id": "101", "properties": {"phone": "(415) 555-0101"}}])
    reply = bridge.post_signed(
        "hubspot",
        [
            property_change("101", "do_not_call", "true", now_ms()),
            property_change("101", "firstname", "Jane", now_ms()),
        ],
    )
    assert reply.status_code == 200
    bridge.wait_settled()
    assert bridge.states(reply.json()["receipt"]) == ["updated"] * 4
    assert everywhere(sandbox, phone, "do_not_call") == [True, True]
    assert everywhere(sandbox, phone, "first_name") == ["Jane", "Jane"]


def test_a_contact_that_the_crm_shows_only_later_is_waited_for(
    bridge: Bridge, sandbox: Sandbox
) -> None:
    phone = known_lead(sandbox, "+14155550109")
    event = property_change("109", "do_not_call", "true", now_ms())
    receipt = bridge.post_signed("hubspot", [event]).json()["receipt"]

    def looked_up() -> bool:
        reads = sandbox.calls(endpoint="batch_read")
        return any({"id": "109"} in call.elements["inputs"] for call in reads)

    wait_until(looked_up, what="a look-up")
    assert bridge.outcomes(receipt=receipt) == []
    sandbox.put_contacts([{"id": "109", "properties": {"phone": phone}}])
    bridge.wait_settled()
    assert bridge.states(receipt) == ["updated", "updated"]
    assert everywhere(sandbox, phone, "do_not_call") == [True, True]


def test_a_highlevel_webhook_is_verified_by_its_public_key(
    bridge: Bridge, sandbox: Sandbox, ghl_key: Ed25519PrivateKey
) -> None:
    phone = known_lead(sandbox, "+14155550102")
    payload = {
        "type": "ContactDndUpdate",
        "locationId": "ve9EPM428h8vShlRW1KT",
        "id": "nmFmQEsNgz6AVpgLVUJ0",
        "phone": "+1 415-555-0102",
        "dnd": False,
        "dndSettings": {"Call": {"status": "active"}},
        "timestamp": "2026-03-03T20:20:09.768Z",
        "webhookId": "11111111-2222-4333-8444-000000000102",
    }
    private = ghl_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    reply = bridge.post_signed("gohighlevel", payload, key=private)
    assert reply.status_code == 200, reply.text
    bridge.wait_settled()
    assert everywhere(sandbox, phone, "do_not_call") == [True, True]

    stranger = Ed25519PrivateKey.generate().private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    )
    assert bridge.post_signed("gohighlevel", payload, key=stranger).status_code == 401


def test_a_hubspot_workflow_needs_no_look_up(bridge: Bridge, sandbox: Sandbox) -> None:
    phone = known_lead(sandbox, "+14155550103", answered=True)
    payload = {"phone": "415 555 0103", "do_not_call": "true", "firstname": " Ann ", "vid": 103}
    reply = bridge.post_signed("hubspot-workflow", payload)
    assert reply.status_code == 200, reply.text
    bridge.wait_settled()
    assert everywhere(sandbox, phone, "do_not_call") == [True, True]
    assert everywhere(sandbox, phone, "first_name") == ["Ann", "Ann"]


def test_anything_that_posts_json_with_a_bearer_token(bridge: Bridge, sandbox: Sandbox) -> None:
    phone = known_lead(sandbox, "+14155550104", answered=True)
    reply = bridge.post(
        "generic",
        {
            "phone": phone,
            "email": "jane@EXAMPLE.com",
            "mark_as_unanswered": True,
            "custom_fields": {"plan": "pro", "seats": 3},
            "event_id": "evt-104",
        },
    )
    assert reply.status_code == 200, reply.text
    bridge.wait_settled()
    assert everywhere(sandbox, phone, "email") == ["jane@example.com"] * 2
    assert everywhere(sandbox, phone, "custom_fields") == [{"plan": "pro", "seats": 3}] * 2
    assert everywhere(sandbox, phone, "requeued") == [1, 1]


def test_a_wrong_signature_is_refused_and_kept(bridge: Bridge, sandbox: Sandbox) -> None:
    phone = known_lead(sandbox, "+14155550105")
    sandbox.put_contacts([{"id": "105", "properties": {"phone": phone}}])
    before = len(bridge.deliveries())
    event = property_change("105", "do_not_call", "true", now_ms())
    replies = [
        bridge.post_signed("hubspot", [event], spoil=True),
        bridge.post("hubspot", [event]),
        bridge.post("generic", {"phone": phone, "do_not_call": True}, token="wrong-token"),
    ]
    assert [reply.status_code for reply in replies] == [401, 401, 401]
    assert {reply.headers["Content-Type"] for reply in replies} == {"application/problem+json"}
    kept = {row["receipt"]: row["reason"] for row in bridge.refusals()}
    for reply in replies:
        receipt = re.search(r"[0-9a-f]{32}", reply.json()["detail"])
        assert receipt
        assert kept[receipt[0]]
    assert len(bridge.deliveries()) == before
    assert bridge.settled()
    assert sent_for(sandbox, phone) == []


def test_a_second_copy_of_an_event_has_no_second_effect(bridge: Bridge, sandbox: Sandbox) -> None:
    phone = known_lead(sandbox, "+14155550106")
    sandbox.put_contacts([{"id": "106", "properties": {"phone": phone}}])
    at = now_ms()
    event = property_change("106", "firstname", "Jane", at)
    first = bridge.post_signed("hubspot", [event]).json()["receipt"]
    bridge.wait_settled()
    # HubSpot repeats an event in another array, with another attemptNumber and eventId
    again = {**event, "attemptNumber": 1, "eventId": 2}
    other = property_change("106", "lastname", "Doe", at)
    second = bridge.post_signed("hubspot", [other, again]).json()["receipt"]
    bridge.wait_settled()
    assert bridge.states(first) == ["updated", "updated"]
    assert bridge.states(second) == ["duplicate", "updated", "updated"]
    names = [sent["first_name"] for sent in sent_for(sandbox, phone) if "first_name" in sent]
    assert names == ["Jane"] * len(CAMPAIGNS)


def test_an_older_event_that_comes_late_is_never_sent(bridge: Bridge, sandbox: Sandbox) -> None:
    phone = known_lead(sandbox, "+14155550107")
    sandbox.put_contacts([{"id": "107", "properties": {"phone": phone}}])
    at = now_ms()
    new = property_change("107", "firstname", "Newer", at)
    old = property_change("107", "firstname", "Older", at - 1)
    bridge.post_signed("hubspot", [new])
    bridge.wait_settled()
    receipt = bridge.post_signed("hubspot", [old]).json()["receipt"]
    bridge.wait_settled()
    assert bridge.states(receipt) == ["superseded", "superseded"]
    assert everywhere(sandbox, phone, "first_name") == ["Newer", "Newer"]
    assert "Older" not in [sent.get("first_name") for sent in sent_for(sandbox, phone)]


def test_an_opt_out_of_an_unknown_lead_stands_until_the_lead_is_there(
    bridge: Bridge, sandbox: Sandbox
) -> None:
    phone = "+14155550108"
    reply = bridge.post("generic", {"phone": phone, "do_not_call": True, "event_id": "evt-108"})
    receipt = reply.json()["receipt"]
    wait_until(lambda: bridge.states(receipt) == ["standing", "standing"], what="standing")
    tries = len(sent_for(sandbox, phone))
    wait_until(lambda: len(sent_for(sandbox, phone)) >= tries + 2, what="further tries")
    assert set(bridge.states(receipt)) <= {"standing", "in_flight"}  # while it is tried again
    known_lead(sandbox, phone)
    wait_until(lambda: bridge.states(receipt) == ["updated", "updated"], what="confirmation")
    assert everywhere(sandbox, phone, "do_not_call") == [True, True]


def test_a_phone_number_that_cannot_be_read_ends_as_dead(bridge: Bridge, sandbox: Sandbox) -> None:
    reply = bridge.post("generic", {"phone": "call me", "do_not_call": True})
    assert reply.status_code == 200
    bridge.wait_settled()
    [row] = bridge.outcomes(receipt=reply.json()["receipt"])
    assert row["state"] == "dead"
    assert "not a phone number" in row["message"]
