"""Evidence as a file: of a lead from its page, of a period from a page of its own.

Always a post with the token of the session, never a link: what is exported is personal data and
leaves a line of who did it.
"""

from __future__ import annotations

from datetime import UTC, datetime

from flask import Blueprint, Response, abort, render_template, request

from bridge.errors import ExportError
from bridge.operate import reading
from bridge.operate.console.cursor import chosen
from bridge.operate.console.session import actor
from bridge.operate.desk import Desk
from bridge.operate.export import make
from bridge.operate.export.lines import Form
from bridge.operate.export.offer import offer
from bridge.operate.export.subject import Period, Subject, settled_until
from bridge.operate.finding import LONGEST
from bridge.store.database import clock_ms

DAY_MS = 86_400_000


def add_pages(blueprint: Blueprint, desk: Desk) -> None:
    """Add the page of a period, and the three files."""

    def period() -> str:
        now = _now(desk)
        return _form(desk, since=_written(now - DAY_MS), until=_written(now), wrong="")

    def export_period() -> Response:
        since, until = (request.form.get(name, "")[:40] for name in ("since", "until"))
        begin, end = _moment(since), _moment(until)
        if begin is None or end is None:
            page = _form(desk, since=since, until=until, wrong="Write both times, in UTC.")
            return Response(page, 400)
        end = settled_until(end, desk.export_settle_ms, _now(desk))
        wanted = Period(begin, end, _given("source", 100), _given("campaign", 200))
        try:
            return _file(desk, wanted)
        except ExportError as error:
            return Response(_form(desk, since=since, until=until, wrong=str(error)), 400)

    def export_lead(id_: int) -> Response:
        with desk.database.read() as connection:
            found = reading.lead_found(connection, id_)
            subject = None if found is None else make.person(connection, found, desk.campaigns())
        return _file(desk, subject or abort(404))

    def export_found() -> Response:
        text = request.form.get("q", "").replace("\x00", "").strip()[:LONGEST]
        with desk.database.read() as connection:
            found = reading.whole_found(connection, text, desk.read_phone)
            subject = make.person(connection, found, desk.campaigns())
        return _file(desk, subject or abort(404))

    rule = "/leads/<int(max=9007199254740991):id_>/export"
    blueprint.add_url_rule("/export", endpoint="export", view_func=period)
    for path, view in (
        ("/export", export_period),
        (rule, export_lead),
        ("/leads/export", export_found),
    ):
        blueprint.add_url_rule(path, view_func=view, methods=["POST"])


def _form(desk: Desk, **values: str) -> str:
    return render_template(
        "export.html",
        source=_given("source", 100) or chosen("source", 100),
        campaign=_given("campaign", 200) or chosen("campaign"),
        campaigns=sorted(desk.campaigns()),
        sources=sorted(desk.sources()),
        **values,
    )


def _file(desk: Desk, subject: Subject) -> Response:
    form = request.form.get("format", "")
    if form not in set(Form):
        abort(400)
    bodies = request.form.get("bodies") == "1"
    made = offer(desk, subject, Form(form), bodies=bodies, actor=actor(desk))
    return Response(made.pieces, content_type=made.content_type, headers=made.headers)


def _now(desk: Desk) -> int:
    """The present by the clock that all processes share (ms)."""
    with desk.database.read() as connection:
        return clock_ms(connection)


def _given(name: str, longest: int) -> str | None:
    return request.form.get(name, "").replace("\x00", "").strip()[:longest] or None


def _written(ms: int) -> str:
    """As the field for a time has it: to the second, in UTC."""
    return datetime.fromtimestamp(ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def _moment(text: str) -> int | None:
    """A time in UTC, in milliseconds; None if it is none."""
    try:
        return round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)
    except (ValueError, OverflowError):
        return None
