"""The campaign API's endpoints for leads, as its reference describes them.

Source: https://docs.voiceaiwrapper.app/api-reference/leads-v2/bulk-update-in-voice-campaign and the
neighbouring pages. Where the reference is silent (the bodies of refusals, the greatest number of
rows, whether custom fields are merged) the behaviour is an option or the stricter of two readings.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass, field
from typing import Literal

from flask import Blueprint, Response

from bridge.sandbox import leads
from bridge.sandbox.behaviour import EVERYWHERE, campaign_scope
from bridge.sandbox.database import Database, Json, now_ms
from bridge.sandbox.exchange import Act, Reply, exchange
from bridge.sandbox.shapes import (
    LeadUpdateSchema,
    NewLeadOfTenantSchema,
    NewLeadSchema,
    ShapeError,
    load_many,
    load_one,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class CampaignOptions:
    """What the reference leaves open.

    ``custom_fields``: whether that object is merged key by key or replaced. ``invalid_rows``:
    ``refuse`` answers 422 to the whole call, ``report`` gives the element its own failed row.
    ``max_rows`` None: no limit. ``add_delay_ms`` None: queued leads appear only when told to.
    """

    tokens: tuple[str, ...] = field(repr=False)
    custom_fields: leads.CustomFields = "merge"
    invalid_rows: Literal["refuse", "report"] = "refuse"
    max_rows: int | None = None
    max_rows_status: Literal[400, 413] = 413
    add_delay_ms: int | None = 50


def refuse(status: int, message: str, errors: Json = None) -> Reply:
    """A refusal in the style of the API's other answers."""
    body = {"status": "error", "message": message}
    return Reply(status, body if errors is None else {**body, "errors": errors})


class CampaignApi:
    """The endpoints, over one database."""

    def __init__(self, database: Database, options: CampaignOptions) -> None:
        self._database = database
        self._options = options

    def blueprint(self) -> Blueprint:
        """The routes, v2 and v1."""
        api = Blueprint("campaign_api", __name__)
        v2, v1 = (f"{at}/voice-campaigns/<opaque:campaign>" for at in ("/api/v2", "/v1/api"))
        api.patch(f"{v2}/leads/update/bulk")(self.update_leads)
        api.post(f"{v2}/leads/bulk")(self.add_leads)
        api.patch(f"{v1}/lead/update")(self.update_lead)
        api.post(f"{v1}/leads")(self.add_lead)
        return api

    def update_leads(self, campaign: str) -> Response:
        """Every element on its own, each with its row; only the fields that were sent change."""

        def act(connection: sqlite3.Connection, seq: int, body: Json) -> Reply:
            refused = self._refused_array(body)
            if refused is not None:
                return refused
            wrong: Json = {}
            try:
                right: dict[int, Json] = dict(enumerate(load_many(LeadUpdateSchema, body)))
            except ShapeError as error:
                if self._options.invalid_rows == "refuse":
                    raise
                wrong, right = error.messages, error.valid
            rows = []
            for index, element in enumerate(body):
                done = index in right and self._update(connection, campaign, right[index], seq)
                rows.append(_row(index, element, done=done, wrong=wrong.get(index)))
            summary = {"status": "success", "message": "Bulk lead update completed"}
            return Reply(200, {**summary, "results": rows}, applied=True)

        return self._run(act, "bulk_update", campaign)

    def add_leads(self, campaign: str) -> Response:
        """Queue leads that are to appear later."""

        def act(connection: sqlite3.Connection, seq: int, body: Json) -> Reply:
            refused = self._refused_array(body)
            if refused is not None:
                return refused
            delay = self._options.add_delay_ms
            due = None if delay is None else now_ms() + delay
            for lead in load_many(NewLeadSchema, body):
                leads.queue_lead(connection, campaign, lead, call=seq, due_ms=due)
            return _done("Leads are queued to be added to the campaign")

        return self._run(act, "bulk_add", campaign)

    def update_lead(self, campaign: str) -> Response:
        """Change one lead (v1)."""

        def act(connection: sqlite3.Connection, seq: int, body: Json) -> Reply:
            found = self._update(connection, campaign, load_one(LeadUpdateSchema, body), seq)
            return _done("Lead updated successfully") if found else refuse(404, "Lead not found")

        return self._run(act, "update", campaign)

    def add_lead(self, campaign: str) -> Response:
        """Add one lead at once (v1)."""

        def act(connection: sqlite3.Connection, seq: int, body: Json) -> Reply:
            lead = load_one(NewLeadOfTenantSchema, body)
            leads.add_new_lead(connection, campaign, lead, call=seq)
            return _done("Lead added to the campaign successfully")

        return self._run(act, "add", campaign)

    def _run(self, act: Act, endpoint: str, campaign: str) -> Response:
        def in_campaign(connection: sqlite3.Connection, seq: int, body: Json) -> Reply:
            if not leads.has_campaign(connection, campaign):
                return refuse(404, "Campaign not found")
            try:
                return act(connection, seq, body)
            except ShapeError as error:
                return refuse(422, "The body does not have the documented shape", error.messages)

        return exchange(
            self._database,
            in_campaign,
            endpoint=endpoint,
            campaign=campaign,
            scopes=(campaign_scope(campaign), EVERYWHERE),
            tokens=self._options.tokens,
            refuse=refuse,
        )

    def _refused_array(self, body: Json) -> Reply | None:
        most = self._options.max_rows
        if not isinstance(body, list):
            return refuse(400, "The body must be an array of leads")
        if not body:
            return refuse(400, "The array must have at least 1 element")
        if most is not None and len(body) > most:
            return refuse(self._options.max_rows_status, f"At most {most} leads in one call")
        return None

    def _update(
        self, connection: sqlite3.Connection, campaign: str, fields: Json, seq: int
    ) -> bool:
        how = self._options.custom_fields
        return leads.apply_update(connection, campaign, fields, call=seq, custom_fields=how)


def _done(message: str) -> Reply:
    return Reply(200, {"status": "success", "message": message}, applied=True)


def _row(index: int, element: Json, *, done: bool, wrong: Json) -> Json:
    phone = element.get("phone_number") if isinstance(element, dict) else None
    message = "Lead updated successfully" if done else "Lead not found"
    if wrong is not None:
        message = f"Invalid lead: {wrong}"
    return {"index": index, "phone_number": phone, "success": done, "message": message}
