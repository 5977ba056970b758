"""Replays through real processes: what was lost is found, and nothing newer is ever undone.

Every test has phone numbers of its own on one running bridge.
"""

from __future__ import annotations

import hmac
import itertools
import json
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from bridge_process import Bridge, wait_until
from enrich.rest import Api, Asked, Says
from sandbox_client import Sandbox

from bridge.clock import now_ms
from bridge.model import State
from bridge.steps import replay_control as control
from bridge.store import replays
from bridge.store.replays import ReplayState

from .conftest import ENGINES, bridge_over, shared_database
from .mapping_files import CRM
from .replaying import edit, plan, replay, start, wait

PHONES = (f"+1415555{number:04d}" for number in itertools.count())
LATE = """
source: late
receive:
  verify:
    - bearer: {token: "${CRM_TOKEN}"}
  decode: json
  event_id: [id]
rules:
  - name: everything
    lead: {phone_number: phone, first_name: name}
"""
ROTATING = """
source: rotating
receive:
  verify:
    - bearer: {token: "${CRM_TOKEN}"}
  event_id: [id]
enrich:
  contact:
    url: "${ROTATING_API}/people/{id}"
    oauth:
      url: "${ROTATING_API}/token"
      client_id: client-9
      client_secret: "${ROTATING_SECRET}"
      refresh_token: "${ROTATING_TOKEN}"
      rotates: true
    ids: contact
rules:
  - name: everything
    lead: {phone_number: contact.phone, first_name: name}
"""


@pytest.fixture(scope="module", params=ENGINES)
def engine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory, engine: str) -> Iterator[Sandbox]:
    with Sandbox(tmp_path_factory.mktemp("sandbox"), campaigns=["camp_one"]) as running:
        yield running


@pytest.fixture(scope="module")
def bridge(
    tmp_path_factory: pytest.TempPathFactory,
    sandbox: Sandbox,
    engine: str,
    request: pytest.FixtureRequest,
) -> Iterator[Bridge]:
    with shared_database(engine, request) as over:
        made = bridge_over(
            tmp_path_factory.mktemp("bridge"),
            sandbox,
            campaigns={"one": "camp_one"},
            settings={"BRIDGE_LEASE": "4", "SIGNED_SECRET": "wrong-secret"},
            timeout=1,
            batch_size=20,
            **over,
        )
        with made:
            made.start_both()
            yield made


@pytest.fixture
def phone(sandbox: Sandbox) -> str:
    """A lead that the campaign has."""
    number = next(PHONES)
    sandbox.put_leads("camp_one", [{"phone_number": number, "answered": True}])
    return number


def settle(bridge: Bridge, *events: dict[str, Any]) -> list[str]:
    """Deliver events, each by itself and after the other has ended; their receipts."""
    receipts = []
    for event in events:
        receipts.append(bridge.deliver("crm", {"id": f"{event}", **event}))
        bridge.wait_settled()
    return receipts


def sent(sandbox: Sandbox, phone: str) -> list[dict[str, Any]]:
    """Everything that was sent for a lead, less its number."""
    elements = [e for call in sandbox.calls() if call.elements for e in call.elements]
    return [
        {name: value for name, value in e.items() if name != "phone_number"}
        for e in elements
        if e["phone_number"] == phone
    ]


def test_an_older_opt_in_is_superseded_and_not_sent(
    bridge: Bridge, sandbox: Sandbox, phone: str
) -> None:
    at = now_ms() - 60_000
    _, opt_in = settle(
        bridge,
        {"phone": phone, "at": at + 1, "dnc": True},
        {"phone": phone, "at": at, "dnc": False, "allowed": True},
    )
    assert plan(bridge, receipt=opt_in).updates == {"superseded": 1}
    _, states = replay(bridge, receipt=opt_in)
    assert states == {"superseded": 1}
    assert sandbox.leads("camp_one")[phone].do_not_call
    assert sent(sandbox, phone).count({"do_not_call": False}) == 0
    assert bridge.states(opt_in) == ["superseded", "superseded"]


