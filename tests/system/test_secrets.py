"""Secrets stand nowhere; phone numbers and e-mail addresses only masked: in logs and in answers.

One long scenario at the finest log level, with every fault that has something to say.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import httpx
from bridge_process import wait_until
from sandbox_client import Sandbox

from bridge.clock import now_ms

from .conftest import CAMPAIGNS, MakeBridge
from .mapping_files import write_mappings

SHIPPED = Path(__file__).parents[2] / "mappings"
PHONES = [f"+14155558{number:03d}" for number in range(20)]
MAILS = ["jane.doe@example.com", "someone@else.example.org", "broken@exa_mple.com"]
SECRETS = {
    "CRM_TOKEN": "crm-bearer-3f9c2a",
    "BRIDGE_API_TOKEN": "api-token-77ab01-live",
    "BRIDGE_API_TOKEN_PREVIOUS": "api-token-11cd02-old",
    "HUBSPOT_CLIENT_SECRET": "hubspot-client-5b5b5b",
    "HUBSPOT_ACCESS_TOKEN": "pat-na1-8c8c8c-contacts",
    "PATH_TOKEN": "path-token-9e9e9e",
    "BRIDGE_CONSOLE_TOKEN": "console-token-4d4d4d",
}
IN_PATH = """
source: bypath
title: A sender that keeps its secret in the URL
receive:
  verify:
    - path: {token: "${PATH_TOKEN}"}
    - query: {name: key, token: "${PATH_TOKEN}"}
rules:
  - name: opt-out
    channel: voice
    lead: {phone_number: phone, do_not_call: {value: true}, email: email}
