"""``python -m bench NAME… [--engine sqlite|postgresql] [--json FILE]``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from rich.console import Console

from bench import accept, drain
from bench.report import Report, machine, write

BENCHMARKS: dict[str, Callable[[str], Report]] = {
    "accept": accept.accept,
    "bulk": accept.bulk,
    "drain": drain.drain,
}


def main() -> int:
    """Run what was asked for; the exit status is 1 if a target was missed."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument(
        "names", nargs="*", choices=[[], *BENCHMARKS], metavar="NAME", help=", ".join(BENCHMARKS)
    )
    parser.add_argument("--engine", choices=["sqlite", "postgresql", "both"], default="both")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    options = parser.parse_args()
    engines = ["sqlite", "postgresql"] if options.engine == "both" else [options.engine]
    console = Console()
    console.print_json(data=machine())
    reports = []
    for name in options.names or BENCHMARKS:
        for engine in engines:
            reports.append(BENCHMARKS[name](engine))
            reports[-1].show(console)
    if options.json:
        write(reports, options.json)
    return int(any(row.met is False for report in reports for row in report.rows))


if __name__ == "__main__":
    sys.exit(main())
