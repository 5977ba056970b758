"""Each way of going wrong is seen by a real client, and the leads are as the mode says."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from sandbox_client import Sandbox

from .conftest import Caller

PHONES = ["+14155550101", "+14155550102", "+14155550103"]
OPT_OUTS = [{"phone_number": phone, "do_not_call": True} for phone in PHONES]


@pytest.fixture
def told(sandbox: Sandbox, campaign: str) -> Iterator[Sandbox]:
    """The shared sandbox with three leads; whatever it is told, it is good again afterwards."""
    sandbox.put_leads(campaign, [{"phone_number": phone} for phone in PHONES])
    yield sandbox
    sandbox.behave()
    sandbox.behave(hubspot=True)


def applied(sandbox: Sandbox, campaign: str) -> bool:
    """Whether all three leads are opted out; none of them is the other possibility."""
    blocked = {lead.do_not_call for lead in sandbox.leads(campaign).values()}
    assert len(blocked) == 1, "all or nothing"
    assert sandbox.calls()[-1].applied is next(iter(blocked))
    return blocked == {True}


@pytest.mark.parametrize("wait", [2, "Wed, 21 Oct 2026 07:28:00 GMT", None])
def test_429_asks_to_wait_and_applies_nothing(
    told: Sandbox, caller: Caller, campaign: str, wait: Any
) -> None:
    told.behave({"mode": "429", **({} if wait is None else {"retry_after": wait})})

    response = caller.update(campaign, OPT_OUTS)

    assert response.status_code == 429
    assert response.headers.get("Retry-After") == (None if wait is None else str(wait))
    assert not applied(told, campaign)
    assert caller.update(campaign, OPT_OUTS).status_code == 200, "a step is used up"
    assert applied(told, campaign)


@pytest.mark.parametrize(
    ("step", "answer"),
    [
        ({"status": 503}, (503, '{"status":"error","message":"Service Unavailable"}')),
        ({"status": 500, "body": "<h1>oops</h1>"}, (500, "<h1>oops</h1>")),
        ({"status": 422, "body": {"detail": ["x"]}}, (422, '{"detail":["x"]}')),
        ({"status": 599}, (599, '{"status":"error","message":"Unknown"}')),
    ],
)
def test_any_status_with_any_body(
    told: Sandbox, caller: Caller, campaign: str, step: Any, answer: tuple[int, str]
) -> None:
    told.behave({"mode": "status", "retry_after": 7, **step})
    response = caller.update(campaign, OPT_OUTS)
    assert (response.status_code, response.text) == answer
    assert response.headers["Retry-After"] == "7"
    assert not applied(told, campaign)


def test_slow_applies_at_once_and_answers_late(
    told: Sandbox, caller: Caller, campaign: str
) -> None:
    told.behave({"mode": "slow", "seconds": 0.3}, {"mode": "slow", "seconds": 30})

    began = time.monotonic()
    assert caller.update(campaign, OPT_OUTS).status_code == 200
    assert time.monotonic() - began >= 0.3
    call = told.calls()[-1]
    assert call.finished_ms is not None
    assert call.finished_ms - call.started_ms >= 300

    caller.http.timeout = httpx.Timeout(0.2)
    with pytest.raises(httpx.ReadTimeout):
        caller.update(campaign, [{**OPT_OUTS[0], "do_not_call": False}])
    assert not told.leads(campaign)[PHONES[0]].do_not_call
    assert told.calls()[-1].finished_ms is None, "others are answered while one waits"


def test_close_applies_nothing(told: Sandbox, caller: Caller, campaign: str) -> None:
    told.behave({"mode": "close"})
    with pytest.raises(httpx.RemoteProtocolError):
        caller.update(campaign, OPT_OUTS)
    assert not applied(told, campaign)
    assert told.calls()[-1].status is None


def test_close_after_applies_and_says_nothing(told: Sandbox, caller: Caller, campaign: str) -> None:
    told.behave({"mode": "close_after"})
    with pytest.raises(httpx.RemoteProtocolError):
        caller.update(campaign, OPT_OUTS)
    assert applied(told, campaign)
    assert told.calls()[-1].status is None


def test_truncated_promises_more_than_it_sends(
    told: Sandbox, caller: Caller, campaign: str
) -> None:
    told.behave({"mode": "truncated"})
    with pytest.raises(httpx.RemoteProtocolError, match="without sending complete message body"):
        caller.update(campaign, OPT_OUTS)
    assert applied(told, campaign)
    assert caller.update(campaign, OPT_OUTS).status_code == 200


def named(response: httpx.Response) -> list[tuple[int, str]]:
    """Index and phone number of each row."""
    return [(row["index"], row["phone_number"]) for row in response.json()["results"]]


TRUTH = list(enumerate(PHONES))


@pytest.mark.parametrize(
    ("step", "rows"),
    [
        ({"mode": "ok"}, TRUTH),
        ({"mode": "empty"}, []),
        ({"mode": "short"}, TRUTH[:2]),
        ({"mode": "short", "rows": 2}, TRUTH[:1]),
        ({"mode": "reordered"}, [TRUTH[1], TRUTH[2], TRUTH[0]]),
        ({"mode": "crossed"}, [(0, PHONES[1]), (1, PHONES[2]), (2, PHONES[0])]),
        ({"mode": "foreign"}, [*TRUTH[:2], (2, "+19995550199")]),
        ({"mode": "duplicated"}, [TRUTH[0], *TRUTH]),
    ],
)
def test_lies_about_rows(
    told: Sandbox, caller: Caller, campaign: str, step: Any, rows: list[tuple[int, str]]
) -> None:
    told.behave(step)
    response = caller.update(campaign, OPT_OUTS)
    assert response.status_code == 200
    assert response.json()["status"] == "success"
    assert named(response) == rows
    assert applied(told, campaign)


def test_lies_about_the_whole(told: Sandbox, caller: Caller, campaign: str) -> None:
    told.behave({"mode": "no_results"}, {"mode": "not_json"}, {"mode": "overall_error"})

    assert caller.update(campaign, OPT_OUTS).json() == {
        "status": "success",
        "message": "Bulk lead update completed",
    }
    text = caller.update(campaign, OPT_OUTS)
    assert (text.status_code, text.text[:6]) == (200, "<html>")
    error = caller.update(campaign, OPT_OUTS)
    assert (error.status_code, error.json()["status"]) == (200, "error")
    assert [call.mode for call in told.calls()[-3:]] == ["no_results", "not_json", "overall_error"]
    assert applied(told, campaign)


def test_success_without_rows_applies_nothing(told: Sandbox, caller: Caller, campaign: str) -> None:
    told.behave({"mode": "success_without_rows"})
    response = caller.update(campaign, OPT_OUTS)
    assert response.status_code == 200
    assert (response.json()["status"], response.json()["results"]) == ("success", [])
    assert not applied(told, campaign)


def test_a_campaigns_own_plan_goes_before_the_plan_for_all(
    told: Sandbox, caller: Caller, campaign: str
) -> None:
    told.put_campaigns("camp_other")
    told.behave(default={"mode": "status", "status": 500})
    told.behave({"mode": "status", "status": 502}, campaign=campaign)

    answers = [caller.update(campaign, OPT_OUTS).status_code for _ in range(2)]
    assert answers == [502, 500]
    assert caller.update("camp_other", OPT_OUTS).status_code == 500
    assert caller.read([]).status_code == 200, "HubSpot reads have their own plan"

    told.behave()
    assert caller.update("camp_other", OPT_OUTS).status_code == 200


def test_random_misbehaviour_repeats_itself_with_the_seed(
    told: Sandbox, caller: Caller, campaign: str
) -> None:
    draw = {
        "seed": 7,
        "weights": {"ok": 2, "429": 1, "status": 1, "empty": 1},
        "steps": {"status": {"mode": "status", "status": 502}},
    }

    def run() -> list[str]:
        told.behave({"mode": "short"}, campaign=campaign, random=draw)
        seq = told.calls()[-1].seq if told.calls() else 0
        statuses = [caller.update(campaign, OPT_OUTS).status_code for _ in range(30)]
        assert set(statuses) == {200, 429, 502}
        return [call.mode for call in told.calls(after=seq)]

    first = run()
    assert first[0] == "short"
    assert set(first[1:]) == {"ok", "429", "status", "empty"}
    assert run() == first


def test_plans_hold_for_the_other_endpoints_and_for_hubspot(
    told: Sandbox, caller: Caller, campaign: str
) -> None:
    told.put_contacts([{"id": "11"}, {"id": "12"}])
    told.behave({"mode": "429", "retry_after": 3}, campaign=campaign)
    told.behave(
        {"mode": "429", "retry_after": 1},
        {"mode": "short"},
        {"mode": "foreign"},
        {"mode": "close"},
        {"mode": "status", "status": 502},
        hubspot=True,
    )

    assert caller.add(campaign, [{"phone_number": PHONES[0]}]).headers["Retry-After"] == "3"
    busy = caller.read(["11", "12"])
    assert (busy.status_code, busy.headers["Retry-After"]) == (429, "1")
    assert [row["id"] for row in caller.read(["11", "12"]).json()["results"]] == ["11"]
    assert [row["id"] for row in caller.read(["11"]).json()["results"]] == ["999999999999"]
    with pytest.raises(httpx.RemoteProtocolError):
        caller.read(["11"])
    assert caller.read(["11"]).status_code == 502
    assert caller.read(["11"]).status_code == 200


@pytest.mark.parametrize(
    ("plan", "where"),
    [
        ({"steps": [{"mode": "nonsense"}]}, "steps"),
        ({"steps": [{"mode": "status"}]}, "steps"),
        ({"steps": [{"mode": "slow", "seconds": -1}]}, "steps"),
        ({"default": {"mode": "ok"}, "random": {"seed": 1, "weights": {"ok": 1}}}, "default"),
        ({"random": {"seed": 1, "weights": {"ok": 0}}}, "random"),
        ({"random": {"seed": 1, "weights": {"status": 1}}}, "random"),
        ({"campaign": "c", "hubspot": True}, "campaign"),
        ({"mode": "429"}, "mode"),
    ],
)
def test_a_plan_with_a_mistake_is_refused(
    told: Sandbox, caller: Caller, plan: Any, where: str
) -> None:
    before = told.plans()
    response = caller.call("PUT", "/sandbox/behaviour", plan)
    assert response.status_code == 422
    assert list(response.json()["errors"]) == [where]
    assert told.plans() == before
