"""The campaign API answers as its reference shows, and changes what it is asked to, no more."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from sandbox_client import Sandbox

from .conftest import Caller, vector

JANE = "+14155552671"
JOHN = "+14155559999"


def test_the_documented_update_gets_the_documented_answer(
    sandbox: Sandbox, caller: Caller, campaign: str
) -> None:
    sandbox.put_leads(campaign, [{"phone_number": JANE}])

    response = caller.update(campaign, vector("voiceaiwrapper-bulk-update-request"))

    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"
    assert response.json() == vector("voiceaiwrapper-bulk-update-response")
    leads = sandbox.leads(campaign)
    assert set(leads) == {JANE}, "an update creates no lead"
    assert (leads[JANE].first_name, leads[JANE].last_name) == ("Jane", "Smith")


def test_only_the_fields_that_were_sent_change(
    sandbox: Sandbox, caller: Caller, campaign: str
) -> None:
    before = {
        "phone_number": JANE,
        "first_name": "Jane",
        "last_name": "Doe",
        "email": "jane@example.com",
        "do_not_call": True,
        "custom_fields": {"plan": "free", "seats": 3},
        "answered": True,
    }
    sandbox.put_leads(campaign, [before])

    caller.update(campaign, [{"phone_number": JANE, "last_name": ""}])
    lead = sandbox.leads(campaign)[JANE]

    assert {name: getattr(lead, name) for name in before} == {**before, "last_name": ""}
    assert lead.changed_by == sandbox.calls()[-1].seq

    caller.update(campaign, [{"phone_number": JANE, "do_not_call": False}])
    assert sandbox.leads(campaign)[JANE].do_not_call is False


@pytest.mark.parametrize(
    ("how", "expected"),
    [("merge", {"plan": "pro", "seats": 3}), ("replace", {"plan": "pro"})],
)
def test_custom_fields_are_merged_or_replaced(
    tmp_path: Path, how: str, expected: dict[str, Any]
) -> None:
    with Sandbox(tmp_path, f"--custom-fields={how}", campaigns=["c"]) as own:
        own.put_leads("c", [{"phone_number": JANE, "custom_fields": {"plan": "free", "seats": 3}}])
        Caller(own).update("c", [{"phone_number": JANE, "custom_fields": {"plan": "pro"}}])
        assert own.leads("c")[JANE].custom_fields == expected


def test_mark_as_unanswered_acts_only_on_an_answered_lead(
    sandbox: Sandbox, caller: Caller, campaign: str
) -> None:
    sandbox.put_leads(campaign, [{"phone_number": JANE, "answered": True}, {"phone_number": JOHN}])
    again = [{"phone_number": phone, "mark_as_unanswered": True} for phone in (JANE, JOHN)]

    for _ in range(2):
        rows = caller.update(campaign, again).json()["results"]
        assert [row["success"] for row in rows] == [True, True]

    leads = sandbox.leads(campaign)
    assert (leads[JANE].answered, leads[JANE].requeued) == (False, 1)
    assert (leads[JOHN].answered, leads[JOHN].requeued) == (False, 0)

    sandbox.put_leads(campaign, [{"phone_number": JANE, "answered": True}])
    caller.update(campaign, [{"phone_number": JANE, "mark_as_unanswered": False}])
    assert sandbox.leads(campaign)[JANE].answered


@pytest.mark.parametrize("awkward", ["Vm9pY2VDYW1wYWlnbjoxMjM=", "a/b+c=/%2F", "ü ?#&"])
def test_a_campaign_id_may_hold_any_character(
    sandbox: Sandbox, caller: Caller, awkward: str
) -> None:
    sandbox.put_campaigns(awkward)
    sandbox.put_leads(awkward, [{"phone_number": JANE}])

    response = caller.update(awkward, [{"phone_number": JANE, "do_not_call": True}])

    assert response.json()["results"][0]["success"] is True
    assert sandbox.leads(awkward)[JANE].do_not_call
    assert sandbox.calls()[-1].campaign == awkward


def test_an_equals_sign_may_stand_in_the_path_as_it_is(sandbox: Sandbox, caller: Caller) -> None:
    sandbox.put_campaigns("Vm9pY2VDYW1wYWlnbjoxMjQ=")
    path = "/api/v2/voice-campaigns/Vm9pY2VDYW1wYWlnbjoxMjQ=/leads/update/bulk"
    assert caller.call("PATCH", path, [{"phone_number": JANE}]).status_code == 200


def test_a_wrong_or_missing_token_is_refused(
    sandbox: Sandbox, caller: Caller, campaign: str
) -> None:
    sandbox.put_leads(campaign, [{"phone_number": JANE}])
    row = [{"phone_number": JANE, "do_not_call": True}]
    path = f"/api/v2/voice-campaigns/{campaign}/leads/update/bulk"

    wrong = caller.update(campaign, row, token="wrong")
    missing = caller.http.patch(path, json=row)
    basic = caller.http.patch(path, json=row, auth=("user", sandbox.token))

    for response in (wrong, missing, basic):
        assert response.status_code == 401
        assert response.json()["status"] == "error"
    assert not sandbox.leads(campaign)[JANE].do_not_call
    assert [call.status for call in sandbox.calls() if call.campaign == campaign] == [401] * 3


def test_an_unknown_campaign_is_not_found(caller: Caller) -> None:
    response = caller.update("camp_nowhere", [{"phone_number": JANE}])
    assert response.status_code == 404
    assert response.json() == {"status": "error", "message": "Campaign not found"}


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ([], 400),
        ({"phone_number": JANE}, 400),
        (b"[{", 400),
        (b"", 400),
        (b'[{"phone_number": NaN}]', 400),
        (b"\xff", 400),
        (b"[" * 100_000, 400),
        (b'[{"phone_number": "+14155552671", "first_name": "\\uD83D"}]', 400),
    ],
)
def test_a_body_that_is_no_array_of_leads_is_refused(
    caller: Caller, campaign: str, body: Any, status: int
) -> None:
    response = caller.update(campaign, body)
    assert response.status_code == status
    assert response.json()["message"]


@pytest.mark.parametrize(
    ("element", "field"),
    [
        ({"first_name": "Jane"}, "phone_number"),
        ({"phone_number": ""}, "phone_number"),
        ({"phone_number": 14155552671}, "phone_number"),
        ({"phone_number": JANE, "do_not_call": "true"}, "do_not_call"),
        ({"phone_number": JANE, "do_not_call": 1}, "do_not_call"),
        ({"phone_number": JANE, "do_not_call": None}, "do_not_call"),
        ({"phone_number": JANE, "mark_as_unanswered": 0}, "mark_as_unanswered"),
        ({"phone_number": JANE, "email": "jane at example.com"}, "email"),
        ({"phone_number": JANE, "email": ""}, "email"),
        ({"phone_number": JANE, "first_name": None}, "first_name"),
        ({"phone_number": JANE, "custom_fields": []}, "custom_fields"),
        ({"phone_number": JANE, "answered": False}, "answered"),
        ("+14155552671", "_schema"),
        (None, "_schema"),
    ],
)
def test_one_invalid_element_is_named_and_nothing_is_applied(
    sandbox: Sandbox, caller: Caller, campaign: str, element: Any, field: str
) -> None:
    sandbox.put_leads(campaign, [{"phone_number": JOHN}])

    response = caller.update(campaign, [{"phone_number": JOHN, "do_not_call": True}, element])

    assert response.status_code == 422
    assert set(response.json()["errors"]) == {"1"}
    assert list(response.json()["errors"]["1"]) == [field]
    assert not sandbox.leads(campaign)[JOHN].do_not_call


def test_invalid_elements_can_be_reported_row_by_row(tmp_path: Path) -> None:
    with Sandbox(tmp_path, "--invalid-rows=report", campaigns=["c"]) as own:
        own.put_leads("c", [{"phone_number": JANE}, {"phone_number": JOHN}])
        rows = [
            {"phone_number": JANE, "do_not_call": "yes"},
            None,
            {"phone_number": JOHN, "do_not_call": True},
        ]
        response = Caller(own).update("c", rows)
        results = response.json()["results"]
        assert [row["success"] for row in results] == [False, False, True]
        assert [row["phone_number"] for row in results] == [JANE, None, JOHN]
        assert "do_not_call" in results[0]["message"]
        leads = own.leads("c")
        assert (leads[JANE].do_not_call, leads[JOHN].do_not_call) == (False, True)


def test_calls_are_bounded_in_rows_and_bytes(tmp_path: Path) -> None:
    limits = ("--max-rows=2", "--max-body-bytes=500")
    with Sandbox(tmp_path, *limits, campaigns=["c"]) as own:
        caller = Caller(own)
        assert caller.update("c", [{"phone_number": JANE}] * 2).status_code == 200
        assert caller.update("c", [{"phone_number": JANE}] * 3).status_code == 413
        assert caller.update("c", [{"phone_number": "1" * 500}]).status_code == 413
        assert caller.update("c", [{"phone_number": JANE}]).status_code == 200


def test_a_body_may_come_in_chunks(sandbox: Sandbox, caller: Caller, campaign: str) -> None:
    sandbox.put_leads(campaign, [{"phone_number": JANE}])
    headers = {"Authorization": f"Bearer {sandbox.token}", "Content-Type": "application/json"}
    parts = (part.encode() for part in (f'[{{"phone_number":"{JANE}",', '"do_not_call":true}]'))
    path = f"/api/v2/voice-campaigns/{campaign}/leads/update/bulk"
    response = caller.http.patch(path, content=parts, headers=headers)
    assert response.json()["results"][0]["success"] is True
    assert sandbox.leads(campaign)[JANE].do_not_call


def test_text_beyond_ascii_is_kept(sandbox: Sandbox, caller: Caller, campaign: str) -> None:
    sandbox.put_leads(campaign, [{"phone_number": JANE}])
    caller.update(campaign, [{"phone_number": JANE, "first_name": "Zoë 🙂\u0000"}])
    assert sandbox.leads(campaign)[JANE].first_name == "Zoë 🙂\u0000"


def test_another_content_type_or_method_is_refused(caller: Caller, campaign: str) -> None:
    path = f"/api/v2/voice-campaigns/{campaign}/leads/update/bulk"
    headers = {"Authorization": "Bearer sandbox-token", "Content-Type": "text/plain"}
    assert caller.http.patch(path, content="[]", headers=headers).status_code == 415
    refused = caller.call("PUT", path, [])
    assert (refused.status_code, refused.json()["status"]) == (405, "error")
    assert "PATCH" in refused.headers["Allow"]


def test_added_leads_appear_later(sandbox: Sandbox, caller: Caller, campaign: str) -> None:
    response = caller.add(campaign, vector("voiceaiwrapper-bulk-add-request"))
    assert response.status_code == 200
    assert response.json() == vector("voiceaiwrapper-bulk-add-response")

    opt_out = [{"phone_number": JOHN, "do_not_call": True}]
    assert caller.update(campaign, opt_out).json()["results"][0]["message"] == "Lead not found"
    assert sandbox.leads(campaign) == {}

    sandbox.settle()
    assert sandbox.leads(campaign)[JOHN].first_name == "John"
    assert caller.update(campaign, opt_out).json()["results"][0]["success"] is True


def test_adding_a_lead_again_leaves_its_opt_out_alone(
    sandbox: Sandbox, caller: Caller, campaign: str
) -> None:
    sandbox.put_leads(campaign, [{"phone_number": JANE, "do_not_call": True}])
    caller.add(campaign, [{"phone_number": JANE, "first_name": "Other"}])
    sandbox.settle()
    lead = sandbox.leads(campaign)[JANE]
    assert (lead.do_not_call, lead.first_name) == (True, None)


def test_added_leads_appear_by_themselves_after_the_delay(tmp_path: Path) -> None:
    with Sandbox(tmp_path, "--add-delay-ms=1", campaigns=["c"]) as own:
        Caller(own).add("c", [{"phone_number": JANE}])
        while not own.leads("c"):
            assert own.stats()["queued_leads"] <= 1
        assert set(own.leads("c")) == {JANE}


@pytest.mark.parametrize(
    "lead", [{"phone_number": "4155552671"}, {"phone_number": JANE, "do_not_call": True}]
)
def test_an_added_lead_is_checked(caller: Caller, campaign: str, lead: Any) -> None:
    assert caller.add(campaign, [lead]).status_code == 422


def test_the_single_endpoints(sandbox: Sandbox, caller: Caller, campaign: str) -> None:
    base = f"/v1/api/voice-campaigns/{campaign}"
    lead = {"tenant_id": "VGVuYW50OjEyMw==", "phone_number": JANE}
    update = vector("voiceaiwrapper-v1-update-request")

    assert caller.call("PATCH", f"{base}/lead/update", update).status_code == 404
    assert caller.call("POST", f"{base}/leads", {"phone_number": JANE}).status_code == 422
    assert caller.call("POST", f"{base}/leads", lead).json() == {
        "status": "success",
        "message": "Lead added to the campaign successfully",
    }
    assert caller.call("PATCH", f"{base}/lead/update", update).json() == {
        "status": "success",
        "message": "Lead updated successfully",
    }
    changed = sandbox.leads(campaign)[JANE]
    assert (changed.email, changed.custom_fields) == ("jane.doe@example.com", {"plan": "pro"})


def test_a_lead_that_comes_twice_in_one_call_gets_two_rows(
    sandbox: Sandbox, caller: Caller, campaign: str
) -> None:
    sandbox.put_leads(campaign, [{"phone_number": JANE}])
    rows = [{"phone_number": JANE, "first_name": name} for name in ("A", "B")]
    results = caller.update(campaign, rows).json()["results"]
    assert [(row["index"], row["success"]) for row in results] == [(0, True), (1, True)]
    assert sandbox.leads(campaign)[JANE].first_name == "B"


def test_simultaneous_calls_are_atomic_and_noted_in_the_order_of_effect(
    sandbox: Sandbox, caller: Caller, campaign: str
) -> None:
    phones = [f"+1415555{number:04}" for number in range(50)]
    sandbox.put_leads(campaign, [{"phone_number": phone} for phone in phones])

    def write(number: int) -> None:
        rows = [{"phone_number": phone, "first_name": str(number)} for phone in phones]
        assert caller.update(campaign, rows).status_code == 200

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(24)))

    calls = [call for call in sandbox.calls() if call.campaign == campaign]
    last = calls[-1]
    leads = sandbox.leads(campaign).values()
    assert len(calls) == 24
    assert {lead.changed_by for lead in leads} == {last.seq}
    assert {lead.first_name for lead in leads} == {last.elements[0]["first_name"]}


def test_a_connection_is_kept(caller: Caller, campaign: str) -> None:
    used = set()

    def note(response: httpx.Response) -> None:
        used.add(response.extensions["network_stream"].get_extra_info("client_addr"))

    caller.http.event_hooks["response"].append(note)
    for _ in range(5):
        assert caller.update(campaign, [{"phone_number": JANE}]).status_code == 200
    assert len(used) == 1
