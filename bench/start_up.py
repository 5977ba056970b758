"""Starting: until the command line helps, a payload is tried, the mapping files are checked and
the web process is ready."""

from __future__ import annotations

import resource
import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from typing import NamedTuple

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
COMMANDS: dict[str, tuple[tuple[str, ...], dict[str, str], float]] = {
    "crm-bridge --help": (("--help",), {}, 300),
    "mapping try, no database": (TRY, {"DATABASE_URL": "sqlite:///not-there.db"}, 500),
    "mapping try, with a database": (TRY, {}, 500),
    "mapping check, shipped files": (
        ("mapping", "check", "--strict"),
        {"BRIDGE_MAPPINGS": str(ROOT / "mappings")},
        1000,
    ),
}
"""Words, settings, and how many milliseconds each may take with the start of its process."""


class Start(NamedTuple):
    """One command from its start to its end: by the clock, and what it took of a processor."""

    wall_s: float
    cpu_s: float


def start_up(engine: str, options: Options) -> Report:
    """``crm-bridge --help``, ``mapping try`` without and with a database, ``mapping check`` over
    the shipped files, and the web process from its start to its first 200 of /readyz.
    """
    rounds = options.rounds or ROUNDS
    report = Report("start-up", engine, f"{rounds} starts of each, in turns")
    with rig(engine) as bridge:
        report.durability = bridge.durability()
        starts: dict[str, list[Start]] = {name: [] for name in COMMANDS}
        readies: list[float] = []
        for _ in range(rounds):
            for name, (words, env, _) in COMMANDS.items():
                starts[name].append(_command(bridge, *words, **env))
            readies.append(_ready(bridge))
    for name, (_, _, most) in COMMANDS.items():
        report.add(name, 1000 * median(one.wall_s for one in starts[name]), "ms", most=most)
        report.add("slowest of them", 1000 * max(one.wall_s for one in starts[name]), "ms")
        report.add("processor time", 1000 * median(one.cpu_s for one in starts[name]), "ms")
    report.add("web process ready", median(readies), "s", most=1.5)
    report.add("slowest of them", max(readies), "s")
    return report


def _command(bridge: Rig, *words: str, **env: str) -> Start:
    script = Path(sys.executable).parent / "crm-bridge"
    started, used = time.perf_counter(), _children_s()
    subprocess.run(  # noqa: S603 - our own command
        [script, *words],
        env={**bridge.env, **env},
        check=True,
        capture_output=True,
        timeout=START_S,
    )
    return Start(time.perf_counter() - started, _children_s() - used)


def _children_s() -> float:
    """The processor time of all children that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


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
