"""The time, as the whole product counts it: milliseconds since 1970-01-01 UTC."""

from __future__ import annotations

import time
from datetime import UTC, datetime


def now_ms() -> int:
    """The present, in milliseconds since 1970-01-01 UTC."""
    return time.time_ns() // 1_000_000


def seconds_until(due_at: int | None, now: int, most: float) -> float:
    """How long to wait for what is due then (ms), at most ``most`` seconds; None: nothing is."""
    return most if due_at is None else min(most, max(0.0, (due_at - now) / 1000))


def iso(ms: int | None) -> str | None:
    """``2026-06-25T07:19:29.536Z`` for a time in milliseconds; None stays None."""
    if ms is None:
        return None
    try:
        moment = datetime.fromtimestamp(ms / 1000, UTC)
    except (OverflowError, OSError, ValueError):
        return f"{ms} ms"
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
