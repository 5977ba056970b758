"""The processes: how they start, say how they are, wait for each other, and end."""

from __future__ import annotations

import json
import os
import signal
import socket
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import httpx
import pytest
from bridge_process import CRM_TOKEN, Bridge, Group, free_port, wait_until
from sandbox_client import Sandbox

from .conftest import MakeBridge, bridge_over

PHONE = "+14155550123"
OPT_OUT = {"id": "opt-out", "phone": PHONE, "dnc": True}
ONE = {"one": "camp_one"}


@contextmanager
def locked(bridge: Bridge) -> Iterator[None]:
    """Somebody else holds the database's only write lock."""
    path = bridge.database.path
    assert path is not None
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        yield
        other.execute("ROLLBACK")


# --------------------------------------------------------------------- what is asked by HTTP


def test_routes_answer_as_documented(make_bridge: MakeBridge) -> None:
    bridge = make_bridge()
    bridge.start_web()
    for path in ("/livez", "/readyz", "/healthz"):
        read, head = bridge.get(path), bridge.get(path, "HEAD")
        assert (read.status_code, head.status_code) == (200, 200)
        assert read.content
        assert head.content == b""
        assert bridge.get(path, "POST").status_code == 405
    health = bridge.get("/healthz").json()
    assert health["status"] == "warn"
    assert health["checks"]["worker"][0]["status"] == "warn"
    assert bridge.post("nobody", {}).status_code == 404
    assert bridge.get("/hooks/crm").status_code == 405
    assert bridge.get("/hooks/crm", "HEAD").status_code == 405
    assert bridge.get("/hooks/crm", "PUT").status_code == 405
    unset = bridge.post("unset", {"phone": PHONE})
    assert unset.status_code == 503
    assert unset.json()["detail"] == "The source unset is not configured yet."
    for reply in (bridge.post("nobody", {}), bridge.get("/hooks/crm"), bridge.get("/nowhere")):
        assert reply.headers["Content-Type"] == "application/problem+json"
        assert reply.json()["status"] == reply.status_code
    assert bridge.deliveries() == []
    bridge.start_worker()
    wait_until(lambda: bridge.get("/healthz").json()["status"] == "pass", what="all well")


def test_a_locked_database_means_503_and_nothing_is_claimed(
    sandbox: Sandbox, make_bridge: MakeBridge
) -> None:
    bridge = make_bridge(campaigns=ONE)
    sandbox.put_leads("camp_one", [{"phone_number": PHONE}])
    bridge.start_both()
    with locked(bridge):
        replies = [bridge.post("crm", OPT_OUT), bridge.post("crm", OPT_OUT, token="wrong")]
        assert [reply.status_code for reply in replies] == [503, 503]
        assert all(reply.headers["Retry-After"] for reply in replies)
        wait_until(lambda: bridge.get("/readyz").status_code == 503, what="not ready")
        assert bridge.get("/livez").status_code == 200
        assert bridge.get("/readyz", "HEAD").status_code == 503
        assert bridge.get("/healthz").status_code == 503
    assert bridge.deliveries() == []
    assert bridge.refusals() == []
    wait_until(lambda: bridge.get("/readyz").status_code == 200, what="ready again")
    receipt = bridge.deliver("crm", OPT_OUT)
    bridge.wait_settled()
    assert bridge.states(receipt) == ["updated"]


def test_a_campaign_api_in_trouble_is_a_warning_and_webhooks_are_still_taken(
    sandbox: Sandbox, make_bridge: MakeBridge
) -> None:
    bridge = make_bridge(campaigns=ONE)
    sandbox.put_leads("camp_one", [{"phone_number": PHONE}])
    bridge.start_both()
    sandbox.kill()
    receipt = bridge.deliver("crm", OPT_OUT)

    def campaigns_check() -> str:
        reply = bridge.get("/healthz")
        assert reply.status_code == 200
        return str(reply.json()["checks"]["campaigns"][0]["status"])

    wait_until(lambda: campaigns_check() == "warn", what="a warning")
    assert bridge.get("/readyz").status_code == 200
    assert set(bridge.states(receipt)) <= {"waiting", "in_flight"}
    sandbox.start()
    wait_until(lambda: bridge.states(receipt) == ["updated"], what="the opt-out")
    wait_until(lambda: campaigns_check() == "pass", what="the end of the warning")


