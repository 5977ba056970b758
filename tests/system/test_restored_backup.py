"""A backup is restored as the handbook has it: nobody is called who has opted out since."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

from bridge_process import Bridge, wait_until
from sandbox_client import Sandbox

from bridge.clock import now_ms
from bridge.store.database import Database

from .conftest import MakeBridge

PHONE = "+14155550123"


def back_up(bridge: Bridge, copy: Path) -> None:
    with (
        closing(sqlite3.connect(bridge.folder / "bridge.db")) as live,
        closing(sqlite3.connect(copy)) as made,
    ):
        live.backup(made)


def restore(bridge: Bridge, copy: Path) -> None:
    bridge.database.close()
    for ending in ("", "-wal", "-shm"):
        (bridge.folder / f"bridge.db{ending}").unlink(missing_ok=True)
    shutil.copy(copy, bridge.folder / "bridge.db")
    bridge.database = Database(bridge.database.url)  # the one before would not take it for its own


def test_what_waited_when_a_backup_was_made_undoes_no_opt_out_that_came_since(
    tmp_path: Path, sandbox: Sandbox, make_bridge: MakeBridge
) -> None:
    bridge = make_bridge(campaigns={"one": "camp_one"})
    web = bridge.start_web()
    now = now_ms()
    opt_in = {"dnc": False, "allowed": True, "again": True, "at": now - 2000}
    bridge.deliver("crm", [{"id": "1", "phone": PHONE, **opt_in}])
    back_up(bridge, tmp_path / "copy.db")
    # it was sent, and so was the opt-out that came next
    opt_out = [{"id": "2", "phone": PHONE, "dnc": True, "at": now - 1000}]
    sandbox.put_leads("camp_one", [{"phone_number": PHONE, "answered": True, "do_not_call": True}])
    web.kill()
    restore(bridge, tmp_path / "copy.db")
    assert bridge.call("campaigns", "pause", "one").returncode == 0
    bridge.start_both()
    wait_until(lambda: [row["state"] for row in bridge.outcomes()] == ["waiting"], 30, "the queue")
    again = bridge.deliver("crm", opt_out)
    wait_until(lambda: bridge.states(again) == ["updated"], 30, "the opt-out")
    assert bridge.call("campaigns", "resume", "one").returncode == 0
    bridge.wait_settled()
    lead = sandbox.leads("camp_one")[PHONE]
    assert (lead.do_not_call, lead.requeued) == (True, 0)
    assert bridge.call("audit", "--full").returncode == 0
