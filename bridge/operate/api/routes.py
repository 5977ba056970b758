"""The endpoints of the API."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

from flask import Blueprint, Response

from bridge.operate import overview, reading
from bridge.operate.api import (
    acting,
    exporting,
    mapping_shapes,
    outcome_shapes,
    overview_shapes,
    parameters,
    request_shapes,
)
from bridge.operate.api.document import document
from bridge.operate.api.endpoint import Endpoint, Given, ProblemError, add, reply
from bridge.operate.desk import Desk
from bridge.store import pages, tally
from bridge.store.pages import Wanted


def _gone(what: str) -> ProblemError:
    return ProblemError(404, f"There is no such {what}, or it is not kept any more.")


def _overview(desk: Desk, _given: Given) -> Any:
    return overview.overview(desk)


def _outcomes(desk: Desk, given: Given) -> Any:
    query = dict(given.query)
    phone = None
    if query.get("lead") is not None:
        with desk.database.read() as connection:
            lead = pages.lead_by_id(connection, query["lead"])
        if lead is None:
            raise _gone("lead")
        phone = lead["phone"]
    wanted = Wanted(
        query.get("state"), query.get("campaign"), query.get("source"), query.get("receipt"), phone
    )
    return reading.outcome_page(desk, wanted, before=query["cursor"], limit=query["limit"])


def _open_opt_outs(desk: Desk, given: Given) -> Any:
    return {"rows": reading.open_opt_outs(desk, given.query["limit"])}


def _outcome(desk: Desk, given: Given) -> Any:
    return reading.one_outcome(desk, given.path["id"]) or _raise(_gone("outcome"))


def _raise(error: ProblemError) -> Any:
    raise error


def _deliveries(desk: Desk, given: Given) -> Any:
    query = given.query
    with desk.database.read() as connection:
        page = pages.deliveries(
            connection,
            source=query.get("source"),
            waiting=query["waiting"] == "true",
            before=query["cursor"],
            limit=query["limit"],
        )
    return {"rows": page.rows, "cursor": page.cursor}


def _delivery(desk: Desk, given: Given) -> Any:
    found = reading.one_delivery(desk, given.path["receipt"])
    return _with_body(found) if found is not None else _raise(_gone("delivery"))


def _refusals(desk: Desk, given: Given) -> Any:
    query = given.query
    with desk.database.read() as connection:
        page = pages.refusals(
            connection, source=query.get("source"), before=query["cursor"], limit=query["limit"]
        )
    return {"rows": page.rows, "cursor": page.cursor}


def _refusal(desk: Desk, given: Given) -> Any:
    with desk.database.read() as connection:
        found = pages.refusal_by_receipt(connection, given.path["receipt"])
    return _with_body(found) if found is not None else _raise(_gone("refusal"))


def _with_body(row: Mapping[str, Any]) -> dict[str, Any]:
    body = bytes(row["body"])
    try:
        text = body.decode()
    except UnicodeDecodeError:
        text = None
    return {**row, "body": text, "body_base64": base64.b64encode(body).decode()}


def _search(desk: Desk, given: Given) -> Any:
    return reading.search(desk, given.body["text"])


def _lead(desk: Desk, given: Given) -> Any:
    found = reading.lead_story(desk, given.path["id"], given.query["cursor"])
    return found if found is not None else _raise(_gone("lead"))


def _campaigns(desk: Desk, _given: Given) -> Any:
    with desk.database.read() as connection:
        return {"rows": overview.campaigns_now(connection, desk, tally.totals(connection))}


def _mappings(desk: Desk, _given: Given) -> Any:
    return {"problem": desk.mapping_problem(), "rows": desk.trials.shelf()}


def _trial(desk: Desk, given: Given) -> Any:
    wanted = given.body
    text = wanted["mapping"]
    if text is None:
        text = desk.trials.text(wanted["source"])
    if text is None:
        raise _gone("mapping file")
    body = wanted["payload"].encode()
    if wanted["receipt"] is not None:
        with desk.database.read() as connection:
            found = pages.delivery_by_receipt(connection, wanted["receipt"])
        if found is None:
            raise _gone("delivery")
        body = bytes(found["body"])
    return desk.trials.draft(wanted["source"], text, body, wanted["records"])


ENDPOINTS: tuple[Endpoint, ...] = (
    Endpoint(
        "GET",
        "/overview",
        "overview",
        "Is it well: figures, campaigns and sources",
        overview_shapes.Overview,
        _overview,
    ),
    Endpoint(
        "GET",
        "/outcomes",
        "outcomes",
        "Search outcomes, the newest first",
        outcome_shapes.Outcomes,
        _outcomes,
        query_schema=parameters.OutcomeQuery,
        refusals={404: "There is no such lead."},
    ),
    Endpoint(
        "GET",
        "/opt-outs",
        "openOptOuts",
        "Opt-outs that are not confirmed, the oldest first",
        outcome_shapes.OpenOptOuts,
        _open_opt_outs,
        query_schema=parameters.OpenQuery,
    ),
    Endpoint(
        "GET",
        "/outcomes/{id}",
        "outcome",
        "One outcome with every call that carried it",
        outcome_shapes.Outcome,
        _outcome,
        path_schema=parameters.OutcomePath,
        refusals={404: "There is no such outcome."},
    ),
    Endpoint(
        "GET",
        "/deliveries",
        "deliveries",
        "Deliveries, the newest first",
        request_shapes.Deliveries,
        _deliveries,
        query_schema=parameters.DeliveryQuery,
    ),
    Endpoint(
        "GET",
        "/deliveries/{receipt}",
        "delivery",
        "One delivery with raw body, events, outcomes, and what the mapping in force makes of it",
        request_shapes.DeliveryWhole,
        _delivery,
        path_schema=parameters.ReceiptPath,
        refusals={404: "There is no such delivery.", 503: "The mapping took too long."},
    ),
    Endpoint(
        "GET",
        "/refusals",
        "refusals",
        "Refused requests, the newest first",
        request_shapes.Refusals,
        _refusals,
        query_schema=parameters.RefusalQuery,
    ),
    Endpoint(
        "GET",
        "/refusals/{receipt}",
        "refusal",
        "One refused request with headers and raw body",
        request_shapes.RefusalWhole,
        _refusal,
        path_schema=parameters.ReceiptPath,
        refusals={404: "There is no such refusal."},
    ),
    Endpoint(
        "POST",
        "/leads/search",
        "search_leads",
        "Find leads by phone number, e-mail address or CRM contact id, with their story",
        outcome_shapes.SearchResult,
        _search,
        body_schema=parameters.SearchBody,
    ),
    Endpoint(
        "GET",
        "/leads/{id}",
        "lead",
        "The story of a lead's phone number, in all campaigns, from raw webhook to reply",
        outcome_shapes.Story,
        _lead,
        path_schema=parameters.LeadPath,
        query_schema=parameters.StoryQuery,
        refusals={404: "There is no such lead."},
    ),
    Endpoint(
        "GET",
        "/campaigns",
        "campaigns",
        "Each campaign: its pace, its condition and why, and what waits for it",
        overview_shapes.Campaigns,
        _campaigns,
    ),
    Endpoint(
        "GET",
        "/mappings",
        "mappings",
        "Every mapping file: its state, its rules and its cases",
        mapping_shapes.Mappings,
        _mappings,
        refusals={503: "The cases took too long."},
    ),
    Endpoint(
        "POST",
        "/mappings/try",
        "try_mapping",
        "What a mapping would make of a body; nothing is stored, sent or looked up",
        mapping_shapes.Trial,
        _trial,
        body_schema=parameters.TrialBody,
        refusals={404: "There is no such mapping file or delivery.", 503: "It took too long."},
    ),
)


def api(desk: Desk) -> Blueprint:
    """The API as a part of the web side."""
    blueprint = Blueprint("api", __name__, url_prefix="/api")
    endpoints = (*ENDPOINTS, *acting.ENDPOINTS, *exporting.ENDPOINTS)
    for endpoint in endpoints:
        add(blueprint, endpoint, desk)
    described = document(endpoints)

    def openapi() -> Response:
        return reply(200, described, "application/json")

    blueprint.add_url_rule(
        "/openapi.json", view_func=openapi, methods=["GET"], provide_automatic_options=False
    )
    return blueprint
