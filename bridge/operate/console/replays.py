"""Replays: first the plan, then the run, then what has come of it."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, abort, flash, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from bridge.errors import ReplayError
from bridge.model import State
from bridge.operate.console.cursor import cursor, is_receipt
from bridge.operate.console.session import actor
from bridge.operate.desk import Desk

PER_PAGE = 30
STATES = (State.DEAD, State.REJECTED, State.NOT_FOUND, State.UNCONFIRMED, State.SKIPPED)
"""States of which a replay may make something else."""
MAPPINGS = ("current", "original")
NO_RECEIPT = (
    "This is no receipt: one has 32 characters, each of them 0 to 9 or a to f. A webhook's answer "
    "names it, and so does the page of its delivery. Nothing was planned."
)


def add_pages(blueprint: Blueprint, desk: Desk) -> None:
    """Add the list, the plan, and one replay."""

    def replays() -> str:
        rows = desk.replays.listing(cursor(), PER_PAGE + 1)
        more = rows[PER_PAGE - 1]["id"] if len(rows) > PER_PAGE else None
        return render_template("replays.html", rows=rows[:PER_PAGE], cursor=more)

    def new_replay() -> Response:
        return _plan_or_run(desk)

    def replay(id_: int) -> str:
        found = desk.replays.report(id_)
        if found is None:
            abort(404)
        return render_template("replay.html", row=found)

    def change_replay(id_: int) -> Response:
        change = {"cancel": desk.replays.cancel, "go-on": desk.replays.go_on}
        act = change.get(request.form.get("do", ""))
        if act is None or desk.replays.report(id_) is None:
            abort(404)
        try:
            act(id_, actor(desk))
        except ReplayError as error:
            flash(str(error))
        return redirect(url_for("console.replay", id_=id_), 303)

    rule = "/replays/<int(max=9007199254740991):id_>"
    blueprint.add_url_rule("/replays", view_func=replays)
    blueprint.add_url_rule("/replays/new", view_func=new_replay, methods=["GET", "POST"])
    blueprint.add_url_rule(rule, endpoint="replay", view_func=replay)
    blueprint.add_url_rule(rule, view_func=change_replay, methods=["POST"])


def _plan_or_run(desk: Desk) -> Response:
    """The form; with a selection its plan; and the run of a plan that was seen."""
    given = request.form if request.method == "POST" else request.args
    selection, mapping = _selection(given), given.get("mapping", "current")
    if mapping not in MAPPINGS:
        abort(400)
    plan: dict[str, Any] | None = None
    no_receipt = "receipt" in selection and not is_receipt(selection["receipt"])
    wrong = NO_RECEIPT if no_receipt else ""
    if selection and not wrong:
        try:
            if request.method == "POST":
                number = desk.replays.run(selection, mapping, actor(desk))
                return redirect(url_for("console.replay", id_=number), 303)
            plan = desk.replays.plan(selection, mapping)
        except ReplayError as error:
            wrong = str(error)
        except TimeoutError:
            wrong = (
                "This is too much to be planned on a page. Choose less, or use the command line: "
                "crm-bridge replay."
            )
    page = render_template(
        "new_replay.html",
        selection=selection,
        mapping=mapping,
        plan=plan,
        wrong=wrong,
        states=[state.value for state in STATES],
        campaigns=sorted(desk.campaigns()),
        sources=sorted(desk.sources()),
    )
    return Response(page, 400 if no_receipt else 200, content_type="text/html; charset=utf-8")


def _selection(given: Any) -> dict[str, Any]:
    """What is to be replayed; only what was asked for."""
    selection: dict[str, Any] = {}
    for name, longest in (("source", 100), ("campaign", 200), ("receipt", 32)):
        text = given.get(name, "").replace("\x00", "").strip()[:longest]
        if text:
            selection[name] = text
    states = [state for state in given.getlist("state") if state in set(State)]
    if states:
        selection["states"] = states
    return selection
