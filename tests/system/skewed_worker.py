"""A worker on a machine whose clock is wrong: ``python skewed_worker.py SECONDS_AHEAD``."""

from __future__ import annotations

import sys
import time

if __name__ == "__main__":
    ahead_s = int(sys.argv[1])
    real, real_ns = time.time, time.time_ns
    time.time = lambda: real() + ahead_s
    time.time_ns = lambda: real_ns() + ahead_s * 1_000_000_000

    from bridge.cli import cli

    cli(["worker"])
