"""Outcomes and dead letters: lists, and one opened with every call that carried it."""

from __future__ import annotations

from flask import Blueprint, abort, render_template

from bridge.model import OPEN_STATES, State
from bridge.operate import reading
from bridge.operate.console.cursor import PER_PAGE, chosen, cursor, is_receipt
from bridge.operate.desk import Desk
from bridge.store.pages import Wanted

STATES = tuple(state.value for state in State)
OPT_OUTS = 50
"""The oldest opt-outs of each state that are shown."""


def add_pages(blueprint: Blueprint, desk: Desk) -> None:
    """Add the lists and the single outcome."""

    def page(state: str | None, template: str, *, newest: bool = False) -> str:
        receipt = chosen("receipt", 32)
        wanted = Wanted(
            state,
            chosen("campaign"),
            chosen("source", 100),
            receipt if is_receipt(receipt) else None,
            newest=newest,
        )
        return render_template(
            template,
            page=reading.outcome_page(desk, wanted, before=cursor(), limit=PER_PAGE),
            wanted=wanted,
            states=STATES,
            campaigns=sorted(desk.campaigns()),
            sources=sorted(desk.sources()),
        )

    def outcomes() -> str:
        state = chosen("state", 20)
        return page(state if state in STATES else None, "outcomes.html")

    def dead() -> str:
        return page(State.DEAD.value, "dead.html", newest=True)

    def opt_outs() -> str:
        rows = reading.open_opt_outs(desk, OPT_OUTS)
        by_state = {s.value: [row for row in rows if row["state"] == s] for s in OPEN_STATES}
        return render_template("opt_outs.html", by_state=by_state, most=OPT_OUTS)

    def outcome(id_: int) -> str:
        found = reading.one_outcome(desk, id_)
        if found is None:
            abort(404)
        return render_template("outcome.html", row=found)

    blueprint.add_url_rule("/outcomes", view_func=outcomes)
    blueprint.add_url_rule("/opt-outs", view_func=opt_outs)
    blueprint.add_url_rule("/dead-letters", endpoint="dead", view_func=dead)
    blueprint.add_url_rule(
        "/outcomes/<int(max=9007199254740991):id_>", endpoint="outcome", view_func=outcome
    )
