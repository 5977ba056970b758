"""A CRM that does not answer look-ups: what waits for it is kept, and health says so."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from bridge_process import wait_until
from sandbox_client import Sandbox

from bridge.clock import now_ms
from bridge.store import queues

from .conftest import CAMPAIGNS, MakeBridge
from .mapping_files import write_campaigns

HUBSPOT = Path(__file__).parents[2] / "mappings" / "hubspot.yaml"
PHONE = "+14155550123"


def opt_out(contact: int) -> dict[str, Any]:
    """One event of a HubSpot app, which names no phone number."""
    return {
        "eventId": 1,
        "subscriptionId": 25,
        "portalId": 48975575,
        "appId": 1160452,
        "occurredAt": now_ms(),
        "subscriptionType": "contact.propertyChange",
        "attemptNumber": 0,
        "objectId": contact,
        "propertyName": "do_not_call",
        "propertyValue": "true",
        "changeSource": "CRM_UI",
    }


def test_health_warns_of_an_opt_out_that_waits_for_its_look_up(
    tmp_path: Path, sandbox: Sandbox, make_bridge: MakeBridge
) -> None:
    mappings = tmp_path / "mappings"
    mappings.mkdir()
    shutil.copy(HUBSPOT, mappings)
    write_campaigns(mappings, CAMPAIGNS)
    for campaign in CAMPAIGNS.values():
        sandbox.put_leads(campaign, [{"phone_number": PHONE}])
    sandbox.put_contacts([{"id": "101", "properties": {"phone": PHONE}}])
    sandbox.behave(hubspot=True, default={"mode": "status", "status": 500})
    bridge = make_bridge(
        mappings=mappings,
        settings={
            "BRIDGE_PUBLIC_URL": "https://hooks.example.com",
            "HUBSPOT_CLIENT_SECRET": "hubspot-client-secret-for-tests",
            "HUBSPOT_ACCESS_TOKEN": sandbox.hubspot_token,
            "HUBSPOT_API_URL": sandbox.url,
        },
    )
    bridge.start_both()

    def look_ups_check() -> str:
        reply = bridge.get("/healthz")
        assert reply.status_code == 200
        return str(reply.json()["checks"]["look_ups"][0]["status"])

    def postponed() -> int:
        """How often the event's look-up has failed."""
        with bridge.database.read() as connection:
            query = "SELECT tries FROM event WHERE state = 'pending'"
            return sum(row[0] for row in connection.exec_driver_sql(query))

    reply = bridge.post_signed("hubspot", [opt_out(101)])
    assert reply.status_code == 200
    wait_until(lambda: postponed() >= 2, what="look-ups that failed")
    assert look_ups_check() == "pass"
    with bridge.database.write() as connection:  # a minute goes by
        connection.exec_driver_sql("UPDATE delivery SET received_at = received_at - 61000")
    wait_until(lambda: look_ups_check() == "warn", what="a warning")
    assert bridge.get("/readyz").status_code == 200
    assert bridge.outcomes() == []

    sandbox.behave(hubspot=True)
    wait_until(lambda: look_ups_check() == "pass", what="the end of the warning")
    with bridge.database.read() as connection:
        assert not queues.look_ups(connection)
    bridge.wait_settled()
    assert bridge.states(reply.json()["receipt"]) == ["updated", "updated"]
