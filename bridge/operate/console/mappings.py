"""Mapping files: their state, cases and coverage, and a playground from which nothing is saved."""

from __future__ import annotations

import json
from typing import Any

from flask import Blueprint, Response, abort, jsonify, render_template, request

from bridge.operate.console.cursor import is_receipt
from bridge.operate.desk import Desk
from bridge.store import pages

LONGEST_MAPPING = 200_000
LONGEST_PAYLOAD = 300_000
LONGEST_RECORDS = 100_000
"""Characters of what is tried, at most."""

RECENT = 20
"""Stored deliveries that are offered as payloads."""


def add_pages(blueprint: Blueprint, desk: Desk) -> None:
    """Add the list, the page of one file with its playground, and what the playground asks."""

    def mappings() -> str:
        return render_template(
            "mappings.html", files=desk.trials.shelf(), problem=desk.mapping_problem()
        )

    def mapping(name: str) -> str:
        text = desk.trials.text(name)
        found = [one for one in desk.trials.shelf() if one["name"] == name]
        if text is None or not found:
            abort(404)
        payload, records, result = "", "", None
        if request.method == "POST":
            text, payload = request.form.get("mapping", ""), request.form.get("payload", "")
            records = request.form.get("records", "")
            result = _try(desk, name, text, payload, records)
        with desk.database.read() as connection:
            recent = pages.deliveries(
                connection, source=name, waiting=False, before=None, limit=RECENT
            )
        return render_template(
            "mapping.html",
            file=found[0],
            text=text,
            payload=payload,
            records=records,
            result=result,
            recent=recent.rows,
        )

    def trial(name: str) -> Response:
        return _trial(desk, name)

    def payload(name: str, receipt: str) -> Response:
        if not is_receipt(receipt):
            abort(404)
        with desk.database.read() as connection:
            found = pages.delivery_by_receipt(connection, receipt)
        if found is None or found["source"] != name:
            abort(404)
        return jsonify({"payload": bytes(found["body"]).decode("utf-8", "replace")})

    blueprint.add_url_rule("/mappings", view_func=mappings)
    blueprint.add_url_rule("/mappings/<name>", view_func=mapping, methods=["GET", "POST"])
    blueprint.add_url_rule("/mappings/<name>/try", view_func=trial, methods=["POST"])
    blueprint.add_url_rule("/mappings/<name>/payloads/<receipt>", view_func=payload)


def _trial(desk: Desk, name: str) -> Response:
    """What the playground asks while somebody writes: the result as a piece of the page."""
    given: Any = request.get_json(silent=True)
    if not isinstance(given, dict):
        abort(400)
    texts = [given.get(key) for key in ("mapping", "payload", "records")]
    if not all(isinstance(text, str) for text in texts):
        abort(400)
    result = _try(desk, name, *(str(text) for text in texts))
    html = render_template("trial.html", result=result)
    return jsonify({"html": html, "mistakes": len(result["mistakes"])})


def _try(desk: Desk, name: str, text: str, payload: str, records: str) -> dict[str, Any]:
    """What the draft makes of the payload, or why it was not tried."""
    for what, given, most in (
        ("The mapping", text, LONGEST_MAPPING),
        ("The payload", payload, LONGEST_PAYLOAD),
        ("The records", records, LONGEST_RECORDS),
    ):
        if len(given) > most:
            return _untried(f"{what} has {len(given)} characters; {most} are the most here.")
    try:
        given_records = json.loads(records) if records.strip() else {}
    except (ValueError, RecursionError) as error:
        return _untried(f"The records are not JSON: {error}")
    good = isinstance(given_records, dict) and all(
        isinstance(rows, dict) for rows in given_records.values()
    )
    if not good:
        return _untried('Write records as {"<look-up>": {"<id>": {…record…}}}.')
    body = payload.encode("utf-8", "surrogatepass")
    tried = desk.trials.draft(name, text.replace("\r\n", "\n"), body, given_records)
    if not payload.strip() and not tried["mistakes"]:
        return _untried("The mapping is valid. Paste a payload to see what it makes of it.")
    return tried


def _untried(said: str) -> dict[str, Any]:
    return {"mistakes": [], "problem": said, "events": [], "more_events": 0}
