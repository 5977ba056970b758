"""The API: what it finds, how it pages, and that its document and its answers agree."""

from __future__ import annotations

import json
from typing import Any
from unittest import SkipTest

import httpx
import pytest
import requests
import schemathesis
from bridge_process import Bridge, wait_until
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import ignored_auth, negative_data_rejection

from bridge.store import operator_actions

from .conftest import CONFIRMED, MAIL, STANDING, TOKEN, Story, saved

EXAMPLES = 12
"""Calls of each operation."""


def get(api: httpx.Client, path: str, **query: Any) -> Any:
    found = api.get(f"/api/{path}", params=query)
    assert found.status_code == 200, found.text
    return found.json()


def search(api: httpx.Client, text: str) -> Any:
    found = api.post("/api/leads/search", json={"text": text})
    assert found.status_code == 200, found.text
    return found.json()


def test_a_lead_s_story_goes_from_the_raw_webhook_to_the_reply(
    api: httpx.Client, told: Story
) -> None:
    found = search(api, "(415) 555-0103")
    assert (found["understood_as"], found["phones"]) == ("phone", [CONFIRMED])
    assert {lead["campaign"]: lead["verdict"] for lead in found["leads"]} == {
        "one": "confirmed",
        "two": "confirmed",
    }
    story = get(api, f"leads/{found['leads'][0]['id']}")
    [event] = story["events"]
    assert event["receipt"] == told.opt_out
    [one] = [row for row in event["outcomes"] if row["campaign"] == "one"]
    assert [call["status"] for call in one["calls"]] == [503, 200]
    assert [call["became"] for call in one["calls"]] == ["waiting", "updated"]
    assert one["received_at"] <= one["calls"][0]["started_at"] <= one["decided_at"]
    delivery = get(api, f"deliveries/{told.opt_out}")
    assert '"dnc"' in delivery["body"]
    assert delivery["damaged"] is None
    assert "authorization" not in delivery["headers"]
    assert delivery["trace"]["version"] == delivery["version"]
    [traced] = delivery["trace"]["events"]
    assert {update["campaign"] for update in traced["updates"]} == {"one", "two"}


def test_an_opt_out_that_stands_is_never_called_confirmed(api: httpx.Client, told: Story) -> None:
    found = search(api, STANDING)
    assert {lead["verdict"] for lead in found["leads"]} <= {"standing", "on_its_way"}
    assert all(lead["confirmed_at"] is None for lead in found["leads"])


def test_a_lead_is_found_by_e_mail_and_by_contact_id(api: httpx.Client, told: Story) -> None:
    by_mail = search(api, MAIL.upper())
    assert by_mail["understood_as"] == "email"
    assert CONFIRMED in by_mail["phones"]
    # a contact id that reads like a phone number: something is known of the contact
    by_contact = search(api, "4155550142")
    assert by_contact["understood_as"] == "contact"
    assert by_contact["phones"] == ["+14155550106"]
    assert search(api, "nobody@example.com")["events"] == []


def test_an_opt_out_without_a_number_is_found_by_its_contact(
    api: httpx.Client, told: Story
) -> None:
    found = search(api, "contact-77")
    assert (found["phones"], found["leads"]) == ([], [])
    [event] = found["events"]
    assert event["receipt"] == told.no_phone
    assert [row["state"] for row in event["outcomes"]] == ["skipped"]


def test_outcomes_are_filtered_and_paged(api: httpx.Client, told: Story) -> None:
    ids: list[int] = []
    cursor = None
    while True:
        query = {"limit": 7} | ({} if cursor is None else {"cursor": cursor})
        page = get(api, "outcomes", **query)
        ids += [row["id"] for row in page["rows"]]
        cursor = page["cursor"]
        if cursor is None:
            break
        assert len(page["rows"]) == 7
    assert ids == sorted(set(ids), reverse=True)
    assert set(ids) == {row["id"] for row in get(api, "outcomes", limit=500)["rows"]}
    two = get(api, "outcomes", limit=500, campaign="two", state="updated")["rows"]
    assert two
    assert {(row["campaign"], row["state"]) for row in two} == {("two", "updated")}
    dead = get(api, "outcomes", receipt=told.dead)["rows"]
    assert {row["state"] for row in dead} == {"dead"}
    lead = search(api, CONFIRMED)["leads"][0]["id"]
    assert {row["phone"] for row in get(api, "outcomes", lead=lead)["rows"]} == {CONFIRMED}


def test_open_opt_outs_are_told_with_their_calls(api: httpx.Client, told: Story) -> None:
    rows = get(api, "opt-outs")["rows"]
    assert told.standing in {row["receipt"] for row in rows}
    assert all(row["opts_out"] for row in rows)
    assert {row["state"] for row in rows} <= {"waiting", "in_flight", "standing"}
    came = [row["received_at"] for row in rows]
    assert came == sorted(came)
    assert len(get(api, "opt-outs", limit=1)["rows"]) <= 3  # one of each state