def test_a_broken_edit_of_the_mappings_changes_nothing_but_health(
    sandbox: Sandbox, make_bridge: MakeBridge
) -> None:
    bridge = make_bridge(campaigns=ONE)
    sandbox.put_leads("camp_one", [{"phone_number": PHONE}])
    bridge.start_both()
    file = Path(bridge.env["BRIDGE_MAPPINGS"]) / "crm.yaml"
    good = file.read_text()
    file.write_text(good.replace("do_not_call: {value: true}", "do_not_cal: {value: true}"))

    def mappings_check() -> str:
        return str(bridge.get("/healthz").json()["checks"]["mappings"][0]["status"])

    wait_until(lambda: mappings_check() == "warn", what="a warning")
    wait_until(lambda: bridge.said("worker", "mappings refused"), what="the worker's word")
    receipt = bridge.deliver("crm", OPT_OUT)
    bridge.wait_settled()
    assert bridge.states(receipt) == ["updated"]
    file.write_text(good)
    wait_until(lambda: mappings_check() == "pass", what="the end of the warning")


def test_who_stands_in_for_a_killed_web_process_waits_for_an_edit_to_be_mended(
    make_bridge: MakeBridge,
) -> None:
    """One that cannot begin would end all the others, which go on with the files of before."""
    bridge = make_bridge(settings={"WEB_CONCURRENCY": "2"})
    web = bridge.start_web()
    # the first one says that it is ready; the other one may not have read the files yet
    wait_until(lambda: bridge.said("web", "web is ready"), what="the first process")
    first = next(
        line["process.pid"]
        for line in map(json.loads, bridge.log("web").splitlines())
        if line["message"].startswith("web is ready")
    )
    file = Path(bridge.env["BRIDGE_MAPPINGS"]) / "crm.yaml"
    good = file.read_text()
    (other,) = set(web.children()) - {first}
    os.kill(other, signal.SIGSTOP)
    file.write_text(good.replace("do_not_call: {value: true}", "do_not_cal: {value: true}"))

    def answered() -> int:
        try:
            return bridge.post("crm", OPT_OUT).status_code
        except httpx.TransportError:  # it went to the one that is killed
            return 0

    os.kill(other, signal.SIGKILL)
    wait_until(
        lambda: bridge.said("web", "cannot begin") or web.status is not None, what="who stands in"
    )
    assert web.status is None
    # the first try may go by a connection that was kept to the one that is gone
    wait_until(lambda: answered() == 200 or web.status is not None, what="the other's answer")
    assert web.status is None
    os.kill(first, signal.SIGKILL)
    file.write_text(good)
    wait_until(lambda: answered() == 200, what="an answer")
    assert web.status is None


# --------------------------------------------------------------------- how they end


def test_a_worker_asked_to_stop_finishes_and_records_the_call_in_flight(
    sandbox: Sandbox, make_bridge: MakeBridge
) -> None:
    sandbox.put_leads("camp_one", [{"phone_number": PHONE, "answered": True}])
    sandbox.behave({"mode": "slow", "seconds": 2})
    bridge = make_bridge(campaigns=ONE)
    bridge.start_both()
    receipt = bridge.deliver("crm", {"id": "again", "phone": PHONE, "again": True})
    wait_until(sandbox.calls, what="the slow call")
    worker = bridge.worker
    assert worker is not None
    worker.terminate()
    assert sandbox.calls()[0].finished_ms is None
    assert worker.ended() == 0
    assert bridge.states(receipt) == ["updated"]
    assert bridge.said("worker", "worker stopped") == 1
    assert len(sandbox.calls()) == 1


