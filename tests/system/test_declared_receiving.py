"""Handshakes, secrets in bodies, tenants, lists and answers, over HTTP on one running bridge."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from bridge_process import Bridge
from sandbox_client import Sandbox

from .conftest import CAMPAIGNS, bridge_over
from .mapping_files import write_mappings

PUBLIC_URL = "https://hooks.example.com"
VECTORS = Path(__file__).parents[1] / "vectors"
SALESFORCE_BODY = (
    (VECTORS / "salesforce-outbound-message.xml")
    .read_bytes()
    .replace(b'<SessionId xsi:nil="true"/>', b"<SessionId>00D!S3CRET</SessionId>")
)
ACK = "<Ack>true</Ack>"

SOURCES = {
    "salesforce": f"""
source: salesforce
receive:
  decode: xml
  lists: [Envelope.Body.notifications.Notification]
  drop: {{body: [Envelope.Body.notifications.SessionId]}}
  verify:
    - all_of:
        - path: {{token: "${{SF_PATH}}"}}
        - equals:
            body: Envelope.Body.notifications.OrganizationId
            value: "${{SF_ORG}}"
            length: 15
  events: Envelope.Body.notifications.Notification
  event_id: [Id]
  event_time: {{from: sObject.LastModifiedDate, format: iso}}
  answer: {{body: "{ACK}", content_type: text/xml; charset=utf-8, busy: 500}}
rules:
  - name: do not call
    when: "sObject.DoNotCall == 'true'"
    channel: voice
    lead:
      phone_number: {{first: [sObject.MobilePhone, sObject.Phone], to: e164, region: US}}
      do_not_call: {{value: true}}
""",
    "zoho": """
source: zoho
receive:
  verify:
    - body: {at: token, token: "${ZOHO_TOKEN}"}
  answer: {refused: 403, too_large: 503}
rules:
  - name: all
    lead: {phone_number: phone, first_name: {first: [token, name]}}
""",
    "monday": """
source: monday
receive:
  verify:
    - jwt: {secret: "${MONDAY_SECRET}"}
  handshakes:
    - challenge: {field: challenge}
  events: "event"
rules:
  - name: all
    lead: {phone_number: phone, first_name: name}
""",
    "mailchimp": """
source: mailchimp
receive:
  decode: nested_form
  verify:
    - path: {token: "${MAILCHIMP_PATH}"}
  handshakes: [get, empty_post]
rules:
  - name: ping
    when: type == 'ping'
    skip: a ping, sent to test the address
  - name: all
    when: type == 'profile'
    lead: {phone_number: "data.merges.PHONE", first_name: "data.merges.FNAME"}
""",
    "keap": """
source: keap
receive:
  verify:
    - path: {token: "${KEAP_PATH}"}
  handshakes:
    - header: {name: X-Hook-Secret}
rules:
  - name: all
    lead: {phone_number: phone, first_name: name}
""",
    "later": """
source: later
receive:
  verify:
    - hmac: {secret: "${SHOWN_AFTER_THE_HANDSHAKE}", header: X-Sig}
  handshakes: [get]
rules:
  - name: all
    lead: {phone_number: phone, first_name: name}
