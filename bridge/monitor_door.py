"""The door for monitors: is the process alive, is it ready, is all well, and the metrics.

GET and HEAD, by any name of the host, without a redirect. Health needs no token, but what names
something internal (campaigns, sources, reasons) is shown only to who has the operator's. Metrics
do name such things: they need a token, unless a setting opens them.
"""

from __future__ import annotations

from flask import Flask, Response, request

from bridge import __version__
from bridge.operate.gatekeeper import Gatekeeper, TurnedAway
from bridge.operate.health import Check, Health, Status, document, overall
from bridge.operate.metrics.reading import Metrics
from bridge.operate.metrics.text import CONTENT_TYPE, written
from bridge.receive.reply import problem
from bridge.receive.wsgi import address_of
from bridge.settings import Settings

READING = ["GET", "HEAD"]
NO_STORE = {"Cache-Control": "no-store"}


def add_monitors(app: Flask, health: Health, metrics: Metrics, settings: Settings) -> None:
    """Add the routes for monitors to the application of the web process."""
    _add_health(app, health, settings)
    _add_metrics(app, metrics, settings)


def _add_health(app: Flask, health: Health, settings: Settings) -> None:
    operator = Bearer(settings, "BRIDGE_CONSOLE_TOKEN")

    def livez() -> Response:
        return Response("ok\n", content_type="text/plain", headers=NO_STORE)

    def readyz() -> Response:
        return health_response(health.ready())

    def healthz() -> Response:
        return health_response(health.health())

    def health_response(checks: dict[str, Check]) -> Response:
        details = operator.turned_away() is None
        shown = document(checks, __version__, details=details, campaigns=health.campaigns())
        bad = overall(checks) is Status.FAIL
        return Response(
            app.json.dumps(shown),
            503 if bad else 200,
            content_type="application/health+json",
            headers=NO_STORE,
        )

    # some platforms ask for / and cannot be told another path
    for path, view in (("/", livez), ("/livez", livez), ("/readyz", readyz), ("/healthz", healthz)):
        app.add_url_rule(path, endpoint=path, view_func=view, methods=READING)


def _add_metrics(app: Flask, metrics: Metrics, settings: Settings) -> None:
    reader = Bearer(settings, "BRIDGE_METRICS_TOKEN", "BRIDGE_CONSOLE_TOKEN")
    is_open = settings["BRIDGE_METRICS"] == "open"
    if not is_open and not reader.set:
        return

    def show() -> Response:
        away = None if is_open else reader.turned_away()
        if away is not None:
            return _refused(away)
        body = written(metrics.samples())
        return Response(body, content_type=CONTENT_TYPE, headers=NO_STORE)

    app.add_url_rule("/metrics", endpoint="/metrics", view_func=show, methods=READING)


def _refused(away: TurnedAway) -> Response:
    reply = problem(away.status, away.detail, *away.headers.items())
    response = Response(reply.body, reply.status, content_type=reply.content_type)
    response.headers.update(dict(reply.headers))
    return response


class Bearer:
    """Who shows a token of these settings in ``Authorization: Bearer``; wrong ones have to wait."""

    def __init__(self, settings: Settings, *names: str) -> None:
        secrets = [settings.environment.secret(name) for name in names]
        tokens = [token for secret in secrets if secret is not None for token in secret.values]
        self._gatekeeper = Gatekeeper(tokens) if tokens else None
        self._hops = settings["BRIDGE_FORWARDED_HOPS"]
        self._setting = names[0]

    @property
    def set(self) -> bool:
        """Whether there is a token at all."""
        return self._gatekeeper is not None

    def turned_away(self) -> TurnedAway | None:
        """What to answer this request with; None if it shows a token."""
        if self._gatekeeper is None:
            return TurnedAway(404, f"{self._setting} is not set.", {})
        address = address_of(request.environ, self._hops)
        authorization = request.headers.get("Authorization", "")
        return self._gatekeeper.turned_away(address, authorization, self._setting)
