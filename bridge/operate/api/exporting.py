"""The endpoints that give a file of evidence. Each leaves a line of who exported what."""

from __future__ import annotations

from flask import Response

from bridge.errors import ExportError
from bridge.operate import reading
from bridge.operate.api import parameters
from bridge.operate.api.endpoint import Endpoint, Given, ProblemError
from bridge.operate.desk import Desk
from bridge.operate.export import make
from bridge.operate.export.lines import Form
from bridge.operate.export.offer import offer
from bridge.operate.export.subject import Period, Subject, settled_until
from bridge.store.database import clock_ms

FILES = tuple(form.content_type for form in Form)


def _lead(desk: Desk, given: Given) -> Response:
    with desk.database.read() as connection:
        found = reading.whole_found(connection, given.body["text"], desk.read_phone)
        subject = make.person(connection, found, desk.campaigns())
    if subject is None:
        raise ProblemError(404, "Nothing is known of this number, address or id.")
    return _file(desk, given, subject)


def _period(desk: Desk, given: Given) -> Response:
    wanted = given.body
    with desk.database.read() as connection:
        now = clock_ms(connection)
    until = settled_until(wanted.get("until"), desk.export_settle_ms, now)
    period = Period(wanted["since"], until, wanted.get("source"), wanted.get("campaign"))
    return _file(desk, given, period)


def _file(desk: Desk, given: Given, subject: Subject) -> Response:
    form, bodies = Form(given.body["format"]), given.body["bodies"]
    try:
        made = offer(desk, subject, form, bodies=bodies, actor=given.who)
    except ExportError as error:
        raise ProblemError(409, str(error)) from None
    return Response(made.pieces, content_type=made.content_type, headers=made.headers)


ENDPOINTS: tuple[Endpoint, ...] = (
    Endpoint(
        "POST",
        "/leads/export",
        "export_lead",
        "All that is known of a person, as a file whose lines are hash-chained",
        None,
        _lead,
        body_schema=parameters.LeadFileBody,
        refusals={404: "Nothing is known of this number, address or id."},
        files=FILES,
    ),
    Endpoint(
        "POST",
        "/export",
        "export_period",
        "Whatever was received in a time and became of it, as a file whose lines are hash-chained",
        None,
        _period,
        body_schema=parameters.PeriodFileBody,
        refusals={409: "It cannot be exported so; the detail says why."},
        files=FILES,
    ),
)