def test_an_older_opt_out_does_not_undo_a_newer_opt_in(
    bridge: Bridge, sandbox: Sandbox, phone: str
) -> None:
    at = now_ms() - 60_000
    opt_out, _ = settle(
        bridge,
        {"phone": phone, "at": at, "dnc": True},
        {"phone": phone, "at": at + 1, "dnc": False, "allowed": True},
    )
    _, states = replay(bridge, receipt=opt_out)
    assert states == {"superseded": 1}
    assert not sandbox.leads("camp_one")[phone].do_not_call


def test_an_opt_in_that_was_confirmed_once_is_not_said_again(
    bridge: Bridge, sandbox: Sandbox, phone: str
) -> None:
    soon = now_ms() + 120_000
    opt_in, opt_out = settle(
        bridge,
        {"phone": phone, "at": soon, "dnc": False, "allowed": True},
        {"phone": phone, "dnc": True},
    )
    assert bridge.states(opt_out) == ["updated"]
    assert replay(bridge, receipt=opt_in)[1] == {"skipped": 1}
    assert sandbox.leads("camp_one")[phone].do_not_call


def test_the_current_opt_out_is_sent_once_more(
    bridge: Bridge, sandbox: Sandbox, phone: str
) -> None:
    (opt_out,) = settle(bridge, {"phone": phone, "dnc": True})
    sandbox.put_leads("camp_one", [{"phone_number": phone, "do_not_call": False}])
    number, states = replay(bridge, receipt=opt_out)
    assert states == {"updated": 1}
    assert sandbox.leads("camp_one")[phone].do_not_call
    rows = bridge.outcomes(receipt=opt_out)
    assert [(row["replay_id"], row["state"]) for row in rows] == [
        (number, "updated"),
        (0, "updated"),
    ]
    assert rows[0]["accepted_at"] > rows[0]["received_at"] == rows[1]["accepted_at"]


def test_a_corrected_mapping_takes_the_place_of_what_it_said_before(
    bridge: Bridge, sandbox: Sandbox, phone: str
) -> None:
    details = {"first_name": "WRONG", "last_name": "Roe", "nick": "Jane"}
    (receipt,) = settle(bridge, {"phone": phone, "details": details})
    wrong = bridge.outcomes(receipt=receipt)[0]["version"]
    edit(bridge, "crm", CRM.replace("details.first_name", "details.nick"))
    try:
        made = plan(bridge, receipt=receipt)
        assert made.updates == {"to_send": 1}
        assert made.difference.leads == {"changed": 1}
        assert made.difference.examples[0]["leads"][0]["fields"] == [
            {"field": "first_name", "before": "WRONG", "after": "Jane"}
        ]
        assert replay(bridge, receipt=receipt)[1] == {"updated": 1}
        assert sandbox.leads("camp_one")[phone].first_name == "Jane"
        first_way = bridge.outcomes(receipt=receipt)[-1]
        assert (first_way["fields"]["first_name"], first_way["state"]) == ("WRONG", "updated")

        assert plan(bridge, receipt=receipt, mapping="original").difference.leads == {"changed": 1}
        assert replay(bridge, receipt=receipt, mapping=wrong)[1] == {"updated": 1}
        assert sandbox.leads("camp_one")[phone].first_name == "WRONG"
        assert bridge.outcomes(receipt=receipt)[0]["version"] == wrong
    finally:
        edit(bridge, "crm", CRM)


