"""Small charts, drawn on the server as SVG: their places are reckoned here, a template draws."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

WIDTH = 240
HEIGHT = 44


@dataclass(frozen=True, slots=True)
class Chart:
    """``bars``: x, y, width, height of each step that is not empty. ``line``: points, for what
    stands. ``said``: the chart in words."""

    bars: tuple[tuple[float, float, float, float], ...]
    line: str
    area: str
    said: str


def flow(figure: Mapping[str, Any], what: str) -> Chart:
    """What was counted in each step, as bars."""
    steps: Sequence[int] = figure["steps"]
    most = max(steps, default=0)
    slot = WIDTH / max(1, len(steps))
    bars = []
    for place, count in enumerate(steps):
        if count > 0:
            height = max(1.5, count / most * (HEIGHT - 2))
            bars.append(
                (
                    round(place * slot + slot * 0.12, 2),
                    round(HEIGHT - height, 2),
                    round(slot * 0.76, 2),
                    round(height, 2),
                )
            )
    return Chart(tuple(bars), "", "", _said(figure, what, "in all"))


def stock(figure: Mapping[str, Any], what: str) -> Chart:
    """What stood at the end of each step, as a line."""
    steps: Sequence[int] = figure["steps"]
    most = max(steps, default=0) or 1
    slot = WIDTH / max(1, len(steps) - 1)
    points = [
        f"{place * slot:.1f},{HEIGHT - 1 - count / most * (HEIGHT - 3):.1f}"
        for place, count in enumerate(steps)
    ]
    line = " ".join(points)
    return Chart((), line, f"0,{HEIGHT} {line} {WIDTH},{HEIGHT}", _said(figure, what, "at most"))


def _said(figure: Mapping[str, Any], what: str, how: str) -> str:
    steps: Sequence[int] = figure["steps"]
    text = f"{what}: {figure['total']:,} {how}"
    most = max(steps, default=0)
    if not figure["total"]:
        return f"{what}: none"
    if how == "at most" and most < figure["total"]:  # it stood between two ends of steps
        return text
    at = figure["first_at"] + steps.index(most) * figure["step_ms"]
    form = "%H:%M" if figure["step_ms"] < 86_400_000 else "%d %B"
    return f"{text}, most ({most:,}) at {datetime.fromtimestamp(at / 1000, UTC).strftime(form)} UTC"
