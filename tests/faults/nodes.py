"""Three web processes and three workers on one PostgreSQL: two die, one sleeps past its lease.

    PYTHONPATH=tests .venv/bin/python -m faults.nodes --events 6000

Under load a web process and a worker are killed and stay dead, and a second worker is stopped for
longer than its lease, while the API misbehaves; the rest takes over. Then the judge of the crash
matrix has the word.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from bridge_process import Bridge, wait_until
from sandbox_client import Sandbox
from system.story import CAMPAIGNS, Story

from . import crm
from .ending import unwind_on_sigterm
from .judge import judge
from .one_run import stage, story_of
from .plan import LEASE_S, Plan, drawn
from .server import Server, serving

NODES = 3


def plan_of(seed: int, events: int) -> Plan:
    """The plan of a seed for many nodes: a good deal of load, no look-ups."""
    plan = drawn(seed, "postgresql", CAMPAIGNS)
    return replace(
        plan,
        events=events,
        leads=max(30, events // 20),
        mean_size=5,
        by_contact=0.0,
        hubspot=None,
        processes=NODES,
        actions=(),
    )


def run(plan: Plan, folder: Path, server: Server) -> dict[str, int]:
    """Carry it out; AssertionError says what did not hold. Returns figures."""
    story = story_of(plan)
    with stage(plan, story, folder, server) as (sandbox, bridge):
        bridge.start_both()
        begun = time.monotonic()
        receipts = _under_load(bridge, sandbox, story, plan)
        judge(bridge, sandbox, story, receipts)
        return {
            "events": len(story.told),
            "deliveries": len(bridge.deliveries()),
            "outcomes": len(bridge.outcomes()),
            "calls": len(sandbox.calls()),
            "leads freed from lost workers": bridge.said("worker", "leads freed from a lost"),
            "leases lost before the result": bridge.said("worker", "lease lost before the result"),
            "seconds": round(time.monotonic() - begun),
        }


def _under_load(bridge: Bridge, sandbox: Sandbox, story: Story, plan: Plan) -> list[str]:
    """Send everything; kill two and stop one while calls are being made."""
    draw = plan.draw("nodes")

    def after_calls(count: int) -> None:
        moment = int(sandbox.stats()["calls"]) + count
        wait_until(
            lambda: int(sandbox.stats()["calls"]) >= moment or sending.done(), 60, "more calls"
        )

    with ThreadPoolExecutor(1) as pool:
        sending: Future[list[str]] = pool.submit(
            crm.send, bridge, story, plan.draw("crm"), seconds=plan.events / 150, hands=8
        )
        after_calls(draw.randint(3, 12))
        bridge.workers[0].kill()
        after_calls(draw.randint(3, 12))
        os.killpg(bridge.workers[1].pid, signal.SIGSTOP)
        slept = time.monotonic()
        after_calls(draw.randint(1, 6))
        bridge.webs[0].kill()
        wait_until(lambda: time.monotonic() > slept + LEASE_S + 1.5, 60, "the end of its lease")
        os.killpg(bridge.workers[1].pid, signal.SIGCONT)
        return sending.result()


def main(argv: Sequence[str]) -> int:
    """The command; exit status 1 if something did not hold."""
    parser = argparse.ArgumentParser(prog="faults.nodes", description=__doc__)
    parser.add_argument("--events", type=int, default=6000)
    parser.add_argument("--seed", type=int, default=1, help="of the first run")
    parser.add_argument("--runs", type=int, default=1)
    options = parser.parse_args(argv)
    with serving() as server:
        for seed in range(options.seed, options.seed + options.runs):
            folder = Path(tempfile.mkdtemp(prefix=f"crm-bridge-nodes-{seed}-"))
            sys.stdout.write(f"seed {seed}, files in {folder}\n")
            sys.stdout.flush()
            figures = run(plan_of(seed, options.events), folder, server)
            for name, value in figures.items():
                sys.stdout.write(f"  {name}: {value}\n")
    return 0


if __name__ == "__main__":
    unwind_on_sigterm()
    raise SystemExit(main(sys.argv[1:]))
