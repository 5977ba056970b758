"""The web process: Flask under gunicorn. Webhooks in, health out; nothing is forwarded here."""

from __future__ import annotations

import atexit
import os
import secrets
import socket
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial

from flask import Flask, Response, request
from werkzeug.exceptions import HTTPException

from bridge import logs
from bridge.live import LiveMappings
from bridge.monitor_door import add_monitors
from bridge.operate.metrics.reading import Metrics, Subject
from bridge.overfull import overfull
from bridge.receive.accept import Acceptor, Keep, Limits
from bridge.receive.bodies import Bodies
from bridge.receive.counted import CountedHooks
from bridge.receive.hooks import FAULT, Hooks, HooksFirst
from bridge.receive.reply import Reply, problem
from bridge.settings import Settings
from bridge.store import deliveries
from bridge.store.counters import Counted, Counts, Flusher
from bridge.store.database import Database
from bridge.store.deliveries import NewDelivery
from bridge.store.group_commit import GroupCommit
from bridge.store.refusal_room import Room
from bridge.store.refusals import Bounds, NewRefusal
from bridge.store.shared_clock import SharedClock
from bridge.store.wakeup import Bell
from bridge.waits import Disk, parked
from bridge.wellbeing import health_of, mapping_problem

METHODS = ["POST", "GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS"]


def create_app(settings: Settings | None = None) -> Flask:
    """The application. Errors: ``SettingError``, ``MappingError`` when it cannot start."""
    settings = settings or Settings.current()
    logs.configure_by(settings)
    live = LiveMappings(settings)
    counts = Counts()
    database = Database(
        settings["DATABASE_URL"],
        busy_timeout_s=settings["BRIDGE_COMMIT_TIMEOUT"],
        statement_timeout_s=settings["BRIDGE_COMMIT_TIMEOUT"] + 1,
        pool_size=8,
        flush=Disk().wait_for,
    )
    app = Flask(__name__, static_folder=None)
    app.extensions["mappings"] = live
    acceptor = Acceptor(
        sources=lambda: live.current().sources,
        keep=_commit_to(database, settings, counts),
        limits=Limits(
            settings["BRIDGE_MAX_BODY"],
            settings["BRIDGE_MAX_DEPTH"],
            settings["BRIDGE_MAX_UNVERIFIED"],
            settings["BRIDGE_CHECK_BODY"],
        ),
        overfull=partial(
            overfull,
            current=live.current,
            most=settings["BRIDGE_MAX_EVENTS"],
            depth=settings["BRIDGE_MAX_DEPTH"],
        ),
    )
    health = health_of(settings, live, database)
    hooks = Hooks(
        acceptor,
        Bodies(max(settings["BRIDGE_MAX_BODY"], settings["BRIDGE_BODIES_IN_FLIGHT"])),
        settings["BRIDGE_PUBLIC_URL"],
        settings["BRIDGE_FORWARDED_HOPS"],
        database.now_ms,
    )
    _add_hooks(app, CountedHooks(hooks, counts, _flusher(counts, database)))
    add_monitors(
        app,
        health,
        Metrics(
            Subject(
                database,
                sources=lambda: live.current().sources,
                campaigns=lambda: live.current().campaigns,
                versions=lambda: {n: m.version for n, m in live.current().mappings.items()},
                mapping_problem=lambda: mapping_problem(live),
                worker_silent_ms=round(settings["BRIDGE_WORKER_SILENT"] * 1000),
            )
        ),
        settings,
    )
    _tell(settings, live)
    if settings["BRIDGE_CONSOLE_TOKEN"] is not None:
        from bridge.operator_door import with_desk  # noqa: PLC0415 - only where there is a console

        vars(app)["wsgi_app"] = with_desk(app.wsgi_app, settings, live, health)

    @app.errorhandler(HTTPException)
    def on_http_error(error: HTTPException) -> Response:
        status = error.code or 500
        return _response(problem(status, error.description or error.name))

    @app.errorhandler(Exception)
    def on_fault(_error: Exception) -> Response:
        logs.get("web").exception("unexpected fault", path_length=len(request.path))
        return _response(problem(500, FAULT))

    return app


def _tell(settings: Settings, live: LiveMappings) -> None:
    """Have this process tell of trouble where no worker does, above all of that."""
    if not settings.tells:
        return
    from bridge.telling import Telling  # noqa: PLC0415 - only where somebody is told

    owner = f"web-{socket.gethostname()[:40]}-{os.getpid()}-{secrets.token_hex(3)}"
    for name, run in Telling(settings, live, owner, stands_in=True).loops():
        thread = threading.Thread(target=run, args=(_sleep,), name=name, daemon=True)
        thread.start()


def _sleep(seconds: float) -> bool:
    time.sleep(seconds)
    return True


def _commit_to(database: Database, settings: Settings, counts: Counts) -> Keep:
    bounds = Bounds(
        rows=settings["BRIDGE_REFUSALS_KEPT"],
        total_bytes=settings["BRIDGE_REFUSALS_BYTES"],
        network_rows=settings["BRIDGE_REFUSALS_PER_ADDRESS"],
        network_bytes=settings["BRIDGE_REFUSALS_ADDRESS_BYTES"],
    )
    room = Room(database, bounds, settings["BRIDGE_REFUSALS_DAYS"])
    bell = Bell(database)
    clock = SharedClock(database)
    clock.keep()

    def commit(items: Sequence[NewDelivery | NewRefusal]) -> None:
        accepted = [item for item in items if isinstance(item, NewDelivery)]
        refused = [item for item in items if isinstance(item, NewRefusal)]
        with database.right_of_way.claim(len(accepted)):
            if refused:
                with database.write() as connection:
                    deliveries.put(connection, accepted)
                    room.store(connection, refused)
            else:
                database.put(partial(deliveries.put, rows=accepted))
        if accepted:
            bell.ring()
            clock.keep()

    together: GroupCommit[NewDelivery | NewRefusal] = GroupCommit(
        commit, wait_s=settings["BRIDGE_COMMIT_TIMEOUT"], waiting=parked
    )

    def keep(item: NewDelivery | NewRefusal) -> bool:
        if isinstance(item, NewDelivery):
            together.put(item)
            return True
        counts.add(Counted.REFUSED, item.source)
        with room.place(item) as placed:
            if placed is not None:
                together.put(placed)
        return placed is not None

    return keep


def _flusher(counts: Counts, database: Database) -> Callable[[], None]:
    """What starts the writing of counts, at the first of them."""
    flusher = Flusher(counts, database)
    atexit.register(flusher.close)
    return flusher.start


def _add_hooks(app: Flask, hooks: CountedHooks) -> None:
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
    first = HooksFirst(hooks, app.wsgi_app)
    app.wsgi_app = first  # type: ignore[method-assign]  # Flask's own way
    app.extensions["hooks"] = first


def _response(reply: Reply) -> Response:
    response = Response(reply.body, reply.status, content_type=reply.content_type)
    for name, value in reply.headers:
        response.headers[name] = value
    return response
