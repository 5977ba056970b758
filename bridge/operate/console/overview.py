"""The first page: is it well, and how much."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, render_template, request

from bridge.operate import overview
from bridge.operate.console import charts
from bridge.operate.desk import Desk
from bridge.operate.overview import Period

CARDS = (
    ("accepted", "Accepted", "webhooks on disk"),
    ("updated", "Confirmed", "named with success in the reply"),
    ("waiting", "Waiting", "lead updates on their way"),
    ("standing", "Standing", "opt-outs not confirmed yet, sent again"),
    ("dead", "Dead", "could not be read, looked up or mapped"),
)
"""Kind, title, and what is counted."""


def add_pages(blueprint: Blueprint, desk: Desk) -> None:
    """Add the overview."""

    def show() -> str:
        found = overview.overview(desk)
        wanted = request.args.get("period", "")
        period = Period(wanted) if wanted in set(Period) else Period.DAY
        return render_template(
            "overview.html",
            found=found,
            period=period.value,
            periods=[one.value for one in Period],
            cards=[_card(found, period, *card) for card in CARDS],
        )

    blueprint.add_url_rule("/", endpoint="overview", view_func=show)


def _card(
    found: dict[str, Any], period: Period, kind: str, title: str, what: str
) -> dict[str, Any]:
    figure = found["figures"][kind]
    steps = figure["periods"][period.value]
    stands = figure["now"] is not None
    draw = charts.stock if stands else charts.flow
    return {
        "kind": kind,
        "title": title,
        "what": what,
        "stands": stands,
        "value": figure["now"] if stands else steps["total"],
        "chart": draw(steps, title),
        "totals": {name: of["total"] for name, of in figure["periods"].items()},
    }