def test_a_web_process_asked_to_stop_finishes_the_request_in_flight(
    make_bridge: MakeBridge,
) -> None:
    bridge = make_bridge()
    web = bridge.start_web(by_command=True)
    body = json.dumps(OPT_OUT).encode()
    with socket.create_connection(("127.0.0.1", bridge.port), timeout=20) as connection:
        connection.sendall(
            b"POST /hooks/crm HTTP/1.1\r\nHost: bridge\r\nConnection: close\r\n"
            b"Authorization: Bearer " + CRM_TOKEN.encode() + b"\r\n"
            b"Content-Length: %d\r\n\r\n" % len(body) + body[:10]
        )
        bridge.get("/livez")  # answered after the bytes above have reached the server
        web.terminate()
        wait_until(lambda: not _listens(bridge.port), what="the end of listening")
        connection.sendall(body[10:])
        answer = b"".join(iter(lambda: connection.recv(65_536), b""))
    head, _, document = answer.partition(b"\r\n\r\n")
    assert head.split()[1] == b"200"
    assert web.ended() == 0
    assert [row["receipt"] for row in bridge.deliveries()] == [json.loads(document)["receipt"]]


def test_a_web_process_asked_to_stop_ends_connections_that_are_kept(
    make_bridge: MakeBridge,
) -> None:
    """A proxy keeps connections and sends on; gunicorn kills who still serves it after 20 s."""
    bridge = make_bridge()
    web = bridge.start_web(by_command=True)
    body = json.dumps(OPT_OUT).encode()
    receipts = []

    def ends(connection: HTTPConnection, body: bytes | list[bytes]) -> bool:
        """Whether one more webhook is answered by what is the last of its connection."""
        connection.request("POST", "/hooks/crm", body, {"Authorization": f"Bearer {CRM_TOKEN}"})
        answer = connection.getresponse()
        assert answer.status == 200
        receipts.append(json.loads(answer.read())["receipt"])
        return answer.headers["Connection"] == "close"

    idle, whole, chunked = (HTTPConnection("127.0.0.1", bridge.port, timeout=5) for _ in range(3))
    busy: dict[HTTPConnection, bytes | list[bytes]] = {whole: body, chunked: [body]}
    for connection in (idle, *busy):
        assert not ends(connection, busy.get(connection, body))
    web.terminate()
    begun = time.monotonic()
    for connection, sent in busy.items():
        while not ends(connection, sent):
            assert time.monotonic() - begun < 10
    assert idle.sock.recv(1) == b""
    assert web.ended(10) == 0
    assert sorted(row["receipt"] for row in bridge.deliveries()) == sorted(receipts)


def _listens(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1):
            return True
    except OSError:
        return False


def running(bridge: Bridge, sandbox: Sandbox) -> tuple[Group, dict[str, int]]:
    """``crm-bridge run``, at work; and its children by name."""
    sandbox.put_leads("camp_one", [{"phone_number": PHONE}])
    group = bridge.start("run")
    bridge.wait_ready(group)
    receipt = bridge.deliver("crm", OPT_OUT)
    wait_until(lambda: bridge.states(receipt) == ["updated"], what="an update")
    children = {
        "web" if "gunicorn" in command else "worker": pid
        for pid, command in group.children().items()
    }
    assert set(children) == {"web", "worker"}
    return group, children


@pytest.mark.parametrize("victim", ["web", "worker"])
def test_run_ends_with_an_error_when_one_of_its_processes_is_killed(
    sandbox: Sandbox, make_bridge: MakeBridge, victim: str
) -> None:
    group, children = running(make_bridge(campaigns=ONE), sandbox)
    os.kill(children[victim], signal.SIGKILL)
    assert group.ended() == 1
    (line,) = [line for line in group.log.read_text().splitlines() if "process ended" in line]
    told = json.loads(line)
    assert (told["crmbridge.child"], told["process.exit_code"]) == (victim, -9)
    wait_until(lambda: not group.alive(), what="the end of all its processes")


