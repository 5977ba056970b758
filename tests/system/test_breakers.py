"""What the API tells one worker or campaign, and what follows for the others."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from bridge_process import Bridge, wait_until
from sandbox_client import Call, Sandbox

from bridge.store import campaigns as campaign_rows

from .conftest import bridge_over, on_both_engines, shared_database

NAMES = tuple(f"c{number}" for number in range(12))
CAMPAIGNS = {name: f"camp_{name}" for name in NAMES}
PHONES = [f"+1415555{number:04d}" for number in range(12)]
REFUSED = {"mode": "status", "status": 401}


def opt_out(phone: str, *to: str) -> dict[str, Any]:
    return {"phone": phone, "to": to, "dnc": True}


def named(phone: str, *to: str) -> dict[str, Any]:
    return {"phone": phone, "to": to, "details": {"first_name": "Jane"}}


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    with Sandbox(tmp_path_factory.mktemp("sandbox"), campaigns=list(CAMPAIGNS.values())) as one:
        for campaign in CAMPAIGNS.values():
            one.put_leads(campaign, [{"phone_number": phone} for phone in PHONES])
        yield one


@pytest.fixture(scope="module")
def bridge(tmp_path_factory: pytest.TempPathFactory, sandbox: Sandbox) -> Iterator[Bridge]:
    """One bridge for all tests that do not restart it; each has campaigns of its own."""
    made = bridge_over(
        tmp_path_factory.mktemp("bridge"),
        sandbox,
        campaigns=CAMPAIGNS,
        settings={
            "BRIDGE_PAUSE_PROBE": "3600",
            "BRIDGE_LEASE": "90",
            "BRIDGE_STANDING_DAYS": "0",
        },
        timeout=25,
        batch_size=2,
    )
    with made:
        made.start_both()
        yield made


@pytest.fixture(scope="module")
def unused() -> Iterator[str]:
    return iter(NAMES)


@pytest.fixture
def one(unused: Iterator[str]) -> str:
    """A campaign that no other test has touched."""
    return next(unused)


@pytest.fixture
def two(unused: Iterator[str]) -> str:
    return next(unused)


@pytest.fixture
def three(unused: Iterator[str]) -> str:
    return next(unused)


def condition(bridge: Bridge, name: str) -> campaign_rows.Condition:
    with bridge.database.read() as connection:
        return campaign_rows.conditions(connection)[name]


def calls(sandbox: Sandbox, name: str) -> list[Call]:
    return sandbox.calls(campaign=CAMPAIGNS[name])


def ends(bridge: Bridge, receipt: str, *states: str) -> None:
    wait_until(
        lambda: bridge.states(receipt) == sorted(states),
        what=lambda: f"{states} instead of {bridge.states(receipt)}",
    )


def test_a_401_stops_nobody_else_and_its_end_is_the_end_for_all(
    sandbox: Sandbox, bridge: Bridge, one: str, two: str, three: str
) -> None:
    for name in (one, two):
        sandbox.behave(default=REFUSED, campaign=CAMPAIGNS[name])
    held = bridge.deliver("crm", [opt_out(PHONES[0], one), opt_out(PHONES[1], two)])
    for name in (one, two):
        wait_until(lambda: condition(bridge, name).status == 401, what="a pause")  # noqa: B023
    for phone in PHONES:
        ends(bridge, bridge.deliver("crm", opt_out(phone, three)), "updated")
    # the third works with the same token all the time, and that alone wakes nobody
    assert {len(calls(sandbox, name)) for name in (one, two)} <= {1, 2, 3}
    assert bridge.states(held) == ["waiting", "waiting"]

    for name in (one, two):
        sandbox.behave(campaign=CAMPAIGNS[name])
    done = bridge.run("campaigns", "resume", one)
    assert "workers try it within two seconds" in done.stdout
    ends(bridge, held, "updated", "updated")
    [row] = [r for r in json.loads(bridge.call("campaigns", "--json").stdout) if r["name"] == two]
    assert row["condition"] == "open"


def test_a_429_of_two_campaigns_holds_their_token_and_a_third_tries_alone(
    sandbox: Sandbox, bridge: Bridge, one: str, two: str, three: str
) -> None:
    for name in (one, two):
        sandbox.behave({"mode": "429", "retry_after": 6}, campaign=CAMPAIGNS[name])
    held = bridge.deliver("crm", [opt_out(PHONES[0], one), opt_out(PHONES[1], two)])
    wait_until(lambda: bridge.said("worker", "token held back") == 1, what="a token held back")
    ends(bridge, bridge.deliver("crm", opt_out(PHONES[2], three)), "updated")
    assert bridge.states(held) == ["waiting", "waiting"], "the third did not wait for the others"
    ends(bridge, held, "updated", "updated")
    for name in (one, two):
        refused, again = calls(sandbox, name)
        assert refused.finished_ms is not None
        assert again.started_ms >= refused.finished_ms + 6000 - 5


@pytest.mark.parametrize("held", ["slow", "half-open"])
def test_an_opt_out_does_not_wait_for_slow_calls_of_its_own_campaign(
    sandbox: Sandbox, bridge: Bridge, one: str, held: str
) -> None:
    hang = {"mode": "slow", "seconds": 20}
    if held == "slow":
        sandbox.behave(hang, hang, campaign=CAMPAIGNS[one])
    else:
        sandbox.behave({"mode": "status", "status": 503}, hang, campaign=CAMPAIGNS[one])
    backlog = bridge.deliver("crm", [named(phone, one) for phone in PHONES[:8]])

    def hanging() -> int:
        return sum(call.finished_ms is None for call in calls(sandbox, one))

    wait_until(lambda: hanging() == (2 if held == "slow" else 1), what="senders that hang")
    urgent = bridge.deliver("crm", opt_out(PHONES[9], one))
    ends(bridge, urgent, "updated")
    assert hanging() == (2 if held == "slow" else 1), "they hang still"
    assert "updated" not in bridge.states(backlog) or held == "half-open"


def test_an_opt_out_whose_period_is_over_is_an_error_and_shows_in_health(
    bridge: Bridge, one: str
) -> None:
    def lapsed() -> dict[str, Any]:
        [check] = bridge.get("/healthz").json()["checks"]["lapsed_opt_outs"]
        return dict(check)

    assert lapsed()["status"] == "pass"
    receipt = bridge.deliver("crm", opt_out("+14155559999", one))
    ends(bridge, receipt, "not_found")
    wait_until(lambda: lapsed()["status"] == "warn", what="a warning")
    assert lapsed()["output"].startswith("1 opt-out ended unconfirmed")
    lines = [json.loads(line) for line in bridge.log("worker").splitlines() if receipt in line]
    told = [(line["log.level"], line["crmbridge.outcome"]) for line in lines]
    assert told == [("error", "not_found")]
    assert "period of a standing opt-out is over" in lines[0]["crmbridge.message"]


# --------------------------------------------------------------------- several workers, restarts


@pytest.fixture
def own(
    engine: str,
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    sandbox: Sandbox,
) -> Iterator[Bridge]:
    """A bridge of the test's own, which never probes by itself."""
    with (
        shared_database(engine, request) as over,
        bridge_over(
            tmp_path_factory.mktemp("own"),
            sandbox,
            campaigns=CAMPAIGNS,
            settings={"BRIDGE_PAUSE_PROBE": "0"},
            **over,
        ) as made,
    ):
        made.start_both()
        yield made


