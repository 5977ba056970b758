"""Starting: until the command line helps, a payload is tried and the web process is ready."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from statistics import median

import httpx

from bench.options import Options
from bench.report import Report
from bench.rig import ROOT, START_S, Rig, rig, wait_for

ROUNDS = 10
TRY = (
    "mapping",
    "try",
    "hubspot",
    str(ROOT / "mappings/payloads/hubspot-app-property-change-do-not-call.json"),
    "--json",
)


def start_up(engine: str, options: Options) -> Report:
    """``crm-bridge --help``, ``mapping try`` without and with a database, and the web process
    from its start to its first 200 of /readyz.
    """
    rounds = options.rounds or ROUNDS
    report = Report("start-up", engine, f"{rounds} starts of each, in turns")
    with rig(engine) as bridge:
        report.durability = bridge.durability()
        helps: list[float] = []
        tries: list[float] = []
        recalls: list[float] = []
        readies: list[float] = []
        for _ in range(rounds):
            helps.append(_command(bridge, "--help"))
            tries.append(_command(bridge, *TRY, DATABASE_URL="sqlite:///not-there.db"))
            recalls.append(_command(bridge, *TRY))
            readies.append(_ready(bridge))
    report.add("crm-bridge --help", 1000 * median(helps), "ms", most=300)
    report.add("slowest of them", 1000 * max(helps), "ms")
    report.add("mapping try, no database", 1000 * median(tries), "ms", most=500)
    report.add("slowest of them", 1000 * max(tries), "ms")
    report.add("mapping try, with a database", 1000 * median(recalls), "ms", most=500)
    report.add("slowest of them", 1000 * max(recalls), "ms")
    report.add("web process ready", median(readies), "s", most=1.5)
    report.add("slowest of them", max(readies), "s")
    return report


def _command(bridge: Rig, *words: str, **env: str) -> float:
    script = Path(sys.executable).parent / "crm-bridge"
    started = time.perf_counter()
    subprocess.run(  # noqa: S603 - our own command
        [script, *words],
        env={**bridge.env, **env},
        check=True,
        capture_output=True,
        timeout=START_S,
    )
    return time.perf_counter() - started


def _ready(bridge: Rig) -> float:
    url = f"{bridge.url}/readyz"
    started = time.perf_counter()
    process = bridge.start("gunicorn", "--config", "python:bridge.gunicorn_conf", log="web.log")
    with httpx.Client(trust_env=False, timeout=5) as client:

        def ready() -> bool:
            try:
                return client.get(url).status_code == 200
            except httpx.TransportError:
                return False

        wait_for(ready, START_S, "readiness", every_s=0.005)
    seconds = time.perf_counter() - started
    bridge.stop(process)
    return seconds
