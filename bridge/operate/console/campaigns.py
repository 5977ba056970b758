"""Campaigns: how each goes, pausing and resuming after a second look, and who did what."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, abort, flash, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from bridge.operate import overview, pausing
from bridge.operate.console.cursor import chosen, cursor
from bridge.operate.console.session import actor
from bridge.operate.desk import Desk
from bridge.store import operator_actions, tally

LONGEST_REASON = 500
ACTIONS = 30
"""Lines of who did what on one page."""


def add_pages(blueprint: Blueprint, desk: Desk) -> None:
    """Add the list, and the two steps of pausing and of resuming."""

    def campaigns() -> str:
        with desk.database.read() as connection:
            rows = overview.campaigns_now(connection, desk, tally.totals(connection))
            actions = operator_actions.listing(connection, before=cursor(), limit=ACTIONS + 1)
        return render_template(
            "campaigns.html",
            rows=rows,
            actions=actions[:ACTIONS],
            cursor=actions[ACTIONS - 1]["id"] if len(actions) > ACTIONS else None,
        )

    def pause() -> str | Response:
        row = _campaign(desk)
        if request.method == "GET":
            return render_template("pause.html", row=row)
        reason = request.form.get("reason", "").replace("\x00", "").strip()[:LONGEST_REASON]
        with desk.database.write() as connection:
            pausing.pause(
                connection,
                row["name"],
                actor=actor(desk),
                reason=reason,
                hold_opt_outs=request.form.get("hold_opt_outs") == "1",
            )
        flash(f"{row['name']} is paused. Workers obey within two seconds.")
        return redirect(url_for("console.campaigns"), 303)

    def resume() -> str | Response:
        row = _campaign(desk)
        if request.method == "GET":
            return render_template("resume.html", row=row)
        with desk.database.write() as connection:
            ended, tried = pausing.resume(connection, row["name"], actor=actor(desk))
        said = f"{row['name']} is resumed." if ended else f"{row['name']} was not paused by hand."
        flash(f"{said} Workers try it within two seconds." if tried else said)
        return redirect(url_for("console.campaigns"), 303)

    both = ["GET", "POST"]
    blueprint.add_url_rule("/campaigns", view_func=campaigns)
    blueprint.add_url_rule("/campaigns/pause", view_func=pause, methods=both)
    blueprint.add_url_rule("/campaigns/resume", view_func=resume, methods=both)


def _campaign(desk: Desk) -> dict[str, Any]:
    """The campaign that the address names. Errors: 404."""
    name = chosen("name")
    with desk.database.read() as connection:
        rows = overview.campaigns_now(connection, desk, tally.totals(connection))
    found = next((row for row in rows if row["name"] == name), None)
    if found is None:
        abort(404)
    return found
