"""Processes over PostgreSQL that lose hold: of a connection, or of a lease while they slept."""

from __future__ import annotations

import os
import signal
from typing import Any
from urllib.parse import urlsplit

import pytest
from bridge_process import Bridge, wait_until
from sandbox_client import Sandbox
from store.postgres import Postgres

from .conftest import MakeBridge

ONE = {"one": "camp_one"}
PHONES = [f"+1415555{number:04d}" for number in range(2)]
SOON_S = 5.0
"""Far below the poll of a minute, and enough for a busy machine."""

pytestmark = pytest.mark.parametrize("engine", ["postgresql"])


def named(phone: str, name: str, at: int) -> dict[str, Any]:
    return {"phone": phone, "at": at, "details": {"first_name": name}}


def put_leads(sandbox: Sandbox) -> None:
    sandbox.put_leads("camp_one", [{"phone_number": p, "answered": True} for p in PHONES])


def names(sandbox: Sandbox) -> list[str | None]:
    """The first names in the campaign."""
    leads = sandbox.leads("camp_one")
    return [leads[phone].first_name for phone in PHONES]


def test_webhooks_go_out_at_once_again_after_the_nudge_has_lost_its_connection(
    sandbox: Sandbox, make_bridge: MakeBridge, postgres: Postgres
) -> None:
    bridge = make_bridge(campaigns=ONE, settings={"BRIDGE_POLL": "60"})
    put_leads(sandbox)
    bridge.start_both()
    database = urlsplit(bridge.env["DATABASE_URL"]).path.lstrip("/")
    listening = f"FROM pg_stat_activity WHERE datname = '{database}' AND query LIKE 'LISTEN%'"

    def all_listen() -> bool:
        return postgres.execute(f"SELECT count(*) {listening}") == [(bridge.processes,)]

    def goes_out(event: dict[str, Any]) -> None:
        receipt = bridge.deliver("crm", event)
        wait_until(lambda: bridge.states(receipt) == ["updated"], SOON_S, "an update without poll")

    wait_until(all_listen, what="workers that listen")
    goes_out({"phone": PHONES[0], "dnc": True})
    postgres.execute(f"SELECT pg_terminate_backend(pid) {listening}")
    goes_out(named(PHONES[0], "Jane", 1))  # nobody may be listening yet
    wait_until(all_listen, what="workers that listen again")
    goes_out(named(PHONES[0], "Ann", 2))


def stopped_in_mid_call(bridge: Bridge, sandbox: Sandbox, *events: dict[str, Any]) -> str:
    """Stop the only worker once its first call is at the API; a second takes its place."""
    bridge.start_web()
    first = bridge.start_worker()
    receipt = bridge.deliver("crm", list(events))
    wait_until(sandbox.calls, what="a call")
    os.killpg(first.pid, signal.SIGSTOP)
    bridge.start_worker(1)
    return receipt


def wake(bridge: Bridge) -> None:
    """Let the stopped worker go on, until it has noticed that it lost its lease."""
    assert bridge.worker is not None
    assert not bridge.said("worker", "lease lost before the result")
    os.killpg(bridge.worker.pid, signal.SIGCONT)
    wait_until(lambda: bridge.said("worker", "lease lost before the result"), what="its notice")


def check_that_it_goes_on_working(bridge: Bridge) -> None:
    """The worker that slept does what comes, once it is alone."""
    bridge.workers[1].kill()
    receipt = bridge.deliver("crm", {"phone": PHONES[0], "dnc": True})
    wait_until(lambda: bridge.states(receipt) == ["updated"], what="an update by who slept")


def test_a_worker_that_slept_past_its_lease_records_nothing_over_its_successor(
    sandbox: Sandbox, make_bridge: MakeBridge
) -> None:
    put_leads(sandbox)
    sandbox.behave({"mode": "slow", "seconds": 1}, campaign="camp_one")
    bridge = make_bridge(campaigns=ONE, settings={"BRIDGE_LEASE": "6"}, timeout=2)
    mark = {"id": "mark", "at": 1, "phone": PHONES[0], "again": True}
    receipt = stopped_in_mid_call(bridge, sandbox, mark)
    wait_until(lambda: bridge.states(receipt) == ["unconfirmed"], what="the successor's word")
    newer = bridge.deliver("crm", named(PHONES[0], "Newer", 2))
    wait_until(lambda: bridge.states(newer) == ["updated"], what="a newer event")
    before, calls = bridge.final_outcomes(), len(sandbox.calls())

    wake(bridge)
    assert bridge.final_outcomes() == before
    assert len(sandbox.calls()) == calls
    assert sandbox.leads("camp_one")[PHONES[0]].requeued == 1
    check_that_it_goes_on_working(bridge)


def test_a_worker_that_slept_between_two_calls_of_a_batch_does_not_make_the_second(
    sandbox: Sandbox, make_bridge: MakeBridge
) -> None:
    put_leads(sandbox)
    sandbox.behave({"mode": "status", "status": 400}, campaign="camp_one")
    # refused as a whole, so it is halved, and the next call is due in two seconds
    bridge = make_bridge(campaigns=ONE, settings={"BRIDGE_LEASE": "6"}, timeout=1, rate=0.5)
    older = stopped_in_mid_call(bridge, sandbox, *(named(phone, "Older", 1) for phone in PHONES))
    assert len(sandbox.calls()) == 1
    wait_until(lambda: bridge.states(older) == ["updated"] * 2, what="the successor's word")
    newer = bridge.deliver("crm", [named(phone, "Newer", 2) for phone in PHONES])
    wait_until(lambda: bridge.states(newer) == ["updated"] * 2, what="newer events")
    before, calls = bridge.final_outcomes(), len(sandbox.calls())

    wake(bridge)
    assert bridge.final_outcomes() == before
    assert len(sandbox.calls()) == calls
    assert names(sandbox) == ["Newer", "Newer"]
    check_that_it_goes_on_working(bridge)
