"""Find a lead, and read its story: did this opt-out go through, and when?"""

from __future__ import annotations

from flask import Blueprint, abort, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from bridge.clock import now_ms
from bridge.operate import reading
from bridge.operate.console.cursor import cursor
from bridge.operate.desk import Desk
from bridge.operate.finding import LONGEST


def add_pages(blueprint: Blueprint, desk: Desk) -> None:
    """Add the search and the story."""

    def search() -> str | Response:
        text = request.form.get("q", "").strip()[:LONGEST] if request.method == "POST" else ""
        if not text:
            return render_template("leads.html", found=None, text="")
        found = reading.search(desk, text)
        if len(found["phones"]) == 1 and found["leads"]:
            # by the id of a lead: a phone number in the address would end in logs and histories
            return redirect(url_for("console.lead", id_=found["leads"][0]["id"]), 303)
        return render_template("leads.html", found=found, text=text, at=now_ms())

    def lead(id_: int) -> str:
        found = reading.lead_story(desk, id_, cursor())
        if found is None:
            abort(404)
        return render_template("lead.html", found=found, id=id_, at=now_ms())

    blueprint.add_url_rule("/leads", endpoint="leads", view_func=search, methods=["GET", "POST"])
    blueprint.add_url_rule(
        "/leads/<int(max=9007199254740991):id_>", endpoint="lead", view_func=lead
    )
