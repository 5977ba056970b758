"""The web process: Flask under gunicorn. Webhooks in, health out; nothing is forwarded here."""

from __future__ import annotations

import hmac
from collections.abc import Sequence

from flask import Flask, Response, request
from werkzeug.exceptions import HTTPException

from bridge import __version__, logs
from bridge.live import LiveMappings
from bridge.model import Campaign, Source
from bridge.operate.health import Check, Health, Status, Subject, document, overall
from bridge.receive.accept import Acceptor, Keep, Limits
from bridge.receive.hooks import FAULT, Hooks, HooksFirst
from bridge.receive.reply import Reply, problem
from bridge.receive.verify import over_url
from bridge.receive.wsgi import Bodies
from bridge.settings import Settings
from bridge.store import deliveries
from bridge.store.database import Database
from bridge.store.deliveries import NewDelivery
from bridge.store.group_commit import GroupCommit
from bridge.store.refusal_room import Room
from bridge.store.refusals import Bounds, NewRefusal
from bridge.store.shared_clock import SharedClock
from bridge.store.wakeup import Bell, notify

METHODS = ["POST", "GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS"]


def create_app(settings: Settings | None = None) -> Flask:
    """The application. Errors: ``SettingError``, ``MappingError`` when it cannot start."""
    settings = settings or Settings.current()
    logs.configure(
        style=settings["BRIDGE_LOG"],
        level=settings["BRIDGE_LOG_LEVEL"],
        secrets=settings.live_secrets(),
    )
    live = LiveMappings(settings)
    database = Database(
        settings["DATABASE_URL"],
        busy_timeout_s=settings["BRIDGE_COMMIT_TIMEOUT"],
        statement_timeout_s=settings["BRIDGE_COMMIT_TIMEOUT"] + 1,
        pool_size=8,
    )
    app = Flask(__name__, static_folder=None)
    acceptor = Acceptor(
        sources=lambda: _sources(live),
        keep=_commit_to(database, settings),
        limits=Limits(
            settings["BRIDGE_MAX_BODY"],
            settings["BRIDGE_MAX_DEPTH"],
            settings["BRIDGE_MAX_UNVERIFIED"],
        ),
    )
    health = Health(
        Subject(
            database,
            sources=lambda: _sources(live),
            campaigns=lambda: _campaigns(live),
            mapping_problem=lambda: _mapping_problem(live),
            need_url=lambda: _need_url(live, settings),
        )
    )
    limit = settings["BRIDGE_MAX_BODY"]
    _add_hooks(
        app,
        Hooks(
            acceptor,
            Bodies(max(limit, settings["BRIDGE_BODIES_IN_FLIGHT"])),
            limit,
            settings["BRIDGE_PUBLIC_URL"],
            settings["BRIDGE_FORWARDED_HOPS"],
            database.now_ms,
        ),
    )
    _add_health(app, health, settings)
    if settings["BRIDGE_CONSOLE_TOKEN"] is not None:
        from bridge.operator_door import beside  # noqa: PLC0415 - only where there is a console

        vars(app)["wsgi_app"] = beside(app.wsgi_app, settings, live, health)

    @app.errorhandler(HTTPException)
    def on_http_error(error: HTTPException) -> Response:
        status = error.code or 500
        return _response(problem(status, error.description or error.name))

    @app.errorhandler(Exception)
    def on_fault(_error: Exception) -> Response:
        logs.get("web").exception("unexpected fault", path_length=len(request.path))
        return _response(problem(500, FAULT))

    return app


def _mapping_problem(live: LiveMappings) -> str | None:
    live.current()  # looks at the files first
    return live.problem


def _sources(live: LiveMappings) -> dict[str, Source]:
    return dict(live.current().sources)


def _campaigns(live: LiveMappings) -> dict[str, Campaign]:
    return dict(live.current().campaigns)


def _need_url(live: LiveMappings, settings: Settings) -> dict[str, tuple[str, ...]]:
    if settings["BRIDGE_PUBLIC_URL"] is not None:
        return {}
    named = {name: over_url(s.verify).names for name, s in _sources(live).items() if s.configured}
    return {name: schemes for name, schemes in named.items() if schemes}


def _commit_to(database: Database, settings: Settings) -> Keep:
    bounds = Bounds(
        rows=settings["BRIDGE_REFUSALS_KEPT"],
        total_bytes=settings["BRIDGE_REFUSALS_BYTES"],
        network_rows=settings["BRIDGE_REFUSALS_PER_ADDRESS"],
        network_bytes=settings["BRIDGE_REFUSALS_ADDRESS_BYTES"],
    )
    room = Room(database, bounds, settings["BRIDGE_REFUSALS_DAYS"])
    bell = Bell(database)
    clock = SharedClock(database)
    clock.begin()

    def commit(items: Sequence[NewDelivery | NewRefusal]) -> None:
        accepted = [item for item in items if isinstance(item, NewDelivery)]
        refused = [item for item in items if isinstance(item, NewRefusal)]
        with database.write() as connection:
            if accepted:
                clock.compare(connection)
                deliveries.add(connection, accepted)
                notify(connection)
            room.store(connection, refused)
        if accepted:
            bell.ring()

    together: GroupCommit[NewDelivery | NewRefusal] = GroupCommit(
        commit, wait_s=settings["BRIDGE_COMMIT_TIMEOUT"]
    )

    def keep(item: NewDelivery | NewRefusal) -> bool:
        if isinstance(item, NewDelivery):
            together.put(item)
            return True
        with room.place(item) as placed:
            if placed is not None:
                together.put(placed)
        return placed is not None

    return keep


def _add_hooks(app: Flask, hooks: Hooks) -> None:
    def hook(source: str, token: str | None = None) -> Response:
        return _response(hooks.answer(request.environ, source, token))

    for rule in ("/hooks/<source>", "/hooks/<source>/<token>"):
        app.add_url_rule(
            rule,
            endpoint=rule,
            view_func=hook,
            methods=METHODS,
            provide_automatic_options=False,
        )
    app.wsgi_app = HooksFirst(hooks, app.wsgi_app)  # type: ignore[method-assign]  # Flask's own way


def _add_health(app: Flask, health: Health, settings: Settings) -> None:
    def livez() -> Response:
        return Response("ok\n", content_type="text/plain")

    def readyz() -> Response:
        return _health_response(health.ready())

    def healthz() -> Response:
        return _health_response(health.health())

    def _health_response(checks: dict[str, Check]) -> Response:
        shown = document(checks, __version__, details=_is_operator(settings))
        bad = overall(checks) is Status.FAIL
        return Response(
            app.json.dumps(shown),
            503 if bad else 200,
            content_type="application/health+json",
            headers={"Cache-Control": "no-store"},
        )

    for path, view in (("/livez", livez), ("/readyz", readyz), ("/healthz", healthz)):
        app.add_url_rule(path, endpoint=path, view_func=view, methods=["GET", "HEAD"])


def _is_operator(settings: Settings) -> bool:
    secret = settings.environment.secret("BRIDGE_CONSOLE_TOKEN")
    given = request.headers.get("Authorization", "").encode()
    tokens = () if secret is None else secret.values
    return any(hmac.compare_digest(given, f"Bearer {token}".encode()) for token in tokens)


def _response(reply: Reply) -> Response:
    response = Response(reply.body, reply.status, content_type=reply.content_type)
    for name, value in reply.headers:
        response.headers[name] = value
    return response