def test_what_could_not_be_read_is_found_by_a_corrected_mapping(
    bridge: Bridge, sandbox: Sandbox, phone: str
) -> None:
    edit(bridge, "late", LATE)
    body = json.dumps([{"id": f"{phone} {n}", "phone": phone, "name": f"n{n}"} for n in (1, 2)])
    dead = bridge.deliver("late", body.replace("[", "<", 1).encode())
    bridge.wait_settled()
    assert bridge.states(dead) == ["dead"]
    assert replay(bridge, source="late", states=(State.DEAD,))[1] == {"dead": 1}
    assert plan(bridge, source="late", states=(State.DEAD,)).problems

    # the same bytes can be read as a form: an event without a phone number
    edit(bridge, "late", LATE.replace("decode: json", "decode: form"))
    assert replay(bridge, source="late", states=(State.DEAD,))[1] == {"skipped": 1}
    assert plan(bridge, source="late", states=(State.DEAD,)).deliveries == 0
    edit(bridge, "late", LATE)

    lost = LATE.replace("phone_number: phone", "phone_number: {from: wrong, to: e164}")
    edit(bridge, "late", lost)
    skipped = bridge.deliver("late", body.encode())
    bridge.wait_settled()
    assert bridge.states(skipped) == ["skipped", "skipped"]
    edit(bridge, "late", LATE)
    assert replay(bridge, receipt=skipped, mapping="original")[1] == {"skipped": 2}
    _, states = replay(bridge, receipt=skipped)
    assert states["updated"] >= 1
    assert sum(states.values()) == 2
    assert sandbox.leads("camp_one")[phone].first_name in ("n1", "n2")


def test_a_replay_looks_up_where_refresh_tokens_end_with_their_use(
    bridge: Bridge, phone: str
) -> None:
    """By the tokens that all workers share; else each event of such a CRM would end as dead."""
    live = ["first"]

    def answer(asked: Asked) -> Says:
        if asked.path != "/token":
            accepted = asked.headers["authorization"] == f"Bearer access-{live[-1]}"
            return Says(200, {"id": "7", "phone": phone}) if accepted else Says(401, {})
        if asked.form["refresh_token"] != live[-1]:
            return Says(400, {"error": "invalid_grant"})
        live.append(f"refresh-{len(live)}")
        token = live[-1]
        return Says(200, {"access_token": f"access-{token}", "refresh_token": token})

    api = Api(answer)
    try:
        (bridge.folder / ".env").write_text(
            f"ROTATING_API={api.url}\nROTATING_SECRET=secret-9\nROTATING_TOKEN=first\n"
        )
        edit(bridge, "rotating", ROTATING)
        receipt = bridge.deliver("rotating", {"id": phone, "contact": 7, "name": "Jo"})
        bridge.wait_settled()
        assert bridge.states(receipt) == ["updated"]
        assert replay(bridge, receipt=receipt)[1] == {"updated": 1}
    finally:
        api.stop()


def test_a_mark_is_sent_only_if_asked_and_never_twice(
    bridge: Bridge, sandbox: Sandbox, phone: str
) -> None:
    no_marks = CRM.replace("mark_as_unanswered: {value: true}", "last_name: {value: Roe}")
    (done,) = settle(bridge, {"phone": phone, "again": True})
    assert [e for e in sent(sandbox, phone) if "mark_as_unanswered" in e] == [
        {"mark_as_unanswered": True}
    ]
    assert replay(bridge, receipt=done)[1] == {"skipped": 1}
    assert replay(bridge, receipt=done, marks=True)[1] == {"skipped": 1}

    edit(bridge, "crm", no_marks)
    (never,) = settle(bridge, {"phone": phone, "again": True, "second": 1})
    edit(bridge, "crm", CRM)
    assert replay(bridge, receipt=never)[1] == {"skipped": 1}
    assert plan(bridge, receipt=never, marks=True).marks == 1
    assert replay(bridge, receipt=never, marks=True)[1] == {"updated": 1}
    assert replay(bridge, receipt=never, marks=True)[1] == {"skipped": 1}
    assert sum("mark_as_unanswered" in e for e in sent(sandbox, phone)) == 2


