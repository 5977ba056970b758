"""The API is down while events arrive, then returns: all drains, opt-outs first, memory flat.

    PYTHONPATH=tests .venv/bin/python -m faults.outage                        100,000 events
    PYTHONPATH=tests .venv/bin/python -m faults.outage --events 5000 --down 503

The same load runs for a while before the outage, so that accept latency and memory can be
compared. Stops by itself after ``--minutes``.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bridge_process import Bridge, wait_until
from sandbox_client import Sandbox
from system.mapping_files import write_mappings

from .ending import unwind_on_sigterm
from .load import MEGABYTE, Spread, Watch, deliver_steadily, memory
from .server import Server, serving

CAMPAIGN = "camp_one"
OPT_OUTS = 0.05
"""The share of events that opt out."""

SETTINGS = {"BRIDGE_LEASE": "30", "BRIDGE_BACKOFF": "0.1", "BRIDGE_BACKOFF_MAX": "2"}


@dataclass(frozen=True)
class Outage:
    """How much, how fast, and how the API is down: ``503``, ``closed`` or ``refused``."""

    events: int
    leads: int
    per_delivery: int
    events_per_s: float
    down: str
    minutes: float = 30
    seed: int = 1


@dataclass(frozen=True)
class Found:
    """What was measured. Memory in bytes; ``ahead``: others that were sent before the last
    opt-out of the backlog."""

    before: Spread
    during: Spread
    memory_before: int
    memory_most: int
    backlog: int
    opt_outs: int
    opt_outs_done_s: float
    all_done_s: float
    ahead: int
    others: int

    def lines(self) -> Iterator[str]:
        """The figures, for people."""
        yield f"accept latency before the outage:  {self.before}"
        yield f"accept latency during the outage:  {self.during}"
        median, tail = self.during.p50 / self.before.p50, self.during.p99 / self.before.p99
        yield f"  ratio: median {median:.2f}, 99th percentile {tail:.2f}"
        before, most = self.memory_before / MEGABYTE, self.memory_most / MEGABYTE
        yield f"memory of web and worker: {before:.0f} MB before, {most:.0f} MB at most after that"
        yield f"backlog when the API returned: {self.backlog} open updates"
        yield f"all {self.opt_outs} opt-outs confirmed after {self.opt_outs_done_s:.1f} s"
        yield f"everything confirmed after {self.all_done_s:.1f} s"
        yield f"leads sent before the last opt-out: {self.ahead} of {self.others} others"


class Crm:
    """Numbered events about leads, some of which opt out; every lead opts out once at most."""

    def __init__(self, outage: Outage) -> None:
        self._draw = random.Random(outage.seed)
        self._outage = outage
        self._number = 0
        self._at = 1_700_000_000_000
        self.opted_out: set[str] = set()
        self.named: dict[str, str] = {}
        self.phones = [
            f"+1415{number:07d}" for number in range(5_550_000, 5_550_000 + outage.leads)
        ]

    def deliveries(self, events: int) -> Iterator[list[dict[str, Any]]]:
        """So many events, in deliveries."""
        made = 0
        while made < events:
            size = min(self._outage.per_delivery, events - made)
            yield [self._event() for _ in range(size)]
            made += size

    def _event(self) -> dict[str, Any]:
        self._number += 1
        phone = self._draw.choice(self.phones)
        event: dict[str, Any] = {"id": self._number, "at": self._at + self._number, "phone": phone}
        if self._draw.random() < OPT_OUTS:
            self.opted_out.add(phone)
            return {**event, "dnc": True}
        self.named[phone] = f"Name {self._number}"
        return {**event, "details": {"first_name": self.named[phone]}}


def run(outage: Outage, folder: Path, server: Server | None) -> Found:
    """Carry it out; AssertionError if something was lost, or does not drain in time."""
    crm = Crm(outage)
    deadline = time.monotonic() + outage.minutes * 60
    with ExitStack() as stack:
        sandbox = stack.enter_context(Sandbox(folder, campaigns=[CAMPAIGN]))
        for start in range(0, len(crm.phones), 5000):
            part = crm.phones[start : start + 5000]
            sandbox.put_leads(CAMPAIGN, [{"phone_number": phone} for phone in part])
        bridge = stack.enter_context(
            Bridge(
                folder,
                mappings=write_mappings(folder / "mappings", {"one": CAMPAIGN}),
                api_url=sandbox.url,
                api_token=sandbox.token,
                settings=SETTINGS,
                database_url=None if server is None else stack.enter_context(server.database()),
            )
        )
        bridge.start_both()
        return _measured(outage, crm, bridge, sandbox, deadline)


def _measured(outage: Outage, crm: Crm, bridge: Bridge, sandbox: Sandbox, deadline: float) -> Found:
    pace = outage.events_per_s / outage.per_delivery
    bodies = list(crm.deliveries(max(1000, outage.events // 10)))
    deliver_steadily(bridge, bodies[: len(bodies) // 3], per_s=pace)  # warms everything up
    before = Spread.of(deliver_steadily(bridge, bodies[len(bodies) // 3 :], per_s=pace))
    bridge.wait_settled(deadline - time.monotonic())

    groups = [*bridge.webs.values(), *bridge.workers.values()]
    memory_before = memory(groups)
    calls_before = int(sandbox.stats()["calls"])
    _take_down(sandbox, outage.down)
    with Watch(lambda: memory(groups)) as watch:
        during = Spread.of(deliver_steadily(bridge, crm.deliveries(outage.events), per_s=pace))
        wait_until(lambda: not _stored(bridge), deadline - time.monotonic(), "taking in")
        backlog = _open(bridge)
        if outage.down != "refused":
            calls_before = int(sandbox.stats()["calls"])
        _bring_back(sandbox, outage.down)
        returned = time.monotonic()
        wait_until(
            lambda: not _open(bridge, "AND opts_out"), deadline - time.monotonic(), "opt-outs"
        )
        opt_outs_done = time.monotonic() - returned
        bridge.wait_settled(deadline - time.monotonic())
        all_done = time.monotonic() - returned
    _check(crm, bridge, sandbox)
    sent = [element for call in sandbox.calls(after=calls_before) for element in call.elements]
    opts_out = [number for number, element in enumerate(sent) if element.get("do_not_call")]
    last = max(opts_out, default=0)
    return Found(
        before=before,
        during=during,
        memory_before=memory_before,
        memory_most=max(watch.seen),
        backlog=backlog,
        opt_outs=len(opts_out),
        opt_outs_done_s=opt_outs_done,
        all_done_s=all_done,
        ahead=last + 1 - len(opts_out),
        others=len(sent) - len(opts_out),
    )


def _take_down(sandbox: Sandbox, how: str) -> None:
    if how == "refused":
        sandbox.kill()
    else:
        mode = {"mode": "close"} if how == "closed" else {"mode": "status", "status": 503}
        sandbox.behave(campaign=CAMPAIGN, default=mode)


def _bring_back(sandbox: Sandbox, how: str) -> None:
    if how == "refused":
        sandbox.start()
    else:
        sandbox.behave(campaign=CAMPAIGN)


def _stored(bridge: Bridge) -> int:
    with bridge.database.read() as connection:
        query = "SELECT count(*) FROM delivery WHERE state = 'stored'"
        return int(connection.exec_driver_sql(query).scalar() or 0)


def _open(bridge: Bridge, only: str = "") -> int:
    with bridge.database.read() as connection:
        query = f"SELECT count(*) FROM outcome WHERE state IN ('waiting', 'in_flight') {only}"
        return int(connection.exec_driver_sql(query).scalar() or 0)


def _check(crm: Crm, bridge: Bridge, sandbox: Sandbox) -> None:
    leads = sandbox.leads(CAMPAIGN)
    for phone in crm.phones:
        assert leads[phone].do_not_call == (phone in crm.opted_out), phone
        assert leads[phone].first_name == crm.named.get(phone), phone
    with bridge.database.read() as connection:
        query = "SELECT state, count(*) FROM outcome GROUP BY state"
        states = {row[0]: row[1] for row in connection.exec_driver_sql(query)}
    assert set(states) <= {"updated", "superseded"}, states


def main(argv: Sequence[str]) -> int:
    """The command; exit status 1 if something was lost or did not drain."""
    parser = argparse.ArgumentParser(prog="faults.outage", description=__doc__)
    add = parser.add_argument
    add("--events", type=int, default=100_000)
    add("--leads", type=int, default=20_000)
    add("--per-delivery", type=int, default=20)
    add("--events-per-s", type=float, default=1000)
    add("--down", choices=("refused", "closed", "503"), default="refused")
    add("--engine", choices=("sqlite", "postgresql"), default="sqlite")
    add("--minutes", type=float, default=30)
    options = parser.parse_args(argv)
    outage = Outage(
        events=options.events,
        leads=options.leads,
        per_delivery=options.per_delivery,
        events_per_s=options.events_per_s,
        down=options.down,
        minutes=options.minutes,
    )
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="crm-bridge-outage-")))
        server = stack.enter_context(serving()) if options.engine == "postgresql" else None
        sys.stdout.write(f"{outage.events} events while the API is down ({outage.down})\n")
        sys.stdout.flush()
        for line in run(outage, folder, server).lines():
            sys.stdout.write(f"{line}\n")
    return 0


if __name__ == "__main__":
    unwind_on_sigterm()
    raise SystemExit(main(sys.argv[1:]))
