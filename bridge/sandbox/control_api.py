"""``/sandbox/…``: what tests and the demo set and look at. Without authentication.

| route | |
| --- | --- |
| ``GET /sandbox/leads?campaign=`` | every field of every lead |
| ``PUT /sandbox/leads`` | set leads, ``answered`` included |
| ``PUT /sandbox/campaigns`` | a list of ids that are to exist |
| ``GET``, ``PUT /sandbox/contacts`` | create, change, archive, delete for privacy, merge |
| ``GET /sandbox/calls?after=&endpoint=&campaign=`` | every call, in the order of effect |
| ``GET``, ``PUT /sandbox/behaviour`` | how the next calls go wrong; a PUT replaces the plan |
| ``POST /sandbox/settle`` | let every queued lead appear now |
| ``GET /sandbox/stats`` | counts |

A body with a mistake changes nothing and is answered 422, ``errors`` saying where.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from flask import Blueprint, Response, request

from bridge.sandbox import behaviour, call_log, contacts, leads
from bridge.sandbox.database import Database, Json, now_ms
from bridge.sandbox.exchange import Reply, UnreadableError, answer, decoded_body
from bridge.sandbox.shapes import (
    BehaviourSchema,
    ContactSettingSchema,
    LeadSettingSchema,
    ShapeError,
    load_many,
    load_one,
)

if TYPE_CHECKING:
    from marshmallow import Schema


class MisuseError(Exception):
    """A control call that cannot be carried out; the text says what to do instead."""

    def __init__(self, status: int, message: str) -> None:
        self.status = status
        super().__init__(message)


class ControlApi:
    """The control interface, over one database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def blueprint(self) -> Blueprint:
        """The routes, and mistakes answered as JSON."""
        api = Blueprint("control_api", __name__, url_prefix="/sandbox")
        api.register_error_handler(ShapeError, _wrong_shape)
        api.register_error_handler(MisuseError, _misuse)
        api.register_error_handler(UnreadableError, _misuse)
        api.get("/leads")(self.get_leads)
        api.put("/leads")(self.put_leads)
        api.put("/campaigns")(self.put_campaigns)
        api.get("/contacts")(self.get_contacts)
        api.put("/contacts")(self.put_contacts)
        api.get("/calls")(self.get_calls)
        api.get("/behaviour")(self.get_behaviour)
        api.put("/behaviour")(self.put_behaviour)
        api.post("/settle")(self.settle)
        api.get("/stats")(self.get_stats)
        return api

    def get_leads(self) -> Response:
        """The leads of one campaign, or of all."""
        with self._database.transaction() as connection:
            leads.settle(connection, until_ms=now_ms())
            return _ok({"leads": leads.all_leads(connection, request.args.get("campaign"))})

    def put_leads(self) -> Response:
        """Make or change leads; fields that are not named stay."""
        settings = _list_of(LeadSettingSchema)
        with self._database.transaction() as connection:
            for setting in settings:
                campaign = setting["campaign"]
                if not leads.has_campaign(connection, campaign):
                    raise MisuseError(404, f"No campaign {campaign!r}: PUT /sandbox/campaigns it.")
                leads.put_lead(connection, setting)
        return _ok({"leads": len(settings)})

    def put_campaigns(self) -> Response:
        """Make campaigns exist."""
        ids = decoded_body()
        if not isinstance(ids, list) or not all(isinstance(one, str) and one for one in ids):
            raise MisuseError(422, "Send an array of campaign ids, each a text that is not empty.")
        with self._database.transaction() as connection:
            for campaign in ids:
                leads.put_campaign(connection, campaign)
        return _ok({"campaigns": len(ids)})

    def get_contacts(self) -> Response:
        """Every contact as it is kept, merged ones included."""
        with self._database.transaction() as connection:
            return _ok({"contacts": contacts.all_contacts(connection)})

    def put_contacts(self) -> Response:
        """Create, change, archive, delete for privacy or merge contacts, in the given order."""
        settings = _list_of(ContactSettingSchema)
        with self._database.transaction() as connection:
            for setting in settings:
                contacts.put_contact(connection, setting)
        return _ok({"contacts": len(settings)})

    def get_calls(self) -> Response:
        """The calls after a number, of one endpoint and campaign or of all."""
        after = request.args.get("after", "0")
        if not re.fullmatch(r"[0-9]{1,18}", after):
            raise MisuseError(422, "after must be the number of a call, such as 17.")
        with self._database.transaction() as connection:
            found = call_log.calls(
                connection,
                after=int(after),
                endpoint=request.args.get("endpoint"),
                campaign=request.args.get("campaign"),
            )
        return _ok({"calls": found})

    def get_behaviour(self) -> Response:
        """Every plan, with the steps that are left."""
        with self._database.transaction() as connection:
            return _ok({"plans": behaviour.plans(connection)})

    def put_behaviour(self) -> Response:
        """Replace the plan of a campaign, of HubSpot reads, or of all campaigns."""
        plan = load_one(BehaviourSchema, decoded_body())
        scope = behaviour.EVERYWHERE
        if plan.get("hubspot"):
            scope = behaviour.HUBSPOT
        elif "campaign" in plan:
            scope = behaviour.campaign_scope(plan["campaign"])
        fallback = {"random": plan["random"]} if "random" in plan else plan.get("default")
        with self._database.transaction() as connection:
            behaviour.set_plan(connection, scope, steps=plan["steps"], fallback=fallback)
        return _ok({"scope": scope})

    def settle(self) -> Response:
        """Let every queued lead appear now."""
        with self._database.transaction() as connection:
            return _ok({"settled": leads.settle(connection, until_ms=None)})

    def get_stats(self) -> Response:
        """Counts of what there is and of what was called."""
        with self._database.transaction() as connection:
            leads.settle(connection, until_ms=now_ms())
            return _ok(call_log.stats(connection))


def _wrong_shape(error: ShapeError) -> Response:
    return answer(Reply(422, {"error": "not the right shape", "errors": error.messages}))


def _misuse(error: MisuseError | UnreadableError) -> Response:
    return answer(Reply(error.status, {"error": str(error)}))


def _list_of(schema: type[Schema]) -> list[dict[str, Json]]:
    body = decoded_body()
    if not isinstance(body, list):
        raise MisuseError(422, "Send an array of objects.")
    return load_many(schema, body)


def _ok(body: Json) -> Response:
    return answer(Reply(200, body))