def test_a_killed_worker_a_cancel_and_live_traffic_leave_each_event_replayed_once(
    bridge: Bridge, sandbox: Sandbox
) -> None:
    count = 240
    phones = [next(PHONES) for _ in range(count)]
    sandbox.put_leads("camp_one", [{"phone_number": phone} for phone in phones])
    since = now_ms()
    receipts = [
        bridge.deliver("crm", {"id": f"many {p}", "phone": p, "details": {"first_name": "Old"}})
        for p in phones
    ]
    bridge.wait_settled()
    until = now_ms()
    number = start(bridge, since=since, until=until, source="crm", rate=2)

    def done() -> int:
        return control.report_of(bridge.database, number).replay.deliveries_done

    wait_until(lambda: done() > 0, what="the beginning of the replay")
    for worker in list(bridge.workers):
        bridge.workers[worker].kill()
        bridge.start_worker(worker, ready=False)
    # what comes meanwhile is not held up, and is newer
    live = [
        bridge.deliver("crm", {"id": f"live {p}", "phone": p, "details": {"first_name": "New"}})
        for p in phones[:20]
    ]
    opt_out = bridge.deliver("crm", {"id": f"out {phones[-1]}", "phone": phones[-1], "dnc": True})
    wait_until(lambda: bridge.states(opt_out) == ["updated"], what="an opt-out beside a replay")
    before = done()
    wait_until(lambda: done() > before, what="a replay that goes on")
    control.cancel(bridge.database, number)
    report = wait(bridge, number)
    assert report.replay.state is ReplayState.CANCELLED
    stopped_at = report.replay.deliveries_done
    assert 0 < stopped_at < count
    assert sum(report.states.values()) == stopped_at

    assert control.resume(bridge.database, number, rate=1000) is ReplayState.RUNNING
    report = wait(bridge, number)
    assert report.replay.state is ReplayState.DONE
    assert (report.replay.deliveries, report.replay.deliveries_done) == (count, count)
    assert sum(report.states.values()) == count
    bridge.wait_settled()
    rows = [row for row in bridge.outcomes() if row["replay_id"] == number]
    assert sorted(row["receipt"] for row in rows) == sorted(receipts)
    assert {row["state"] for row in rows} <= {"updated", "superseded"}
    leads = sandbox.leads("camp_one")
    assert [leads[p].first_name for p in phones] == ["New"] * 20 + ["Old"] * (count - 20)
    assert leads[phones[-1]].do_not_call
    assert all(bridge.states(receipt)[0] == "updated" for receipt in live)
    assert all(
        [row["replay_id"] for row in bridge.outcomes(receipt=receipt)] == [number, 0]
        for receipt in receipts[:5]
    )


def test_the_command_shows_a_plan_first_and_runs_only_when_told(
    bridge: Bridge, sandbox: Sandbox, phone: str
) -> None:
    (receipt,) = settle(bridge, {"phone": phone, "details": {"first_name": "Ann"}})
    nothing = bridge.call("replay")
    assert (nothing.returncode, "say what to replay" in nothing.stderr) == (2, True)
    shown = bridge.call("replay", "--receipt", receipt, "--json")
    assert shown.returncode == 0, shown.stderr
    assert json.loads(shown.stdout)["updates"] == {"to_send": 1}
    assert "Nothing was done" in bridge.call("replay", "--receipt", receipt).stdout
    assert bridge.states(receipt) == ["updated"]
    assert bridge.call("replay", "--receipt", "f" * 32).returncode == 1
    run = bridge.run("replay", "--receipt", receipt, "--run", "--json")
    assert run.returncode == 0, run.stderr
    report = json.loads(run.stdout)
    assert (report["state"], report["outcomes"], report["settled"]) == (
        "done",
        {"updated": 1},
        True,
    )
    assert bridge.states(receipt) == ["updated", "updated"]
    again = bridge.call("replay", "resume", str(report["id"]))
    assert (again.returncode, "is done" in again.stderr) == (2, True)
    listed = json.loads(bridge.call("replay", "list", "--json").stdout)
    assert listed[0]["id"] == report["id"]


def test_ctrl_c_cancels_the_replay_and_says_how_to_go_on(bridge: Bridge, phone: str) -> None:
    settle(bridge, {"phone": phone, "details": {"first_name": "Ann"}})
    bridge.deliver("crm", {"phone": phone, "details": {"first_name": "Bob"}})
    bridge.deliver("crm", {"phone": phone, "details": {"first_name": "Eve"}})
    bridge.wait_settled()
    with bridge.database.read() as connection:
        before = [one.id for one in replays.listing(connection, before=None, limit=1)]
    options = ("--source", "crm", "--run", "--rate", "0.01")
    command = bridge.start("replay", [sys.executable, "-m", "bridge.cli", "replay", *options])

    def begun() -> int | None:
        assert command.status is None, bridge.log("replay")
        with bridge.database.read() as connection:
            found = replays.listing(connection, before=None, limit=1)
        going_on = [one.id for one in found if one.deliveries_done > 0 and [one.id] != before]
        return going_on[0] if going_on else None

    number = wait_until(begun, what="a replay that has begun")
    os.kill(command.pid, signal.SIGINT)
    assert command.ended() == 1
    assert f"crm-bridge replay resume {number}" in bridge.log("replay")
    report = wait(bridge, number)
    assert report.replay.state is ReplayState.CANCELLED
    assert report.replay.deliveries_done < report.replay.deliveries


