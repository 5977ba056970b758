"""A person who asks to be erased, from the webhook to what is left, with real processes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from bridge_process import Bridge, wait_until
from sandbox_client import Sandbox
from sqlalchemy import text

from .conftest import MakeBridge
from .mapping_files import CRM, write_mappings

PHONE, OTHER = "+14155550123", "+14155550124"
RULE = """
  - name: privacy deletion
    when: gone
    channel: none
    counts_as: voice
    erase: true
    lead:
      phone_number: {all: [_known.phones]}
      do_not_call: {value: true}
"""


def mappings(folder: Path) -> Path:
    made = write_mappings(folder, {"one": "camp_one"})
    contacts = "  contacts: {ids: [person]}\nrules:\n"
    (made / "crm.yaml").write_text(CRM.replace("rules:\n", contacts) + RULE.lstrip("\n"))
    return made


LEFT = """
  - name: left
    when: left
    channel: none
    counts_as: voice
    lead:
      phone_number: {all: [_known.phones]}
      do_not_call: {value: true}
"""


def values(bridge: Bridge, statement: str) -> list[Any]:
    with bridge.database.read() as connection:
        return [tuple(row) for row in connection.execute(text(statement))]


def test_a_privacy_deletion_opts_out_first_and_then_leaves_nothing_else(
    tmp_path: Path, sandbox: Sandbox, make_bridge: MakeBridge
) -> None:
    sandbox.put_leads("camp_one", [{"phone_number": PHONE}, {"phone_number": OTHER}])
    bridge = make_bridge(mappings=mappings(tmp_path / "mappings"))
    bridge.start_both()
    details = {"first_name": "Zebedee"}
    bridge.deliver("crm", {"id": "1", "person": "7", "phone": PHONE, "details": details})
    bridge.deliver("crm", {"id": "2", "person": "7", "note": "Zebedee says nothing to any rule"})
    bridge.deliver("crm", {"id": "3", "person": "8", "phone": OTHER, "details": details})
    bridge.wait_settled()
    last = bridge.deliver("crm", {"id": "4", "person": "7", "gone": True})
    wait_until(
        lambda: values(bridge, "SELECT id FROM erasure WHERE done_at IS NOT NULL"), 120, "the end"
    )
    assert bridge.states(last) == ["updated"]
    bodies = [row[0] for row in values(bridge, "SELECT body FROM delivery ORDER BY id")]
    assert [bool(body) for body in bodies] == [False, False, True, False]
    # of the one who is opted out the consent stays, without a number
    kept = values(bridge, "SELECT contact_id, phones, opted_out FROM contact ORDER BY contact_id")
    assert kept == [("7", "[]", True), ("8", json.dumps([OTHER]), False)]
    ledgers = {p: json.loads(t) for p, t in values(bridge, "SELECT phone, ledger FROM lead")}
    assert ledgers[PHONE]["do_not_call"][0] is True
    assert ledgers[PHONE]["first_name"][0] is None
    assert ledgers[OTHER]["first_name"][0] == "Zebedee"
    assert PHONE not in str(values(bridge, "SELECT phone, fields, message FROM outcome"))
    shown = bridge.call("outcomes", "--phone", PHONE, "--json")
    assert [row["state"] for row in json.loads(shown.stdout)] == ["updated", "updated"]
    done = bridge.run("audit", "--full", "--json")
    assert done.returncode == 0, done.stdout


def test_after_weeks_without_a_worker_an_opt_out_is_taken_in_before_its_numbers_are_forgotten(
    tmp_path: Path, sandbox: Sandbox, make_bridge: MakeBridge
) -> None:
    sandbox.put_leads("camp_one", [{"phone_number": PHONE}])
    folder = mappings(tmp_path / "mappings")
    with (folder / "crm.yaml").open("a") as file:
        file.write(LEFT.lstrip("\n"))
    campaign = {"id": "camp_one", "token": "${LATER}"}
    tuning = {"rate": 1000, "timeout": 5, "linger_ms": 10}
    (folder / "campaigns.yaml").write_text(
        json.dumps({"campaigns": {"one": campaign}, "defaults": tuning})
    )
    bridge = make_bridge(mappings=folder)
    settings = bridge.folder / ".env"
    settings.write_text(f"LATER={sandbox.token}\n")
    bridge.start_both()
    bridge.deliver("crm", {"id": "1", "person": "7", "phone": PHONE})
    worker = bridge.worker
    assert worker is not None
    wait_until(lambda: values(bridge, "SELECT 1 FROM contact"), 30, "the contact")
    bridge.wait_settled()
    worker.terminate()
    assert worker.ended() == 0
    left = bridge.deliver("crm", {"id": "2", "person": "7", "left": True})
    assert bridge.run("erase", "--contact", "7", "--source", "crm").returncode == 1
    with bridge.database.write() as connection:  # and eight days pass
        past = 8 * 86_400_000
        connection.execute(text(f"UPDATE erasure SET requested_at = requested_at - {past}"))
        connection.execute(text(f"UPDATE delivery SET received_at = received_at - {past}"))
        connection.execute(text("UPDATE erasure SET due_at = 0"))
    # the worker that returns looks at the request before it takes anything in
    settings.write_text("")
    bridge.start_worker()
    wait_until(lambda: values(bridge, "SELECT 1 FROM erasure WHERE due_at > 0"), 30, "a look")
    settings.write_text(f"LATER={sandbox.token}\n")
    wait_until(lambda: bridge.states(left) == ["updated"], 30, "the opt-out")
    assert sandbox.leads("camp_one")[PHONE].do_not_call is True
    with bridge.database.write() as connection:
        connection.execute(text("UPDATE erasure SET due_at = 0"))
    wait_until(
        lambda: values(bridge, "SELECT 1 FROM erasure WHERE done_at IS NOT NULL"), 30, "the end"
    )
    assert values(bridge, "SELECT phones, opted_out FROM contact") == [("[]", True)]
