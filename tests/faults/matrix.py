"""The crash matrix as a command: many seeded runs, with progress, figures and what failed.

    make faults                                    200 runs, by turns on both engines
    make faults RUNS=1 SEED=17 ENGINE=postgresql   one run again

It stops by itself: after the runs, at the tenth failure, or when ``--minutes`` are over.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from store.postgres import Postgres
from system.story import CAMPAIGNS

from .ending import unwind_on_sigterm
from .one_run import Figures, run
from .plan import ENGINES, Plan, drawn
from .server import Server, serving

MOST_FAILURES = 10


@dataclass(frozen=True)
class Report:
    """How one run ended. ``failure``: None, or the traceback; then ``folder`` is kept."""

    plan: Plan
    figures: Figures | None
    failure: str | None
    folder: str


def carry_out(plan: Plan, admin: str | None, template: str, keep: bool) -> Report:
    """One run in a folder of its own, which stays only if it failed."""
    folder = Path(tempfile.mkdtemp(prefix=f"crm-bridge-fault-{plan.engine}-{plan.seed}-"))
    try:
        server = None
        if plan.engine == "postgresql":
            assert admin is not None
            server = Server(Postgres(admin, prefix=f"run_{plan.seed}"), template)
        figures = run(plan, folder, server)
    except BaseException:  # noqa: BLE001 - whatever it is, the run has failed and is named
        return Report(plan, None, traceback.format_exc(), str(folder))
    if not keep:
        shutil.rmtree(folder, ignore_errors=True)
    return Report(plan, figures, None, str(folder))


def plans(seed: int, runs: int, engine: str) -> list[Plan]:
    """The plans of these seeds; ``both``: even seeds on PostgreSQL, odd ones on SQLite."""
    return [
        drawn(one, engine if engine != "both" else ENGINES[(one + 1) % 2], CAMPAIGNS)
        for one in range(seed, seed + runs)
    ]


def main(argv: Sequence[str]) -> int:
    """The command; exit status 1 if a run failed or was left out."""
    options = _parser().parse_args(argv)
    todo = plans(options.seed, options.runs, options.engine)
    begun = time.monotonic()
    with ExitStack() as stack:
        admin, template = None, ""
        if any(plan.engine == "postgresql" for plan in todo):
            server = stack.enter_context(serving())
            admin, template = server.postgres.admin, server.template
        reports = _carry_out_all(todo, admin, template, options)
    _say_sum(reports, len(todo), time.monotonic() - begun)
    return int(len(reports) < len(todo) or any(report.failure for report in reports))


def _carry_out_all(
    todo: Sequence[Plan], admin: str | None, template: str, options: argparse.Namespace
) -> list[Report]:
    deadline = time.monotonic() + options.minutes * 60
    reports: list[Report] = []
    failures = 0
    left = iter(todo)
    with ProcessPoolExecutor(options.jobs, initializer=unwind_on_sigterm) as pool:
        busy: set[Future[Report]] = set()
        while True:
            while len(busy) < options.jobs and time.monotonic() < deadline:
                plan = next(left, None)
                if plan is None or failures >= MOST_FAILURES:
                    break
                busy.add(pool.submit(carry_out, plan, admin, template, options.keep))
            if not busy:
                return reports
            done = next(as_completed(busy))
            busy.remove(done)
            reports.append(done.result())
            failures += reports[-1].failure is not None
            _say(reports[-1], len(reports), len(todo))


def _say(report: Report, number: int, total: int) -> None:
    plan, figures = report.plan, report.figures
    head = f"[{number}/{total}] seed {plan.seed} {plan.engine:<10}"
    if figures is not None:
        text = (
            f"{head} ok  {figures.seconds:5.1f} s  {figures.deliveries} deliveries, "
            f"{figures.events} events, {figures.outcomes} outcomes, {figures.calls} calls, "
            f"{figures.blows} blows"
        )
    else:
        text = (
            f"{head} FAILED: {plan.actions}\n{report.failure}\n"
            f"  its files: {report.folder}\n  again: {plan.command}"
        )
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def _say_sum(reports: Sequence[Report], planned: int, seconds: float) -> None:
    failed = [report for report in reports if report.failure is not None]
    good = [report.figures for report in reports if report.figures is not None]
    sums = ", ".join(
        f"{name} {sum(getattr(one, name) for one in good)}"
        for name in ("deliveries", "events", "outcomes", "calls", "blows")
    )
    lines = [
        f"{len(reports)} of {planned} runs in {seconds:.0f} s, {len(failed)} failed",
        f"  {sums}",
    ]
    lines += [f"  failed: {report.plan.command}" for report in failed]
    sys.stdout.write("\n".join(lines) + "\n")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="make faults", description="The crash matrix.")
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1, help="of the first run")
    parser.add_argument("--engine", choices=("both", *ENGINES), default="both")
    parser.add_argument("--jobs", type=int, default=2, help="runs at a time")
    parser.add_argument("--minutes", type=float, default=90, help="no run begins after that")
    parser.add_argument("--keep", action="store_true", help="keep the files of good runs too")
    return parser


if __name__ == "__main__":
    unwind_on_sigterm()
    raise SystemExit(main(sys.argv[1:]))
