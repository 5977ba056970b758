"""The process: nothing is lost by a kill, a signal ends it cleanly, a bad start says why."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from pathlib import Path

import httpx
import pytest
from sandbox_client import Sandbox

from .conftest import Caller

PHONE = "+14155550101"


def test_everything_outlives_a_kill(tmp_path: Path) -> None:
    sandbox = Sandbox(tmp_path, "--add-delay-ms=-1", campaigns=["c"])
    with sandbox:
        sandbox.put_leads("c", [{"phone_number": PHONE, "answered": True}])
        sandbox.put_contacts([{"id": "7", "properties": {"phone": PHONE}}])
        caller = Caller(sandbox)
        caller.add("c", [{"phone_number": "+14155550102"}])
        sandbox.behave({"mode": "429"}, {"mode": "close_after"}, {"mode": "status", "status": 500})
        assert caller.update("c", [{"phone_number": PHONE}]).status_code == 429
        with pytest.raises(httpx.RemoteProtocolError):
            caller.update("c", [{"phone_number": PHONE, "do_not_call": True}])
        url, leads, calls = sandbox.url, sandbox.leads("c"), sandbox.calls()
        assert leads[PHONE].do_not_call

        sandbox.kill()
        sandbox.start()

        assert (sandbox.url, sandbox.leads("c"), sandbox.calls()) == (url, leads, calls)
        assert Caller(sandbox).update("c", [{"phone_number": PHONE}]).status_code == 500
        assert sandbox.settle() == 1
        assert Caller(sandbox).read(["7"], "phone").json()["results"][0]["id"] == "7"
        after = calls[-1].seq
        assert [call.status for call in sandbox.calls(after)] == [500]
        assert all(call.seq > after for call in sandbox.calls(after))


def test_a_kill_in_the_middle_of_calls_leaves_each_applied_and_noted_or_neither(
    tmp_path: Path,
) -> None:
    phones = [f"+1415555{number:04}" for number in range(100)]
    with Sandbox(tmp_path, campaigns=["c"]) as sandbox:
        sandbox.put_leads("c", [{"phone_number": phone} for phone in phones])
        answered: list[int] = []
        enough = threading.Event()

        def write() -> None:
            caller = Caller(sandbox)
            for number in range(100_000):
                rows = [{"phone_number": phone, "first_name": str(number)} for phone in phones]
                try:
                    caller.update("c", rows).raise_for_status()
                except httpx.TransportError:
                    return
                answered.append(number)
                if number == 20:
                    enough.set()

        writer = threading.Thread(target=write)
        writer.start()
        assert enough.wait(30)
        sandbox.kill()
        writer.join(30)
        assert not writer.is_alive()
        sandbox.start()

        last = sandbox.calls()[-1]
        assert int(last.elements[0]["first_name"]) in {answered[-1], answered[-1] + 1}
        names = {lead.first_name for lead in sandbox.leads("c").values()}
        assert names == {last.elements[0]["first_name"]}


def test_a_signal_lets_the_call_in_flight_be_answered(tmp_path: Path) -> None:
    with Sandbox(tmp_path, campaigns=["c"]) as sandbox:
        sandbox.behave({"mode": "slow", "seconds": 0.7})
        statuses: list[int] = []

        def update() -> None:
            statuses.append(Caller(sandbox).update("c", [{"phone_number": PHONE}]).status_code)

        calling = threading.Thread(target=update)
        calling.start()
        while not sandbox.calls():
            assert calling.is_alive()
        assert sandbox.stop() == 0
        calling.join(30)
        assert statuses == [200]
        assert sandbox.log.read_text() == ""


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--database", "{folder}/missing/x.db", "--token", "t"], "cannot be used"),
        (["--database", "{folder}/text", "--token", "t"], "cannot be used"),
        (["--database", "{folder}/x.db", "--token", ""], "token"),
        (["--database", "{folder}/x.db", "--token", "t", "--port", "{taken}"], "cannot start"),
        (["--database", "{folder}/x.db", "--token", "t", "--port", "99999"], "cannot start"),
    ],
)
def test_a_start_that_fails_says_why(tmp_path: Path, arguments: list[str], says: str) -> None:
    (tmp_path / "text").write_text("this is no database, however long one looks at it\n" * 50)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        filled = [argument.format(folder=tmp_path, taken=port) for argument in arguments]
        ended = subprocess.run(
            [sys.executable, "-m", "bridge.sandbox", *filled],
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
    assert ended.returncode == 1
    assert says in ended.stderr
    assert "Traceback" not in ended.stderr
    assert ended.stdout == ""


def test_the_control_interface_names_mistakes_and_changes_nothing(
    sandbox: Sandbox, caller: Caller, campaign: str
) -> None:
    lead = {"campaign": campaign, "phone_number": PHONE}
    for path, body, status in [
        ("leads", [lead, {**lead, "answered": "no"}], 422),
        ("leads", [lead, {**lead, "campaign": "camp_nowhere"}], 404),
        ("leads", lead, 422),
        ("campaigns", ["", campaign], 422),
        ("contacts", [{"id": 7}], 422),
        ("contacts", [{"id": "7", "created_at": "yesterday"}], 422),
    ]:
        response = caller.call("PUT", f"/sandbox/{path}", body)
        assert (path, response.status_code) == (path, status)
        assert response.json()["error"]
    for after in ("x", "-1", "9" * 30):
        assert caller.http.get(f"/sandbox/calls?after={after}").status_code == 422
    assert sandbox.leads(campaign) == {}


def test_counts(tmp_path: Path) -> None:
    with Sandbox(tmp_path, campaigns=["a", "b"]) as sandbox:
        sandbox.put_leads("a", [{"phone_number": PHONE, "answered": True}])
        caller = Caller(sandbox)
        caller.update("a", [{"phone_number": PHONE, "mark_as_unanswered": True}])
        caller.update("a", [{"phone_number": PHONE, "do_not_call": True}])
        caller.update("none", [{"phone_number": PHONE}])
        assert sandbox.stats() == {
            "campaigns": 2,
            "leads": 1,
            "do_not_call": 1,
            "requeued": 1,
            "queued_leads": 0,
            "contacts": 0,
            "calls": 3,
            "applied": 2,
            "by_endpoint": {"bulk_update": 3},
            "by_status": {"200": 2, "404": 1},
            "by_mode": {"ok": 3},
        }