def test_a_refusal_whose_secret_was_wrong_is_taken_in_and_goes_the_whole_way(
    bridge: Bridge, sandbox: Sandbox, phone: str
) -> None:
    signed = LATE.replace("late", "signed").replace(
        'bearer: {token: "${CRM_TOKEN}"}', 'hmac: {secret: "${SIGNED_SECRET}", header: X-Signature}'
    )
    edit(bridge, "signed", signed)
    body = json.dumps({"id": phone, "phone": phone, "name": "Late"}).encode()
    signature = hmac.new(b"right-secret", body, "sha256").hexdigest()

    def refused() -> bool:
        status = bridge.post("signed", body, **{"X-Signature": signature}).status_code
        assert status in (401, 404)  # a web process looks at its files once a second
        return status == 401

    wait_until(refused, what="a web process that knows the source")
    verify = ("refusals", "verify", "--source", "signed", "--json")
    assert bridge.call(*verify).returncode == 1
    planned = bridge.call(*verify, SIGNED_SECRET="right-secret")
    assert planned.returncode == 0, planned.stderr
    assert json.loads(planned.stdout)["passed"] == {"signed": 1}
    done = bridge.run(*verify, "--run", SIGNED_SECRET="right-secret")
    assert json.loads(done.stdout)["taken_in"] == {"signed": 1}
    (receipt,) = json.loads(done.stdout)["receipts"]
    wait_until(lambda: bridge.states(receipt) == ["updated"], what="an update")
    assert sandbox.leads("camp_one")[phone].first_name == "Late"
    assert not [row for row in bridge.refusals() if row["source"] == "signed"]


def test_a_shadow_shows_what_an_edit_would_change_and_writes_nothing(
    bridge: Bridge, sandbox: Sandbox, phone: str
) -> None:
    (receipt,) = settle(bridge, {"phone": phone, "details": {"first_name": "Ann", "nick": "A"}})
    other = bridge.folder / "other.yaml"
    other.write_text(CRM.replace("details.first_name", "details.nick"))
    same = bridge.call("mapping", "shadow", "crm", "--days", "1", "--json")
    assert (same.returncode, json.loads(same.stdout)["events_that_differ"]) == (0, 0)
    calls = len(sandbox.calls())
    run = bridge.run("mapping", "shadow", "crm", "--to", str(other), "--json", "--examples", "1000")
    assert run.returncode == 1, run.stderr
    found = json.loads(run.stdout)
    (example,) = [one for one in found["examples"] if one["receipt"] == receipt]
    assert example["leads"][0]["fields"] == [{"field": "first_name", "before": "Ann", "after": "A"}]
    assert len(sandbox.calls()) == calls
    assert bridge.states(receipt) == ["updated"]
    assert bridge.call("mapping", "shadow", "nobody").returncode == 2

    case = {"name": "a nick", "payload": {"phone": phone, "details": {"nick": "A"}}, "expect": []}
    cases = Path(bridge.env["BRIDGE_MAPPINGS"]) / "crm.cases.yaml"
    cases.write_text(json.dumps([case]))
    run = bridge.run("mapping", "diff", "crm", "--to", str(other), "--json")
    assert run.returncode == 1, run.stderr
    assert json.loads(run.stdout)["states"] == {"skipped → updates": 1}
    run = bridge.call("mapping", "diff", "crm", "--from", str(other), "--to", str(other))
    assert (run.returncode, "0 would end differently" in run.stdout) == (0, True)