def test_run_ends_well_when_asked_to(sandbox: Sandbox, make_bridge: MakeBridge) -> None:
    bridge = make_bridge(campaigns=ONE)
    group, _ = running(bridge, sandbox)
    (line,) = [line for line in group.log.read_text().splitlines() if "web is ready" in line]
    assert json.loads(line)["crmbridge.listening"] == f"127.0.0.1:{bridge.port}"
    group.terminate()
    assert group.ended() == 0
    assert not group.alive()


# --------------------------------------------------------------------- how they begin


def test_web_and_worker_warn_of_a_misspelt_setting(make_bridge: MakeBridge) -> None:
    bridge = make_bridge(campaigns=ONE, settings={"BRIDGE_BACH": "5"})
    bridge.start_both()
    for kind in ("web", "worker"):
        (line,) = [line for line in bridge.log(kind).splitlines() if "no such setting" in line]
        told = json.loads(line)
        assert told["log.level"] == "warning"
        assert "BRIDGE_BATCH" in told["crmbridge.advice"]


def test_a_second_worker_on_one_sqlite_file_waits_for_the_first(
    sandbox: Sandbox, make_bridge: MakeBridge
) -> None:
    bridge = make_bridge(campaigns=ONE)
    sandbox.put_leads("camp_one", [{"phone_number": PHONE}])
    bridge.start_web()
    first = bridge.start_worker()
    second = bridge.start_worker(ready=False)
    wait_until(lambda: bridge.said("worker", "another worker holds"), what="a waiting worker")
    receipt = bridge.deliver("crm", OPT_OUT)
    wait_until(lambda: bridge.states(receipt) == ["updated"], what="an update")
    assert bridge.said("worker", "worker started") == 1
    first.kill()
    wait_until(lambda: bridge.said("worker", "worker started") == 2, what="the second's turn")
    after = bridge.deliver("crm", {"phone": PHONE, "details": {"first_name": "Jane"}})
    wait_until(lambda: bridge.states(after) == ["updated"], what="another update")
    second.terminate()
    assert second.ended() == 0


def test_a_worker_ends_when_the_database_is_no_longer_for_its_version(
    make_bridge: MakeBridge,
) -> None:
    bridge = make_bridge()
    worker = bridge.start_worker()
    waiting = bridge.start_worker(ready=False)
    wait_until(lambda: bridge.said("worker", "another worker holds"), what="a waiting worker")
    with bridge.database.write() as connection:
        connection.exec_driver_sql("UPDATE compatibility SET oldest = '9998'")
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
        connection.exec_driver_sql("DROP TABLE worker")  # as the newer schema may
    assert worker.ended() == 2
    assert waiting.ended() == 2
    assert bridge.log("worker").count("9999, with which this process cannot go on") == 2
    assert bridge.said("worker", "worker started") == 1
    assert "Traceback" not in bridge.log("worker")


def _no_schema(bridge: Bridge) -> None:
    assert bridge.database.path is not None
    bridge.database.path.with_name("other.db").touch()
    bridge.env["DATABASE_URL"] = f"sqlite:///{bridge.folder / 'other.db'}"


def _bad_mapping(bridge: Bridge) -> None:
    (Path(bridge.env["BRIDGE_MAPPINGS"]) / "crm.yaml").write_text("source: crm\nrules: 5\n")


def _bad_setting(bridge: Bridge) -> None:
    bridge.env["BRIDGE_POLL"] = "often"


@pytest.mark.parametrize("kind", ["web", "worker"])
@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (_no_schema, "crm-bridge migrate"),
        (_bad_mapping, "crm.yaml:"),
        (_bad_setting, "BRIDGE_POLL"),
    ],
    ids=["no schema", "bad mapping", "bad setting"],
)
def test_a_process_that_cannot_start_says_why(
    tmp_path: Path, kind: str, spoil: Callable[[Bridge], Any], words: str
) -> None:
    nobody = Sandbox(tmp_path)  # it is not started: nothing comes to be sent
    nobody.url = f"http://127.0.0.1:{free_port()}"
    with bridge_over(tmp_path, nobody) as bridge:
        spoil(bridge)
        done = bridge.run(kind)
    assert done.returncode == 2
    assert words in done.stderr
    assert "Traceback" not in done.stderr
