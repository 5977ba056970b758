"""The sandbox as one Flask application."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from flask import Flask, Response
from werkzeug.exceptions import HTTPException

from bridge.sandbox.campaign_api import CampaignApi, CampaignOptions, refuse
from bridge.sandbox.control_api import ControlApi
from bridge.sandbox.database import Database
from bridge.sandbox.encoded_path import EncodedPath, OpaqueId
from bridge.sandbox.exchange import answer
from bridge.sandbox.hubspot_api import HubSpotOptions, hubspot_api
from bridge.sandbox.leads import put_campaign


def create_sandbox(
    database: Path,
    *,
    tokens: Sequence[str],
    hubspot_tokens: Sequence[str] = (),
    campaigns: Sequence[str] = (),
    custom_fields: Literal["merge", "replace"] = "merge",
    invalid_rows: Literal["refuse", "report"] = "refuse",
    max_rows: int | None = None,
    max_rows_status: Literal[400, 413] = 413,
    max_body_bytes: int = 10 * 1024 * 1024,
    add_delay_ms: int | None = 50,
    hubspot_rate: int | None = None,
    hubspot_rate_window_s: float = 10.0,
) -> Flask:
    """The campaign API, HubSpot's batch read and the control interface over one SQLite file.

    The file is made if it is not there; what is in it stays. ``campaigns`` exist from the start,
    further ones by ``PUT /sandbox/campaigns``. The other options are those of
    ``CampaignOptions`` and ``HubSpotOptions``. Raises ``sqlite3.Error`` where the file cannot be
    used, ``ValueError`` for a token that is empty.
    """
    if not all([*tokens, *hubspot_tokens]):
        raise ValueError("a token of the sandbox must not be empty")
    store = Database(database)
    with store.transaction() as connection:
        for campaign in campaigns:
            put_campaign(connection, campaign)

    app = Flask("bridge.sandbox", static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = max_body_bytes
    app.url_map.merge_slashes = False
    app.url_map.converters["opaque"] = OpaqueId
    app.wsgi_app = EncodedPath(app.wsgi_app)  # type: ignore[method-assign]  # as Flask documents
    app.register_blueprint(
        CampaignApi(
            store,
            CampaignOptions(
                tokens=tuple(tokens),
                custom_fields=custom_fields,
                invalid_rows=invalid_rows,
                max_rows=max_rows,
                max_rows_status=max_rows_status,
                add_delay_ms=add_delay_ms,
            ),
        ).blueprint()
    )
    app.register_blueprint(
        hubspot_api(
            store,
            HubSpotOptions(
                tokens=tuple(hubspot_tokens),
                rate=hubspot_rate,
                rate_window_s=hubspot_rate_window_s,
            ),
        )
    )
    app.register_blueprint(ControlApi(store).blueprint())

    @app.errorhandler(HTTPException)
    def in_json(error: HTTPException) -> Response:
        response = answer(refuse(error.code or 500, error.description or error.name))
        for name, value in error.get_headers():
            if name.lower() not in {"content-type", "content-length"}:
                response.headers[name] = value
        return response

    return app
