"""HubSpot's ``POST /crm/v3/objects/contacts/batch/read``.

Source: https://developers.hubspot.com/docs/api-reference/latest/crm/objects/objects/batch/get-objects;
errors and limits: https://developers.hubspot.com/docs/developer-tooling/platform/usage-guidelines.
"""

from __future__ import annotations

import sqlite3
import threading
import time
import uuid
from collections import deque
from dataclasses import dataclass, field

from flask import Blueprint, Response, request

from bridge.sandbox.behaviour import HUBSPOT
from bridge.sandbox.contacts import iso, read_batch
from bridge.sandbox.database import Database, Json, now_ms
from bridge.sandbox.exchange import Reply, exchange
from bridge.sandbox.shapes import BatchReadSchema, ShapeError, load_one

CATEGORIES = {401: "INVALID_AUTHENTICATION", 400: "VALIDATION_ERROR"}

NOT_FOUND = (
    "Could not get some CONTACT objects, they may be deleted or not exist. "
    "Check that ids are valid."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class HubSpotOptions:
    """``rate`` calls are allowed in any ``rate_window_s`` seconds; None: no limit."""

    tokens: tuple[str, ...] = field(repr=False)
    rate: int | None = None
    rate_window_s: float = 10.0


class RateLimit:
    """A window that moves along; counts for all tokens together, as for one account."""

    def __init__(self, rate: int, window_s: float) -> None:
        self._rate = rate
        self._window_s = window_s
        self._taken: deque[float] = deque()
        self._lock = threading.Lock()

    def take(self) -> bool:
        """Whether one more call fits into the window; if so, it is counted."""
        with self._lock:
            now = time.monotonic()
            while self._taken and self._taken[0] <= now - self._window_s:
                self._taken.popleft()
            if len(self._taken) >= self._rate:
                return False
            self._taken.append(now)
            return True

    @property
    def headers(self) -> dict[str, str]:
        """What HubSpot tells of the limit with every answer."""
        return {
            "X-HubSpot-RateLimit-Max": str(self._rate),
            "X-HubSpot-RateLimit-Remaining": str(self._rate - len(self._taken)),
            "X-HubSpot-RateLimit-Interval-Milliseconds": str(round(self._window_s * 1000)),
        }


def refuse(status: int, message: str) -> Reply:
    """A refusal as HubSpot words it; a 429 has its own shape."""
    body = {"status": "error", "message": message, "correlationId": str(uuid.uuid4())}
    if status == 429:
        extra = {
            "message": "You have reached your ten_secondly_rolling limit.",
            "errorType": "RATE_LIMIT",
            "policyName": "TEN_SECONDLY_ROLLING",
            "requestId": str(uuid.uuid4()),
        }
        return Reply(429, {**body, **extra})
    return Reply(status, {**body, "category": CATEGORIES.get(status, "INTERNAL_ERROR")})


def hubspot_api(database: Database, options: HubSpotOptions) -> Blueprint:
    """The endpoint, over one database."""
    api = Blueprint("hubspot_api", __name__)
    limit = None if options.rate is None else RateLimit(options.rate, options.rate_window_s)

    @api.post("/crm/v3/objects/contacts/batch/read")
    def read_contacts() -> Response:
        archived = request.args.get("archived", "false")

        def act(connection: sqlite3.Connection, _seq: int, body: Json) -> Reply:
            if limit is not None and not limit.take():
                return refuse(429, "")
            if archived not in {"true", "false"}:
                return refuse(400, "Query parameter archived must be true or false.")
            try:
                asked = load_one(BatchReadSchema, body)
            except ShapeError as error:
                return refuse(400, f"Invalid input JSON: {error.messages}")
            return _batch(connection, asked, archived=archived == "true")

        response = exchange(
            database,
            act,
            endpoint="batch_read",
            campaign=None,
            scopes=(HUBSPOT,),
            tokens=options.tokens,
            refuse=refuse,
        )
        if limit is not None:
            response.headers.update(limit.headers)
        return response

    return api


def _batch(connection: sqlite3.Connection, asked: Json, *, archived: bool) -> Reply:
    started = now_ms()
    ids = [row["id"] for row in asked["inputs"]]
    results, missing = read_batch(connection, ids, asked["properties"], archived=archived)
    body: dict[str, Json] = {"status": "COMPLETE", "results": results}
    if missing:
        body["numErrors"] = 1
        body["errors"] = [
            {
                "status": "error",
                "category": "OBJECT_NOT_FOUND",
                "message": NOT_FOUND,
                "context": {"ids": missing},
            }
        ]
    body |= {"startedAt": iso(started), "completedAt": iso(now_ms())}
    return Reply(207 if missing else 200, body, applied=True)
