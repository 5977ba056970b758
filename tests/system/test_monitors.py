"""What monitors, containers and process managers ask, over one running bridge."""

from __future__ import annotations

import json
import socket
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from bridge_process import Bridge, free_port, wait_until
from sandbox_client import Sandbox

from bridge.commands.healthcheck import ask_web, ask_worker
from bridge.settings import Environment, Settings

from .conftest import bridge_over

TOKEN = "console-token-0123456789"
REFUSED = 'crmbridge_refused_total{source="crm"}'
PROBES = ("/", "/livez", "/readyz", "/healthz")


@pytest.fixture(scope="module")
def bridge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bridge]:
    folder = tmp_path_factory.mktemp("monitors")
    with (
        Sandbox(folder, campaigns=["camp_one"]) as sandbox,
        bridge_over(
            folder,
            sandbox,
            campaigns={"one": "camp_one"},
            settings={"BRIDGE_CONSOLE_TOKEN": TOKEN},
        ) as running,
    ):
        running.start_web()
        yield running


def settings(bridge: Bridge, **changes: str) -> Settings:
    return Settings(Environment({**bridge.env, **changes}))


def said(bridge: Bridge, *arguments: str, **changes: str) -> tuple[int, dict[str, Any]]:
    done = bridge.run("healthcheck", *arguments, "--json", **changes)
    return done.returncode, json.loads(done.stdout)


def answer(bridge: Bridge, request: bytes) -> bytes:
    """What is answered to a request as it stands."""
    with closing(socket.create_connection(("127.0.0.1", bridge.port), 20)) as line:
        line.sendall(request)
        found = b""
        while piece := line.recv(65_536):
            found += piece
        return found


@pytest.mark.parametrize("path", PROBES)
def test_probes_need_no_name_no_token_and_no_second_request(bridge: Bridge, path: str) -> None:
    asked = (
        f"GET {path} HTTP/1.0\r\n\r\n",
        f"HEAD {path} HTTP/1.0\r\n\r\n",
        f"GET {path} HTTP/1.1\r\nHost: elsewhere.example\r\nConnection: close\r\n\r\n",
        f"GET {path} HTTP/1.1\r\nHost: [::1]:1\r\nConnection: close\r\n\r\n",
        f"GET {path} HTTP/1.1\r\nHost: under_score/or worse\r\nConnection: close\r\n\r\n",
        f"GET {path}?verbose=1 HTTP/1.1\r\nHost: 10.0.0.1\r\nConnection: close\r\n\r\n",
    )
    for request in asked:
        head, _, body = answer(bridge, request.encode()).partition(b"\r\n\r\n")
        assert head.split(b"\r\n")[0].endswith(b" 200 OK"), (request, head)
        assert b"no-store" in head
        assert bool(body) is request.startswith("GET"), request


def test_what_names_something_internal_is_for_the_operator(bridge: Bridge) -> None:
    public = bridge.get("/healthz").text
    for shown in ("seconds_since_last_delivery", "details", "crm", "unset", TOKEN):
        assert shown not in public
    for scheme, given in (("Bearer", "wrong"), ("Basic", TOKEN), ("Bearer", "x" * 9)):
        assert bridge.get("/healthz", Authorization=f"{scheme} {given}").text == public
    details = bridge.get("/healthz", Authorization=f"bearer {TOKEN}").json()["checks"]
    assert details["sources"][0]["details"]["not_configured"] == {"unset": ["NOBODY_SETS_THIS"]}


def test_what_a_web_process_has_counted_outlives_it(bridge: Bridge) -> None:
    def refused() -> str:
        text = bridge.get("/metrics", Authorization=f"Bearer {TOKEN}").text
        return next(line for line in text.splitlines() if line.startswith(REFUSED)).split()[-1]

    assert bridge.web is not None
    assert refused() == "0"
    for _ in range(3):
        assert bridge.post("crm", {}, token="wrong").status_code == 401
    bridge.web.terminate()
    assert bridge.web.ended() == 0
    bridge.start_web()
    assert refused() == "3"


def test_the_healthcheck_command_says_how_web_and_worker_are(bridge: Bridge) -> None:
    code, found = said(bridge, "all")
    assert code == 1
    assert found["web"] == {"status": "pass", "output": ""}
    assert found["worker"]["output"] == "no worker of this machine is at work"
    code, found = said(bridge, "--check", "health", "--strict")
    assert (code, found["web"]["status"]) == (1, "warn")
    assert found["web"]["output"].startswith("worker: no worker is alive")
    assert said(bridge, "--check", "health")[0] == 0
    worker = bridge.start_worker()
    well = {"status": "pass", "output": ""}
    assert said(bridge, "all") == (0, {"web": well, "worker": well})
    worker.kill()
    with bridge.database.write() as connection:  # time goes by
        connection.exec_driver_sql("UPDATE worker SET beat_at = beat_at - 60000")
    assert ask_worker(settings(bridge), 5)["output"].startswith("the worker was last heard of 6")
    with bridge.database.write() as connection:  # or it was not yet that late
        connection.exec_driver_sql("UPDATE worker SET beat_at = beat_at + 3600000")
    assert ask_worker(settings(bridge), 5)["output"].endswith("since the clock was set back")


def test_the_healthcheck_command_sees_a_bridge_that_takes_nothing(bridge: Bridge) -> None:
    here = settings(bridge)
    path = bridge.database.path
    assert path is not None
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        found = wait_until(
            lambda: (
                ask_web(here, "/readyz", 20)["status"] == "fail" and ask_web(here, "/readyz", 20)
            ),
            what="not ready",
        )
        assert found["output"] == "database: the database takes no write"
        assert ask_web(here, "/livez", 20)["status"] == "pass"
        other.execute("ROLLBACK")
    wait_until(lambda: ask_web(here, "/readyz", 20)["status"] == "pass", what="ready again")


def test_the_healthcheck_command_is_not_taken_in(bridge: Bridge, tmp_path: Path) -> None:
    nobody = ask_web(settings(bridge, PORT=str(free_port())), "/readyz", 5)
    assert (nobody["status"], "no answer from 127.0.0.1" in nobody["output"]) == ("fail", True)
    everywhere = settings(bridge, HOST="*")
    assert ask_web(everywhere, "/readyz", 20)["status"] == "pass"
    assert ask_web(settings(bridge), "/nowhere", 20)["output"].startswith("/nowhere answered 404")
    gone = settings(bridge, DATABASE_URL=f"sqlite:///{tmp_path / 'none.db'}")
    assert "the database cannot be asked" in ask_worker(gone, 1)["output"]
    done = bridge.run("healthcheck", PORT="many")
    assert (done.returncode, "PORT" in done.stderr) == (2, True)
