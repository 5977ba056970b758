"""The Procfile's three lines start what they promise, as a platform would run them."""

from __future__ import annotations

from pathlib import Path

from bridge_process import Bridge, wait_until
from sandbox_client import Sandbox

from .conftest import bridge_over
from .mapping_files import write_mappings

PROCFILE = Path(__file__).parents[2] / "Procfile"


def lines() -> dict[str, str]:
    """Process name → command line."""
    found = [line.partition(":") for line in PROCFILE.read_text().splitlines() if line.strip()]
    return {name.strip(): command.strip() for name, _, command in found}


def test_release_web_and_worker_really_start(tmp_path: Path, sandbox: Sandbox) -> None:
    commands = lines()
    assert set(commands) == {"release", "web", "worker"}
    made: Bridge = bridge_over(
        tmp_path,
        sandbox,
        mappings=write_mappings(tmp_path / "mappings", {"one": "camp_one"}),
        settings={"DATABASE_URL": f"sqlite:///{tmp_path / 'released.db'}"},
    )
    sandbox.put_leads("camp_one", [{"phone_number": "+14155550123"}])
    # leaving the block ends the processes; entering it would do what the release line has to do
    try:
        release = made.start("release", ["/bin/sh", "-c", commands["release"]])
        assert release.ended() == 0, made.log("release")
        web = made.start("web", ["/bin/sh", "-c", commands["web"]])
        worker = made.start("worker", ["/bin/sh", "-c", commands["worker"]])
        made.wait_ready(web)
        receipt = made.deliver("crm", {"phone": "+14155550123", "dnc": True})
        wait_until(lambda: made.states(receipt) == ["updated"], what="an update")
        assert worker.status is None
        for group in (web, worker):
            group.terminate()
            assert group.ended() in (0, -15)
    finally:
        made.__exit__(None, None, None)
