"""``python -m bench NAME… [--engine sqlite|postgresql] [--size N] [--json FILE]``."""

from __future__ import annotations

import argparse
import signal
import sys
from pathlib import Path

from rich.console import Console

from bench.machine import Cores, machine
from bench.options import Options
from bench.report import write
from bench.table import BENCHMARKS
from bench.webhooks import begin_anew


def main() -> int:
    """Run what was asked for; the exit status is 1 if a target was missed."""
    options = _parsed()
    # whoever ends a run ends what it has started, too
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    console = Console(width=None if sys.stdout.isatty() else 120)
    measured_on = machine()
    console.print_json(data=measured_on)
    reports = []
    for name in options.names or BENCHMARKS:
        benchmark = BENCHMARKS[name]
        for engine in benchmark.engines:
            if options.engine not in ("both", engine):
                continue
            chosen = Options(options.size, options.rounds, options.peer, options.sink_port)
            begin_anew()
            cores = Cores.now()
            reports.append(benchmark.run(engine, chosen))
            used, taken = Cores.now().since(cores)
            reports[-1].add("cores in use", 100 * used, "%")
            reports[-1].add("cores taken by the host", 100 * taken, "%")
            reports[-1].show(console)
            if options.json:  # after each, so that a later one that fails costs nothing
                write(reports, measured_on, options.json)
    if not reports:
        console.print("Nothing was measured: what was named does not run on this engine.")
        return 2
    return int(not all(report.met for report in reports))


def _parsed() -> argparse.Namespace:
    width = max(map(len, BENCHMARKS))
    about = "\n".join(f"  {name:{width}}  {one.about}" for name, one in BENCHMARKS.items())
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description=f"Benchmarks, all of them where none is named:\n\n{about}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--engine", choices=["sqlite", "postgresql", "both"], default="both")
    parser.add_argument("--size", type=_positive, help="how much, where a benchmark names it")
    parser.add_argument("--rounds", type=_positive, help="turns of what is compared")
    parser.add_argument(
        "--peer", metavar="URL", help="accept and bulk: another endpoint that gets the same load"
    )
    parser.add_argument(
        "--sink-port", type=_positive, default=0, help="port of the sink, for a peer to send to"
    )
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    options = parser.parse_args()
    if unknown := set(options.names) - BENCHMARKS.keys():
        parser.error(f"there is no {', '.join(sorted(unknown))}; there are {', '.join(BENCHMARKS)}")
    if options.peer and not options.peer.startswith("http://"):
        parser.error("--peer takes a URL that begins with http://, of this machine")
    return options


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError("a whole number above 0")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