def test_the_overview_counts_what_there_is(api: httpx.Client, bridge: Bridge, told: Story) -> None:
    found = get(api, "overview")
    rows = bridge.outcomes()
    for state in ("updated", "dead"):
        count = sum(row["state"] == state for row in rows)
        for period in ("hour", "day", "month"):
            shown = found["figures"][state]["periods"][period]
            assert shown["total"] == sum(shown["steps"]) == count, (state, period)
    accepted = found["figures"]["accepted"]["periods"]["hour"]
    assert sum(accepted["steps"]) == len(bridge.deliveries())
    standing = found["figures"]["standing"]
    assert standing["now"] == sum(row["state"] in ("standing", "in_flight") for row in rows)
    campaigns = {row["name"]: row for row in found["campaigns"]}
    assert campaigns["one"]["updated"] + campaigns["two"]["updated"] == sum(
        row["state"] == "updated" for row in rows
    )
    sources = {row["name"]: row for row in found["sources"]}
    assert sources["crm"]["refused_today"] == 1
    assert sources["unset"]["configured"] is False


def test_mappings_tell_their_state_cases_and_coverage(api: httpx.Client, told: Story) -> None:
    rows = {row["name"]: row for row in get(api, "mappings")["rows"]}
    assert [case["passed"] for case in rows["contacts"]["cases"]] == [True, True]
    assert rows["contacts"]["rules"] == [{"name": "opt-out", "reached": True}]
    assert rows["crm"]["cases"] == []
    assert rows["unset"]["state"] == "not_configured"
    assert rows["unset"]["missing"] == ["NOBODY_SETS_THIS"]


def test_a_draft_is_tried_and_sees_no_secret(
    api: httpx.Client, bridge: Bridge, told: Story
) -> None:
    before = saved(bridge)
    names = ("CRM_TOKEN", "BRIDGE_API_TOKEN", "DATABASE_URL", "HOME", "SHOWN_SETTING")
    wanted = "; ".join(f"{name}=${{{name}}}" for name in names)
    draft = f"""
source: crm
receive:
  verify:
    - bearer: {{token: "${{CRM_TOKEN}}"}}
rules:
  - name: curious
    lead:
      phone_number: phone
      first_name: {{value: "{wanted}"}}
"""
    body = {"source": "crm", "mapping": draft, "payload": '{"phone": "+14155550100"}'}
    found = api.post("/api/mappings/try", json=body)
    assert found.status_code == 200, found.text
    [event] = found.json()["events"]
    name = event["updates"][0]["fields"]["first_name"]
    assert "SHOWN_SETTING=nowhere-secret" in name
    for hidden in names[:4]:
        assert f"{hidden}=test-{hidden}" in name
        assert bridge.env[hidden] not in found.text
    broken = api.post("/api/mappings/try", json={**body, "mapping": "source: [crm"}).json()
    assert [one["code"] for one in broken["mistakes"]] == ["yaml-syntax"]
    assert saved(bridge) == before


def test_a_campaign_is_paused_and_resumed_with_a_line_of_who_did_it(
    api: httpx.Client, bridge: Bridge, told: Story
) -> None:
    headers = {"X-Operator": "night shift"}
    body = {"reason": "holidays", "hold_opt_outs": False}
    paused = api.post("/api/campaigns/two/pause", json=body, headers=headers).json()
    assert paused["paused_by_hand"]["reason"] == "holidays"
    wait_until(lambda: bridge.said("worker", "campaign paused by hand"), what="the worker's word")
    receipt = bridge.deliver("crm", [{"id": "later", "phone": "+14155550110", "again": True}])
    wait_until(lambda: bridge.states(receipt).count("waiting") == 1, what="what is held back")
    resumed = api.post("/api/campaigns/two/resume", headers=headers).json()
    assert resumed["paused_by_hand"] is None
    wait_until(lambda: "waiting" not in bridge.states(receipt), what="the end of the pause")
    with bridge.database.read() as connection:
        lines = operator_actions.listing(connection, subject="two")
    assert [line["action"] for line in lines] == ["campaign.resume", "campaign.pause"]
    assert {line["actor"] for line in lines} == {"night shift (API, 127.0.0.1)"}
    assert api.post("/api/campaigns/three/pause", json=body).status_code == 404