@pytest.mark.parametrize("engine", ["postgresql"])
def test_what_one_worker_is_told_all_obey_and_one_of_them_tries_again(
    sandbox: Sandbox, own: Bridge
) -> None:
    name, before = NAMES[0], len(calls(sandbox, NAMES[0]))
    sandbox.behave({"mode": "429", "retry_after": 6}, campaign=CAMPAIGNS[name])
    first = own.deliver("crm", opt_out(PHONES[0], name))
    wait_until(lambda: own.said("worker", "campaign condition heard"), what="the other worker")
    later = own.deliver("crm", [named(phone, name) for phone in PHONES[1:]])
    ends(own, first, "updated")
    ends(own, later, *["updated"] * 11)
    refused, *rest = calls(sandbox, name)[before:]
    assert refused.finished_ms is not None
    assert rest[0].started_ms >= refused.finished_ms + 6000 - 5
    assert rest[0].finished_ms is not None
    assert all(call.started_ms >= rest[0].finished_ms for call in rest[1:]), "one probe alone"
    assert condition(own, name).condition == "open"


@on_both_engines
def test_workers_that_start_again_go_on_waiting_and_try_what_was_paused(
    sandbox: Sandbox, own: Bridge
) -> None:
    busy, paused = NAMES[1], NAMES[2]
    before = len(calls(sandbox, busy))
    sandbox.behave({"mode": "429", "retry_after": 12}, campaign=CAMPAIGNS[busy])
    sandbox.behave(default=REFUSED, campaign=CAMPAIGNS[paused])
    receipts = [own.deliver("crm", opt_out(PHONES[0], name)) for name in (busy, paused)]
    wait_until(lambda: condition(own, busy).status == 429, what="a note of the 429")
    wait_until(lambda: condition(own, paused).status == 401, what="a note of the 401")
    for worker in own.workers.values():
        worker.kill()
    assert condition(own, paused).condition == "paused"
    sandbox.behave(campaign=CAMPAIGNS[paused])
    for number in list(own.workers):
        own.start_worker(number)
    ends(own, receipts[1], "updated")
    assert condition(own, paused).condition == "open"
    ends(own, receipts[0], "updated")
    refused, again = calls(sandbox, busy)[before:]
    assert refused.finished_ms is not None
    assert again.started_ms >= refused.finished_ms + 12_000 - 5
