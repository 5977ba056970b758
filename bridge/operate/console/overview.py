"""The first page: is it well, and how much."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, render_template, request, url_for

from bridge.operate import overview
from bridge.operate.console import charts
from bridge.operate.desk import Desk
from bridge.operate.overview import Period

CARDS: tuple[tuple[str, str, str, str, dict[str, Any]], ...] = (
    ("accepted", "Accepted", "webhooks on disk", "deliveries", {}),
    ("updated", "Confirmed", "named with success in the reply", "outcomes", {"state": "updated"}),
    ("waiting", "Waiting", "lead updates on their way", "outcomes", {"state": "waiting"}),
    ("standing", "Standing", "opt-outs not confirmed yet, sent again", "opt_outs", {}),
    (
        "dead",
        "Dead",
        "could not be read, looked up or mapped; once more for a replay that could not either",
        "dead",
        {},
    ),
)
"""Kind, title, what is counted, and the page that shows it with what it is filtered by."""


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
            cards=[
                {**_card(found, period, *card), "page": url_for(f"console.{page}", **chosen)}
                for *card, page, chosen in CARDS
            ],
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