""",
}
SECRETS = {
    "SF_PATH": "sf-path-secret",
    "SF_ORG": "00D5e00000A1bCd",
    "ZOHO_TOKEN": "zoho-verify-token-1",
    "MONDAY_SECRET": "monday-signing-secret-0123456789-0123456789",
    "MAILCHIMP_PATH": "mc-path-secret",
    "KEAP_PATH": "keap-path-secret",
    "BRIDGE_PUBLIC_URL": PUBLIC_URL,
}


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    folder = tmp_path_factory.mktemp("sandbox")
    with Sandbox(folder, campaigns=list(CAMPAIGNS.values())) as running:
        yield running


@pytest.fixture(scope="module")
def bridge(tmp_path_factory: pytest.TempPathFactory, sandbox: Sandbox) -> Iterator[Bridge]:
    folder = tmp_path_factory.mktemp("bridge")
    mappings = write_mappings(folder / "mappings", CAMPAIGNS)
    for name, text in SOURCES.items():
        (mappings / f"{name}.yaml").write_text(text, encoding="utf-8")
    with bridge_over(folder, sandbox, mappings=mappings, settings=SECRETS) as made:
        made.start_both()
        yield made


def post(bridge: Bridge, path: str, body: bytes, **headers: str) -> httpx.Response:
    return httpx.post(
        f"{bridge.url}/hooks/{path}", content=body, headers=headers, timeout=30, trust_env=False
    )


def stored(bridge: Bridge) -> bytes:
    """The whole database as it lies on disk, with what is still in its log."""
    with bridge.database.read() as connection:
        packed = connection.exec_driver_sql("SELECT id FROM delivery WHERE body_size > 0").all()
    assert not packed, "nothing can be looked for in a packed body"
    files = [bridge.folder / name for name in ("bridge.db", "bridge.db-wal")]
    return b"".join(path.read_bytes() for path in files if path.exists())


def states(bridge: Bridge, receipt: str) -> list[str]:
    bridge.wait_settled()
    return bridge.states(receipt)


def test_salesforce(bridge: Bridge, sandbox: Sandbox) -> None:
    for campaign in CAMPAIGNS.values():
        sandbox.put_leads(campaign, [{"phone_number": "+12025550143"}])
    reply = post(bridge, "salesforce/sf-path-secret", SALESFORCE_BODY)
    assert (reply.status_code, reply.text) == (200, ACK)
    assert reply.headers["Content-Type"] == "text/xml; charset=utf-8"
    bridge.wait_settled()
    done = [row for row in bridge.outcomes() if row["source"] == "salesforce"]
    assert sorted(row["state"] for row in done) == ["skipped", "updated", "updated"]
    assert b"00D!S3CRET" not in stored(bridge)
    assert "S3CRET" not in bridge.log("web") + bridge.log("worker")
    other = SALESFORCE_BODY.replace(b"00D5e00000A1bCdEAJ", b"00D5e00000A1bCeEAJ")
    assert post(bridge, "salesforce/sf-path-secret", other).status_code == 401
    assert post(bridge, "salesforce/sf-path-secreT", SALESFORCE_BODY).status_code == 401
    laughs = b'<!DOCTYPE a [<!ENTITY b "c">]>' + SALESFORCE_BODY.partition(b"?>")[2]
    assert post(bridge, "salesforce/sf-path-secret", laughs).status_code == 401
    assert b"00D!S3CRET" not in stored(bridge)


def test_a_token_in_the_body(bridge: Bridge) -> None:
    body = {"token": "zoho-verify-token-1", "phone": "+12025550144", "name": "Ann"}
    good = post(bridge, "zoho", json.dumps(body).encode())
    assert good.status_code == 200
    assert states(bridge, good.json()["receipt"]) == ["not_found", "not_found"]
    for wrong in (
        {**body, "token": "zoho-verify-token-2"},
        {**body, "token": None},
        {"phone": "+12025550144"},
    ):
        refused = post(bridge, "zoho", json.dumps(wrong).encode())
        assert refused.status_code == 403
        assert "WWW-Authenticate" not in refused.headers
    assert post(bridge, "zoho", b"[" * 500_000).status_code == 403
    assert post(bridge, "zoho", b" " * 30_000_000).status_code == 503
    assert b"zoho-verify-token" not in stored(bridge)
    sent = bridge.run("send", "zoho", str(_file(bridge, {"phone": "+12025550145", "name": "Bo"})))
    assert sent.returncode == 0, sent.stdout + sent.stderr


def test_a_challenge_and_a_signed_token(bridge: Bridge) -> None:
    challenge = post(bridge, "monday", b'{"challenge": "abc<b>"}')
    assert (challenge.status_code, challenge.json()) == (200, {"challenge": "abc<b>"})
    assert challenge.headers["X-Content-Type-Options"] == "nosniff"
    event = {"event": {"phone": "+12025550146", "name": "Cy"}}
    assert post(bridge, "monday", json.dumps(event).encode()).status_code == 401
    both = {"challenge": "abc", **event}
    assert post(bridge, "monday", json.dumps(both).encode()).status_code == 401
    good = bridge.post_signed("monday", event)
    assert good.status_code == 200
    assert states(bridge, good.json()["receipt"]) == ["not_found", "not_found"]
    payload = str(_file(bridge, event))
    assert bridge.call("send", "monday", payload).returncode == 0
    spoilt = bridge.call("send", "monday", payload, "--break-signature")
    assert spoilt.returncode == 0, spoilt.stdout + spoilt.stderr
    assert "HTTP 401" in spoilt.stdout


def test_get_and_an_empty_post(bridge: Bridge) -> None:
    for method in ("GET", "HEAD"):
        good = bridge.get("/hooks/mailchimp/mc-path-secret", method)
        assert (good.status_code, good.content) == (200, b"")
        assert bridge.get("/hooks/mailchimp/wrong", method).status_code == 405
        assert bridge.get("/hooks/crm", method).status_code == 405
    assert post(bridge, "mailchimp/mc-path-secret", b"").status_code == 200
    assert post(bridge, "mailchimp/wrong", b"").status_code == 401
    assert bridge.get("/hooks/mailchimp/mc-path-secret", "DELETE").status_code == 405
    before = len(bridge.deliveries())
    ping = post(bridge, "mailchimp/mc-path-secret", b"type=ping")
    assert len(bridge.deliveries()) == before + 1
    assert states(bridge, ping.json()["receipt"]) == ["skipped"]


def test_a_header_comes_back_and_no_delivery_is_lost(bridge: Bridge) -> None:
    before = len(bridge.deliveries())
    hello = post(bridge, "keap/keap-path-secret", b"", **{"X-Hook-Secret": "k1"})
    assert (hello.status_code, hello.headers["X-Hook-Secret"]) == (200, "k1")
    assert len(bridge.deliveries()) == before
    body = b'{"phone": "+12025550147", "name": "Di"}'
    both = post(bridge, "keap/keap-path-secret", body, **{"X-Hook-Secret": "k2"})
    assert (both.status_code, both.headers["X-Hook-Secret"]) == (200, "k2")
    assert states(bridge, both.json()["receipt"]) == ["not_found", "not_found"]
    wrong = post(bridge, "keap/wrong", body, **{"X-Hook-Secret": "k3"})
    assert wrong.status_code == 401
    assert "X-Hook-Secret" not in wrong.headers


def test_a_source_whose_secret_comes_later(bridge: Bridge) -> None:
    assert bridge.get("/hooks/later").status_code == 200
    assert post(bridge, "later", b"{}").status_code == 503


def _file(bridge: Bridge, payload: object) -> Path:
    path = bridge.folder / "payload.json"
    path.write_text(json.dumps(payload), encoding="utf-8")
    return path
