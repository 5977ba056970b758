"""PostgreSQL goes away and comes back: the CRM is told to come again, and nobody starts anew."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from bridge_process import wait_until
from sandbox_client import Sandbox
from store.postgres import Postgres, running

from .conftest import MakeBridge

PHONES = [f"+1415555{number:04d}" for number in range(6)]


def opt_out(phone: str) -> dict[str, Any]:
    return {"phone": phone, "dnc": True}


@pytest.fixture
def server(postgres: Postgres) -> Iterator[Postgres]:
    """A server of its own, since it is stopped; ``postgres`` says whether there can be one."""
    with running() as own:
        yield own


def test_a_lost_database_means_503_and_recovery_without_a_restart(
    sandbox: Sandbox, make_bridge: MakeBridge, server: Postgres
) -> None:
    sandbox.put_leads("camp_one", [{"phone_number": phone} for phone in PHONES])
    url = server.url(server.create())
    bridge = make_bridge(
        campaigns={"one": "camp_one"},
        settings={"BRIDGE_POLL": "60", "BRIDGE_LEASE": "120"},
        database_url=url,
        timeout=20,
    )
    bridge.start_web()
    bridge.start_worker()
    assert bridge.web is not None
    assert bridge.worker is not None
    pids = [bridge.web.pid, *bridge.web.children(), bridge.worker.pid]

    def updated(receipt: str) -> bool:
        return bridge.states(receipt) == ["updated"]

    first = bridge.deliver("crm", opt_out(PHONES[0]))
    wait_until(lambda: updated(first), what="an update")
    # a call is on its way when the database goes
    sandbox.behave({"mode": "slow", "seconds": 6})
    flying = bridge.deliver("crm", opt_out(PHONES[1]))
    wait_until(lambda: len(sandbox.calls()) == 2, what="a call on its way")

    server.stop()
    for _ in range(3):
        reply = bridge.post("crm", opt_out(PHONES[2]))
        assert reply.status_code == 503
        assert reply.headers["Content-Type"] == "application/problem+json"
    # what it saw a moment ago it says again for as long
    wait_until(
        lambda: bridge.get("/readyz").status_code == 503, what="its word that it is not ready"
    )
    assert bridge.get("/livez").status_code == 200
    wait_until(lambda: sandbox.calls()[1].finished_ms is not None, what="the call's end")
    wait_until(lambda: bridge.said("worker", "database out of reach"), what="the worker's word")

    server.start()
    wait_until(lambda: bridge.get("/readyz").status_code == 200, what="a ready web process")
    wait_until(lambda: updated(flying), what="what was on its way, recorded")
    assert len(sandbox.calls()) == 2, "its answer was kept, so it was not sent again"
    name = urlsplit(url).path.lstrip("/")
    listening = f"FROM pg_stat_activity WHERE datname = '{name}' AND query LIKE 'LISTEN%'"
    wait_until(lambda: server.execute(f"SELECT count(*) {listening}") == [(1,)], what="LISTEN")
    for phone in PHONES[3:]:
        receipt = bridge.deliver("crm", opt_out(phone))
        wait_until(lambda: updated(receipt), 20, "an update without a poll")  # noqa: B023
    assert bridge.web.status is None
    assert bridge.worker.status is None
    assert pids == [bridge.web.pid, *bridge.web.children(), bridge.worker.pid]
    for pid in pids:
        os.kill(pid, 0)
    everybody = f"FROM pg_stat_activity WHERE datname = '{name}'"
    [(count,)] = server.execute(f"SELECT count(*) {everybody}")
    assert int(str(count)) <= 20 + 8 + 16, "worker, web and this test's own pool"
