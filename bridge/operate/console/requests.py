"""What came in: deliveries and refusals, each with its raw body."""

from __future__ import annotations

from flask import Blueprint, Response, abort, render_template

from bridge.operate import reading
from bridge.operate.console.cursor import PER_PAGE, chosen, cursor, is_receipt
from bridge.operate.desk import Desk
from bridge.store import pages
from bridge.store.refusals import BODY, NOT_KEPT


def add_pages(blueprint: Blueprint, desk: Desk) -> None:
    """Add lists, single requests and raw bodies."""

    def deliveries() -> str:
        source, waiting = chosen("source", 100), chosen("waiting") == "1"
        with desk.database.read() as connection:
            page = pages.deliveries(
                connection, source=source, waiting=waiting, before=cursor(), limit=PER_PAGE
            )
        return render_template(
            "deliveries.html",
            page=page,
            source=source,
            waiting=waiting,
            sources=sorted(desk.sources()),
        )

    def delivery(receipt: str) -> str:
        _check(receipt)
        found = reading.one_delivery(desk, receipt)
        if found is None:
            abort(404)
        return render_template("delivery.html", row=found)

    def delivery_body(receipt: str) -> Response:
        _check(receipt)
        with desk.database.read() as connection:
            found = pages.delivery_by_receipt(connection, receipt)
        return _body(found["body"] if found else None, receipt)

    def refusals() -> str:
        source = chosen("source", 100)
        with desk.database.read() as connection:
            page = pages.refusals(connection, source=source, before=cursor(), limit=PER_PAGE)
        return render_template(
            "refusals.html", page=page, source=source, sources=sorted(desk.sources())
        )

    def refusal(receipt: str) -> str:
        _check(receipt)
        with desk.database.read() as connection:
            found = pages.refusal_by_receipt(connection, receipt)
        if found is None:
            abort(404)
        return render_template("refusal.html", row=found, not_kept=NOT_KEPT, body_part=BODY)

    def refusal_body(receipt: str) -> Response:
        _check(receipt)
        with desk.database.read() as connection:
            found = pages.refusal_by_receipt(connection, receipt)
        return _body(found["body"] if found else None, receipt)

    for rule, view in (
        ("/deliveries", deliveries),
        ("/deliveries/<receipt>", delivery),
        ("/deliveries/<receipt>/body", delivery_body),
        ("/refusals", refusals),
        ("/refusals/<receipt>", refusal),
        ("/refusals/<receipt>/body", refusal_body),
    ):
        blueprint.add_url_rule(rule, view_func=view)


def _check(receipt: str) -> None:
    """Errors: 404 for what cannot be a receipt."""
    if not is_receipt(receipt):
        abort(404)


def _body(body: bytes | None, receipt: str) -> Response:
    """A raw body to be saved, never to be shown: it was written by somebody else."""
    if body is None:
        abort(404)
    return Response(
        body,
        content_type="application/octet-stream",
        headers={"Content-Disposition": f'attachment; filename="{receipt}.body"'},
    )