def test_an_opt_out_that_a_pause_holds_says_so(
    api: httpx.Client, bridge: Bridge, told: Story
) -> None:
    phone = "+14155550112"
    body = {"reason": "holidays", "hold_opt_outs": True}
    heard = bridge.said("worker", "campaign paused by hand")
    api.post("/api/campaigns/two/pause", json=body, headers={"X-Operator": "r@example.com"})
    try:
        wait_until(
            lambda: bridge.said("worker", "campaign paused by hand") > heard, what="the pause"
        )
        receipt = bridge.deliver("crm", [{"id": "held", "phone": phone, "dnc": True}])
        wait_until(lambda: bridge.states(receipt).count("updated") == 1, what="campaign one")
        leads = {lead["campaign"]: lead for lead in search(api, phone)["leads"]}
        assert (leads["one"]["verdict"], leads["one"]["held_back"]) == ("confirmed", [])
        two = leads["two"]
        assert (two["verdict"], two["due_at"], two["in_flight"]) == ("held_back", None, False)
        [hold] = two["held_back"]
        assert hold["since"]
        wanted = {"by": "hand", "who": "r@example.com (API, 127.0.0.1)", "reason": "holidays"}
        assert {**hold, **wanted, "opt_outs": True} == hold
        file = api.post("/api/leads/export", json={"text": phone}).text.splitlines()
        [record] = [
            line
            for line in map(json.loads, file)
            if line["kind"] == "lead" and line["campaign"] == "two"
        ]
        assert (record["held_back"], record["due_at"]) == ([hold], None)
    finally:
        api.post("/api/campaigns/two/resume")
    wait_until(lambda: bridge.states(receipt) == ["updated"] * 2, what="the end of the pause")
    leads = {lead["campaign"]: lead for lead in search(api, phone)["leads"]}
    assert (leads["two"]["verdict"], leads["two"]["held_back"]) == ("confirmed", [])


def test_a_replay_is_planned_run_and_watched(
    api: httpx.Client, bridge: Bridge, told: Story
) -> None:
    wanted = {"receipt": told.dead}
    before = get(api, "replays")["rows"]
    plan = api.post("/api/replays/plan", json=wanted).json()
    assert (plan["deliveries"], plan["events"]) == (1, {"dead": 1})
    assert get(api, "replays")["rows"] == before
    number = api.post("/api/replays", json=wanted).json()["id"]

    def report() -> Any:
        return get(api, f"replays/{number}")

    wait_until(lambda: report()["settled"], what="the end of the replay")
    assert report()["outcomes"] == {"dead": 1}
    assert api.post(f"/api/replays/{number}/cancel").status_code == 409
    assert api.post("/api/replays", json={}).status_code == 409
    assert api.get("/api/replays/999999").status_code == 404
    with bridge.database.read() as connection:
        [line] = operator_actions.listing(connection, subject=f"replay {number}")
    assert line["action"] == "replay.run"


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ("limit=0", "limit"),
        ("limit=1_0", "limit"),
        ("cursor=x", "cursor"),
        ("state=gone", "state"),
        ("receipt=1", "receipt"),
        ("campaign=%00", "campaign"),
        ("phone=%2B14155550123", "phone"),
        ("state=dead&state=updated", "state"),
    ],
)
def test_a_parameter_that_is_not_understood_is_named(
    api: httpx.Client, told: Story, query: str, name: str
) -> None:
    found = api.get(f"/api/outcomes?{query}")
    assert found.status_code == 400
    assert found.headers["Content-Type"] == "application/problem+json"
    assert name in found.json()["errors"]["query"]


@pytest.mark.parametrize("mode", list(GenerationMode))
def test_whatever_the_document_allows_or_forbids_is_answered_as_it_says(
    api: httpx.Client, bridge: Bridge, told: Story, mode: GenerationMode
) -> None:
    document = get(api, "openapi.json")
    assert document["openapi"].startswith("3.1")
    schema = schemathesis.openapi.from_dict(document)
    schema.config.update(base_url=bridge.url)
    session = requests.Session()
    session.trust_env = False
    session.headers["Authorization"] = f"Bearer {TOKEN}"
    operations: list[Any] = [found.ok() for found in schema.get_all_operations()]  # type: ignore[union-attr]
    assert len(operations) >= 20
    for operation in operations:
        try:
            strategy = operation.as_strategy(generation_mode=mode)
        except SkipTest:  # nothing about it can be wrong
            continue

        @settings(
            max_examples=EXAMPLES,
            deadline=None,
            derandomize=True,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=strategy)
        def answered(case: Any) -> None:
            # Asked without a token it has to be refused, which is asked of every path elsewhere.
            # Some of what is forbidden leaves no trace on the wire (a header that the session
            # sets, an empty list); what does is asked for by name above.
            case.call_and_validate(
                session=session, excluded_checks=[ignored_auth, negative_data_rejection]
            )

        answered()
