"""What must hold after a run, whatever was done to the processes and however the API lied."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from bridge_process import Bridge, wait_until
from sandbox_client import Call, Sandbox
from system.oracle import Oracle
from system.story import CAMPAIGNS, Story

from .books import check_books, check_finals_stay, finals

SETTLE_S = 120.0
FAULTS_OF_OURS = ("thread failed", "Traceback", "unexpected fault", "not taken in together")


def judge(
    bridge: Bridge,
    sandbox: Sandbox,
    story: Story,
    receipts: Sequence[str],
    seen: Sequence[Mapping[int, str]] = (),
) -> None:
    """Check everything that was promised. ``seen``: final outcomes at earlier moments.

    Afterwards the leads that the campaigns lacked are there, and their opt-outs confirmed.
    """
    wait_until(bridge.settled, SETTLE_S, lambda: f"the end of all work; open:\n{_open(bridge)}")
    oracle = Oracle(story, bridge, receipts)
    check_books(bridge, story, receipts, oracle.rows)
    oracle.check_accounts(sent_again=True)
    oracle.check_final_state(sandbox)
    oracle.check_unknown_leads()
    oracle.check_winners()
    check_confirmed(oracle.rows, sandbox.calls())

    _obey(sandbox)
    _add_absent_leads(sandbox, story)
    wait_until(
        lambda: bridge.settled(standing=False) and not _busy_leads(bridge),
        SETTLE_S,
        lambda: f"the end of every opt-out that stood; open:\n{_open(bridge)}",
    )
    oracle.check_final_state(sandbox)
    _check_absent_leads(sandbox, story, oracle)
    calls = sandbox.calls()
    oracle.check_calls(calls)
    _check_requeued(sandbox, story, calls)
    now = finals(bridge)
    for before in seen:
        check_finals_stay(before, now)
    check_logs(bridge)
    oracle.check_audit()  # once more, now that nothing stands any longer


def check_confirmed(rows: Sequence[Mapping[str, Any]], calls: Sequence[Call]) -> None:
    """Nothing counts as updated that the API did not do."""
    names = {campaign: name for name, campaign in CAMPAIGNS.items()}
    done: dict[tuple[str, str], set[str]] = defaultdict(set)
    for call in calls:
        if call.applied and call.campaign is not None:
            for element in call.elements:
                done[names[call.campaign], element["phone_number"]] |= _pairs(element)
    for row in rows:
        if row["state"] == "updated":
            wanted = _pairs(row["fields"])
            assert wanted & done[row["campaign"], row["phone"]], f"never done: {row}"


def check_logs(bridge: Bridge) -> None:
    """Nothing went wrong in a way that nobody had thought of."""
    for kind in ("web", "worker"):
        for line in bridge.log(kind).splitlines():
            assert not any(words in line for words in FAULTS_OF_OURS), f"{kind}: {line[:3000]}"


def _pairs(fields: Mapping[str, Any]) -> set[str]:
    """The fields with their values, custom fields one by one."""
    flat = {name: value for name, value in fields.items() if name != "phone_number"}
    flat |= {f"custom_fields.{name}": v for name, v in flat.pop("custom_fields", {}).items()}
    return {f"{name}={json.dumps(value)}" for name, value in flat.items()}


def _obey(sandbox: Sandbox) -> None:
    sandbox.behave()
    for campaign in CAMPAIGNS.values():
        sandbox.behave(campaign=campaign)


def _absent(story: Story) -> list[tuple[str, str]]:
    every = [(name, phone) for name in CAMPAIGNS for phone in story.phones]
    return [place for place in every if place not in story.known]


def _add_absent_leads(sandbox: Sandbox, story: Story) -> None:
    for name, phone in _absent(story):
        sandbox.put_leads(CAMPAIGNS[name], [{"phone_number": phone, "answered": True}])


def _check_absent_leads(sandbox: Sandbox, story: Story, oracle: Oracle) -> None:
    leads = {name: sandbox.leads(campaign) for name, campaign in CAMPAIGNS.items()}
    for name, phone in _absent(story):
        wanted = bool(oracle.wanted(name, phone).get("do_not_call"))
        assert leads[name][phone].do_not_call is wanted, (name, phone, wanted)


OPEN = (
    "SELECT id, receipt, state FROM delivery WHERE state <> 'done'",
    "SELECT * FROM event WHERE state <> 'done'",
    "SELECT * FROM outcome WHERE state IN ('waiting', 'in_flight', 'standing')",
    "SELECT * FROM lead WHERE lane < 9 OR lease_until > 0",
)


def _open(bridge: Bridge) -> str:
    """Everything that has not ended, for people."""
    with bridge.database.read() as connection:
        rows = [row for query in OPEN for row in connection.exec_driver_sql(query).mappings()]
    return "\n".join(str(dict(row)) for row in rows)[:6000]


def _busy_leads(bridge: Bridge) -> int:
    with bridge.database.read() as connection:
        query = "SELECT count(*) FROM lead WHERE lane < 9 OR lease_until > 0"
        return int(connection.exec_driver_sql(query).scalar() or 0)


def _check_requeued(sandbox: Sandbox, story: Story, calls: Sequence[Call]) -> None:
    """Nobody went back into the queue more often than events asked for it."""
    asked: dict[tuple[str, str], int] = defaultdict(int)
    for call in calls:
        for element in call.elements:
            if call.applied and element.get("mark_as_unanswered"):
                asked[str(call.campaign), element["phone_number"]] += 1
    for campaign in CAMPAIGNS.values():
        for phone, lead in sandbox.leads(campaign).items():
            assert lead.requeued <= asked[campaign, phone], (campaign, phone)