"""


def test_no_secret_and_no_person_in_any_line_or_answer(
    tmp_path: Path, sandbox: Sandbox, make_bridge: MakeBridge
) -> None:
    sandbox.kill()
    api = Sandbox(
        tmp_path,
        *(f"--campaign={campaign}" for campaign in CAMPAIGNS.values()),
        token=SECRETS["BRIDGE_API_TOKEN_PREVIOUS"],
        hubspot_token=SECRETS["HUBSPOT_ACCESS_TOKEN"],
    )
    with api:
        answers, written = _scenario(tmp_path, api, make_bridge)
    texts = {**answers, **written}
    hidden = [*SECRETS.values(), *MAILS, *PHONES, *(phone[1:] for phone in PHONES)]
    hidden += [f"({p[2:5]}) {p[5:8]}-{p[8:]}" for p in PHONES]
    found = [(name, one) for name, text in texts.items() for one in hidden if one in text]
    assert not found
    # what is scanned is what was meant to be scanned
    assert written["worker.log"].count('"message":"outcome"') > 20
    assert "look-ups postponed" in written["worker.log"]
    assert "campaign condition" in written["worker.log"]
    assert '"message":"refused"' in written["web.log"]
    assert "not stored" in written["web.log"]


def _scenario(
    folder: Path, api: Sandbox, make_bridge: MakeBridge
) -> tuple[dict[str, str], dict[str, str]]:
    """Everything that was answered and logged, by name."""
    mappings = write_mappings(folder / "mappings", CAMPAIGNS)
    shutil.copy(SHIPPED / "hubspot.yaml", mappings)
    (mappings / "bypath.yaml").write_text(IN_PATH)
    bridge = make_bridge(
        mappings=mappings,
        settings={
            **SECRETS,
            "BRIDGE_API_URL": api.url,
            "HUBSPOT_API_URL": api.url,
            "BRIDGE_LOG_LEVEL": "debug",
            "BRIDGE_PUBLIC_URL": "https://hooks.example.com",
        },
    )
    for campaign in CAMPAIGNS.values():
        api.put_leads(campaign, [{"phone_number": phone} for phone in PHONES[:15]])
    api.put_contacts([{"id": str(n), "properties": {"phone": p}} for n, p in enumerate(PHONES)])
    echo = {"error": f"{PHONES[0]} {MAILS[0]} Bearer {SECRETS['BRIDGE_API_TOKEN']}"}
    api.behave(
        {"mode": "status", "status": 503, "body": echo},
        {"mode": "status", "status": 403, "body": echo},
        {"mode": "429", "retry_after": 0},
        {"mode": "close_after"},
        {"mode": "truncated"},
        {"mode": "foreign"},
        {"mode": "not_json"},
    )
    api.behave({"mode": "status", "status": 500, "body": echo}, {"mode": "not_json"}, hubspot=True)
    bridge.start_both()
    answers: dict[str, str] = {}

    def note(name: str, reply: httpx.Response) -> None:
        answers[name] = f"{reply.headers!r} {reply.text}"

    token = SECRETS["CRM_TOKEN"]
    events: list[Any] = [
        *({"phone": phone, "dnc": True} for phone in PHONES),
        {"phone": PHONES[1], "details": {"email": MAILS[0], "first_name": MAILS[1]}},
        {"phone": PHONES[2], "details": {"email": MAILS[2]}},
        {"phone": f"{PHONES[3]}0000{PHONES[4]}", "dnc": True},
        {"phone": f"call {MAILS[0]}", "dnc": True},
        {"phone": PHONES[5], "details": {"email": f"{MAILS[0]} or {MAILS[1]}"}},
        {"phone": PHONES[6], "dnc": True, "to": [PHONES[7], MAILS[0]]},
        {"phone": PHONES[7], "at": f"{PHONES[7]} {MAILS[1]}", "dnc": True},
    ]
    note("accepted", bridge.post("crm", events, token=token))
    note("undecodable", bridge.post("crm", f"[{PHONES[0]} {MAILS[0]}".encode(), token=token))
    note("latin", bridge.post("crm", f"{MAILS[0]} \xe9".encode("latin-1"), token=token))
    note("wrong token", bridge.post("crm", events, token=SECRETS["PATH_TOKEN"]))
    note("in the path", bridge.post(f"bypath/{SECRETS['PATH_TOKEN']}", {"phone": PHONES[0]}))
    note("in the query", bridge.post(f"bypath?key={SECRETS['PATH_TOKEN']}", {"phone": "?"}))
    note("wrong path", bridge.post(f"bypath/x{SECRETS['PATH_TOKEN']}", {"phone": PHONES[0]}))
    changes = [
        {
            "portalId": 1,
            "subscriptionType": "contact.propertyChange",
            "objectId": number,
            "propertyName": "email" if number % 2 else "do_not_call",
            "propertyValue": MAILS[0] if number % 2 else "true",
            "occurredAt": now_ms(),
        }
        for number in range(25)
    ]
    note("signed", bridge.post_signed("hubspot", changes))
    note("spoilt", bridge.post_signed("hubspot", changes, spoil=True))
    note("too large", bridge.post("crm", b" " * 2_000_001, token=token))
    note("unknown", bridge.post(f"{MAILS[0]}", {}, token=token))
    note("unset", bridge.post("unset", {}, token=token))
    bridge.wait_settled()
    with bridge.database.write():
        note("busy", bridge.post("crm", events, token=token))
    for path in ("/livez", "/readyz", "/healthz", "/metrics", "/console/", "/api/outcomes", "/"):
        note(path, bridge.get(path))
    wait_until(lambda: bridge.get("/readyz").status_code == 200, what="recovery")
    operator = {"Authorization": f"Bearer {SECRETS['BRIDGE_CONSOLE_TOKEN']}"}
    for path in ("/readyz", "/healthz", "/metrics"):
        note(f"{path} for the operator", bridge.get(path, **operator))
    done = bridge.call("settings")
    answers["settings"] = done.stdout + done.stderr
    for group in (bridge.worker, bridge.web):
        assert group is not None
        group.terminate()
        group.ended()
    return answers, {path.name: path.read_text() for path in folder.glob("*.log")}
