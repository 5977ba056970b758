"""A noisy neighbour: what one campaign's trouble costs another, measured by turns.

    PYTHONPATH=tests .venv/bin/python -m faults.neighbour --trouble slow
    PYTHONPATH=tests .venv/bin/python -m faults.neighbour --trouble 503 --engine postgresql

Both campaigns get events all the time. In blocks A the loud campaign answers well; in blocks B it
answers after ten seconds, or always with 503. The time of the quiet campaign's events from
acceptance to outcome is compared; A B A B, so that whatever else the machine does hits both.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bridge_process import Bridge
from sandbox_client import Sandbox
from system.mapping_files import write_mappings

from .ending import unwind_on_sigterm
from .load import Spread, deliver_steadily
from .server import Server, serving

CAMPAIGNS = {"quiet": "camp_quiet", "loud": "camp_loud"}
PHONES = [f"+1415555{number:04d}" for number in range(1000)]
TROUBLES: dict[str, dict[str, Any]] = {
    "slow": {"mode": "slow", "seconds": 10},
    "503": {"mode": "status", "status": 503},
}
ALLOWED = 1.1
"""A neighbour may cost less than a tenth."""


@dataclass(frozen=True)
class Measure:
    """``pairs`` of blocks of ``seconds`` each; so many events a second for each campaign."""

    trouble: str
    pairs: int
    seconds: float
    per_s: float
    settings: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Found:
    """The times of the quiet campaign in blocks A and B, and the medians of each block."""

    good: Spread
    bad: Spread
    medians: tuple[tuple[float, float], ...]

    @property
    def ratio(self) -> float:
        """Of the medians of all events in B and in A."""
        return self.bad.p50 / self.good.p50

    def lines(self) -> Iterator[str]:
        """The figures, for people."""
        yield f"acceptance to outcome, neighbour well:        {self.good}"
        yield f"acceptance to outcome, neighbour in trouble:  {self.bad}"
        yield f"  ratio: median {self.ratio:.3f}, mean {self.bad.mean / self.good.mean:.3f}"
        pairs = [bad / good for good, bad in self.medians]
        spread = statistics.stdev(pairs) / len(pairs) ** 0.5 if len(pairs) > 1 else 0.0
        yield f"  medians pair by pair: {statistics.fmean(pairs):.3f} ± {spread:.3f} (std. error)"


def run(measure: Measure, folder: Path, server: Server | None) -> Found:
    """Measure; AssertionError if events of the quiet campaign do not end well."""
    with ExitStack() as stack:
        sandbox = stack.enter_context(Sandbox(folder, campaigns=list(CAMPAIGNS.values())))
        for campaign in CAMPAIGNS.values():
            sandbox.put_leads(campaign, [{"phone_number": phone} for phone in PHONES])
        bridge = stack.enter_context(
            Bridge(
                folder,
                mappings=write_mappings(folder / "mappings", CAMPAIGNS, timeout=10),
                api_url=sandbox.url,
                api_token=sandbox.token,
                settings={
                    "BRIDGE_LEASE": "30",
                    "BRIDGE_BACKOFF_MAX": "1",
                    **dict(measure.settings),
                },
                database_url=None if server is None else stack.enter_context(server.database()),
            )
        )
        bridge.start_both()
        _block(bridge, measure, 0)  # warms everything up
        good: list[float] = []
        bad: list[float] = []
        medians: list[tuple[float, float]] = []
        for pair in range(measure.pairs):
            sandbox.behave(campaign=CAMPAIGNS["loud"])
            bridge.wait_settled(120)
            good += (a := _block(bridge, measure, 2 * pair + 1))
            sandbox.behave(campaign=CAMPAIGNS["loud"], default=TROUBLES[measure.trouble])
            bad += (b := _block(bridge, measure, 2 * pair + 2))
            medians.append((statistics.median(a), statistics.median(b)))
        return Found(Spread.of(good), Spread.of(bad), tuple(medians))


def _block(bridge: Bridge, measure: Measure, number: int) -> list[float]:
    """Events for both for a while; milliseconds from acceptance to outcome of the quiet ones."""
    count = round(measure.seconds * measure.per_s)

    def bodies(name: str) -> list[dict[str, Any]]:
        return [
            {
                "id": f"{name} {number} {n}",
                "to": [name],
                "phone": PHONES[(number * count + n) % len(PHONES)],
                **({"dnc": True} if n % 4 == 0 else {"details": {"last_name": f"{number} {n}"}}),
            }
            for n in range(count)
        ]

    with ThreadPoolExecutor(2) as pool:
        sending = [
            pool.submit(deliver_steadily, bridge, bodies(name), per_s=measure.per_s, hands=3)
            for name in CAMPAIGNS
        ]
        for one in sending:
            one.result()
    return _times(bridge, number, count)


def _times(bridge: Bridge, number: int, count: int) -> list[float]:
    deadline = time.monotonic() + 60
    query = (
        "SELECT decided_at - accepted_at, state FROM outcome WHERE campaign = 'quiet'"
        " AND decided_at IS NOT NULL ORDER BY id"
    )
    while True:
        with bridge.database.read() as connection:
            rows = connection.exec_driver_sql(query).all()[number * count :]
        if len(rows) == count:
            assert {row[1] for row in rows} <= {"updated", "superseded"}, rows
            return [float(row[0]) for row in rows if row[1] == "updated"]
        assert time.monotonic() < deadline, "events of the quiet campaign that do not end"
        threading.Event().wait(0.1)


def main(argv: Sequence[str]) -> int:
    """The command; exit status 1 if the neighbour costs a tenth or more."""
    parser = argparse.ArgumentParser(prog="faults.neighbour", description=__doc__)
    add = parser.add_argument
    add("--trouble", choices=tuple(TROUBLES), default="slow")
    add("--pairs", type=int, default=8)
    add("--seconds", type=float, default=8, help="of one block")
    add("--per-s", type=float, default=20, help="events a second for each campaign")
    add("--engine", choices=("sqlite", "postgresql"), default="sqlite")
    options = parser.parse_args(argv)
    measure = Measure(options.trouble, options.pairs, options.seconds, options.per_s)
    with ExitStack() as stack:
        prefix = "crm-bridge-neighbour-"
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix=prefix)))
        server = stack.enter_context(serving()) if options.engine == "postgresql" else None
        found = run(measure, folder, server)
    sys.stdout.writelines(f"{line}\n" for line in found.lines())
    return int(found.ratio >= ALLOWED)


if __name__ == "__main__":
    unwind_on_sigterm()
    raise SystemExit(main(sys.argv[1:]))
