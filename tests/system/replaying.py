"""Replays of a running bridge, made as the command line makes them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bridge_process import Bridge, wait_until

from bridge.live import LiveMappings
from bridge.settings import Environment, Settings
from bridge.steps import replay_control as control
from bridge.steps.equipment import Bounds
from bridge.steps.replay_choice import Choice
from bridge.steps.replay_plan import Plan, Planner, Wish
from bridge.steps.replay_select import CURRENT, Selection

END_S = 120.0


def start(
    bridge: Bridge,
    *,
    mapping: str = CURRENT,
    marks: bool = False,
    rate: float = 1000.0,
    **selected: Any,
) -> int:
    """Make a replay and let the workers begin; returns its id."""
    number = control.create(
        bridge.database, Selection(**selected), Wish(mapping, marks), rate, actor="Ada"
    )
    assert control.prepare(bridge.database, number)
    return number


def wait(bridge: Bridge, number: int) -> control.Report:
    """Wait until nothing more will come of a replay."""

    def ended() -> control.Report | None:
        report = control.report_of(bridge.database, number)
        return report if report.settled else None

    found: control.Report = wait_until(
        ended,
        END_S,
        what=lambda: f"{control.report_of(bridge.database, number).as_json()}",
    )
    return found


def replay(bridge: Bridge, **wanted: Any) -> tuple[int, dict[str, int]]:
    """Make a replay and wait for its end: its id, and its outcomes by state."""
    number = start(bridge, **wanted)
    return number, {state.value: n for state, n in wait(bridge, number).states.items()}


def plan(bridge: Bridge, *, mapping: str = CURRENT, marks: bool = False, **selected: Any) -> Plan:
    """What a replay would do."""
    settings = Settings(Environment(bridge.env))
    live = LiveMappings(settings)
    planner = Planner(bridge.database, live.current(), Choice(live.compile), Bounds.of(settings))
    return planner.plan(Selection(**selected), Wish(mapping, marks))


def edit(bridge: Bridge, source: str, text: str) -> None:
    """Change a mapping file, and wait until every process has taken it in."""
    running = {"web": bridge.webs, "worker": bridge.workers}
    before = {kind: bridge.said(kind, "mappings taken in") for kind in running}

    def seen() -> bool:
        for number, web in bridge.webs.items():
            bridge.wait_ready(web, number)  # a web process looks when it is asked
        return all(
            bridge.said(kind, "mappings taken in") >= count + len(running[kind])
            for kind, count in before.items()
        )

    (Path(bridge.env["BRIDGE_MAPPINGS"]) / f"{source}.yaml").write_text(text)
    wait_until(seen, END_S, "an edit that every process has seen")
