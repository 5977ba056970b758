"""Disk full, read-only, file gone, locked: 503 and one line, and all is well again by itself.

One bridge on a small file system of its own, at which one thing after another goes wrong.
"""

from __future__ import annotations

import os
import re
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path

import pytest
from bridge_process import Bridge, wait_until
from sandbox_client import Sandbox

from bridge.errors import StoreBusy
from bridge.store import deliveries

from .conftest import MakeBridge

PHONE = "+14155550123"
MEGABYTES = 24
UNTESTED = "not tested: a file system that is full or read-only (needs root and mount)"


@contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """A file system of a few megabytes; the test is skipped, with a word, where none can be had."""
    folder.mkdir()
    options = ["mount", "-t", "tmpfs", "-o", f"size={MEGABYTES}m", "tmpfs", str(folder)]
    try:
        subprocess.run(options, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip(UNTESTED)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@contextmanager
def full(disk: Path) -> Iterator[None]:
    """Nothing more fits on the disk."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as stream:
        try:
            while stream.write(b"x" * 65_536):
                pass
        except OSError:
            pass
    yield
    filler.unlink()


@contextmanager
def read_only(disk: Path) -> Iterator[None]:
    """The file system is read-only; no file on it may be open for writing when this begins."""
    done = subprocess.run(
        ["mount", "-o", "remount,ro", str(disk)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    yield
    subprocess.run(["mount", "-o", f"remount,rw,size={MEGABYTES}m", str(disk)], check=True)


@contextmanager
def gone(disk: Path) -> Iterator[None]:
    """The files of the database were moved away."""
    away = disk / "away"
    away.mkdir()
    files = [path for path in disk.glob("bridge.db*") if path.is_file()]
    for path in files:
        path.rename(away / path.name)
    yield
    assert not (disk / "bridge.db").exists(), "an empty database in its place"
    for path in files:
        (away / path.name).rename(path)
    away.rmdir()


HOLD = """
import sqlite3, sys
held = sqlite3.connect(sys.argv[1], isolation_level=None)
held.execute("BEGIN IMMEDIATE")
print("held", flush=True)
sys.stdin.read()
"""


@contextmanager
def locked(disk: Path) -> Iterator[None]:
    """Another process holds the write lock."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(disk / "bridge.db")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as other:
        assert other.stdout is not None
        assert other.stdin is not None
        assert other.stdout.readline() == b"held\n"
        yield
        other.stdin.close()
        other.wait(20)


def survives(
    bridge: Bridge, disk: Path, trouble: Callable[[Path], AbstractContextManager[None]]
) -> None:
    """One kind of trouble: what is answered while it lasts, and that it passes."""
    stored = len(bridge.deliveries())
    said = {kind: len(bridge.log(kind).splitlines()) for kind in ("web", "worker")}
    body = {"phone": PHONE, "details": {"custom": {"note": "x" * 200_000}}}
    with trouble(disk):
        wait_until(lambda: bridge.get("/readyz").status_code == 503, what="not ready")
        posts = [{"id": f"{trouble} {number}", **body} for number in range(30)]
        with ThreadPoolExecutor(10) as senders:  # each waits for a second while it is locked
            replies = list(senders.map(partial(bridge.post, "crm"), posts))
        assert {reply.status_code for reply in replies} <= {200, 503}
        # there may have been room left in the database's own files
        taken = [reply.json()["receipt"] for reply in replies if reply.status_code == 200]
        assert bridge.post("crm", body).status_code == 503
        assert bridge.get("/livez").status_code == 200
        assert bridge.get("/readyz").status_code == 503
    wait_until(lambda: bridge.get("/readyz").status_code == 200, 60, "ready again")
    receipt = bridge.deliver("crm", {"id": f"after {trouble}", "phone": PHONE, "dnc": True})
    wait_until(lambda: bridge.states(receipt) == ["updated"], 60, "the worker at work again")
    assert len(bridge.deliveries()) == stored + len(taken) + 1
    for kind, before in said.items():
        lines = bridge.log(kind).splitlines()[before:]
        loud = [line for line in lines if re.search(r'level":"(error|warning)"', line)]
        assert len(loud) < 12, "\n".join(loud)
    assert bridge.web is not None
    assert bridge.worker is not None
    assert (bridge.web.status, bridge.worker.status) == (None, None)


@pytest.mark.skipif(os.geteuid() != 0, reason=UNTESTED)
def test_trouble_with_the_disk_is_answered_503_and_passes_without_a_restart(
    tmp_path: Path, sandbox: Sandbox, make_bridge: MakeBridge
) -> None:
    sandbox.put_leads("camp_one", [{"phone_number": PHONE}])
    with small_disk(tmp_path / "disk") as disk:
        url = f"sqlite:///{disk / 'bridge.db'}"
        with make_bridge(campaigns={"one": "camp_one"}, database_url=url) as bridge:
            bridge.start_both()
            for trouble in (full, locked, gone):
                survives(bridge, disk, trouble)
            done = bridge.run("audit", "--full")
            assert done.returncode == 0, done.stdout + done.stderr
            with sqlite3.connect(disk / "bridge.db") as raw:
                assert raw.execute("PRAGMA integrity_check").fetchone() == ("ok",)


@pytest.mark.skipif(os.geteuid() != 0, reason=UNTESTED)
def test_a_read_only_file_system_is_busy_and_takes_writes_once_it_may_be_written(
    tmp_path: Path, make_bridge: MakeBridge
) -> None:
    with small_disk(tmp_path / "disk") as disk:
        bridge = make_bridge(database_url=f"sqlite:///{disk / 'bridge.db'}")
        database = bridge.database
        database.close()  # what is open for writing would keep the file system from this
        with read_only(disk):
            for _ in range(2):
                with pytest.raises(StoreBusy), database.write():
                    pass
            for kind in ("web", "worker", "migrate"):
                done = bridge.run(kind)
                assert done.returncode == 2
                assert "the database" in done.stderr
                assert "Traceback" not in done.stderr
        with database.write() as connection:
            deliveries.prove_writable(connection, "web", 1)


def test_processes_that_are_asked_to_stop_end_though_the_database_is_locked(
    make_bridge: MakeBridge,
) -> None:
    bridge = make_bridge()
    bridge.start_web()
    first = bridge.start_worker()
    waiting = bridge.start_worker(1, ready=False)
    wait_until(lambda: bridge.said("worker", "another worker holds"), 60, "a waiting worker")
    assert bridge.web is not None
    with locked(bridge.folder):
        waiting.terminate()
        assert waiting.ended() == 0
        for group in (bridge.web, first):
            group.terminate()
        assert [group.ended() for group in (bridge.web, first)] == [0, 0]
    assert "Traceback" not in bridge.log("worker") + bridge.log("web")
