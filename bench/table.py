"""Every benchmark by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from bench.accept import accept, bulk
from bench.backlog import backlog
from bench.burst import burst
from bench.drain import drain
from bench.end_to_end import end_to_end, with_look_ups
from bench.flood import flood
from bench.growth import growth
from bench.idle import idle
from bench.options import Options
from bench.report import Report
from bench.scale_out import scale_out
from bench.soak import soak
from bench.start_up import start_up
from bench.untaken import untaken

BOTH = ("sqlite", "postgresql")


@dataclass(frozen=True, slots=True)
class Benchmark:
    """``about``: what is measured, and what ``--size`` is, in a line."""

    run: Callable[[str, Options], Report]
    about: str
    engines: tuple[str, ...] = BOTH


BENCHMARKS: dict[str, Benchmark] = {
    "accept": Benchmark(accept, "signed webhooks of one event, in turns with a bare Flask view"),
    "bulk": Benchmark(bulk, "the same with a hundred events each"),
    "drain": Benchmark(drain, "one worker and a backlog (--size: of so many events)"),
    "end-to-end": Benchmark(end_to_end, "webhooks accepted = recorded, in turns with a bare view"),
    "look-ups": Benchmark(with_look_ups, "the same where each contact has to be read first"),
    "idle": Benchmark(idle, "an opt-out's time when nothing else happens (--size: opt-outs)"),
    "backlog": Benchmark(backlog, "the same while updates wait (--size: so many; 1,000,000)"),
    "untaken": Benchmark(
        untaken, "the same behind deliveries not taken in yet (--size: so many; 100,000)"
    ),
    "flood": Benchmark(
        flood, "the same while webhooks come as fast as they are accepted (--size: so many)"
    ),
    "burst": Benchmark(burst, "the calls that many events on few leads become (--size: events)"),
    "scale-out": Benchmark(
        scale_out, "three workers in turns with one (--size: events)", ("postgresql",)
    ),
    "growth": Benchmark(
        growth, "rates with millions of events stored (--size: so many; 1 or 10 million)"
    ),
    "soak": Benchmark(soak, "the memory of every process at full load (--size: seconds; 600)"),
    "start-up": Benchmark(start_up, "short commands, and the web process until it is ready"),
}
