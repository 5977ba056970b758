"""The door to the operator's side: everything under ``/console`` and ``/api`` goes through it.

Loaded only where BRIDGE_CONSOLE_TOKEN is set, and before the first request, so that no webhook
waits for it. A webhook pays for it with one comparison of its path.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from bridge.live import LiveMappings
from bridge.map.phone import typed
from bridge.operate.desk import Desk
from bridge.operate.export.subject import settle_ms
from bridge.operate.health import Health
from bridge.operate.web import operator_side
from bridge.operator_replays import OperatorReplays
from bridge.receive.wsgi import address_of
from bridge.settings import Settings
from bridge.store.database import Database
from bridge.trial import Trials
from bridge.waits import aside
from bridge.wellbeing import mapping_problem

Wsgi = Callable[[dict[str, Any], Any], Iterable[bytes]]

PATHS = ("/console", "/api")


def with_desk(hooks: Wsgi, settings: Settings, live: LiveMappings, health: Health) -> Wsgi:
    """The application of the webhooks with the operator's side beside it."""
    side = operator_side(_desk(settings, live, health)).wsgi_app

    def serve(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        if environ["PATH_INFO"].startswith(PATHS):
            return side(environ, start_response)
        return hooks(environ, start_response)

    return serve


def _desk(settings: Settings, live: LiveMappings, health: Health) -> Desk:
    # connections of its own, so that a slow page takes none from a webhook
    database = Database(
        settings["DATABASE_URL"],
        statement_timeout_s=settings["BRIDGE_CONSOLE_TIMEOUT"],
        pool_size=4,
    )
    secret = settings.environment.secret("BRIDGE_CONSOLE_TOKEN")
    public_url = settings["BRIDGE_PUBLIC_URL"] or ""
    region = settings["BRIDGE_DEFAULT_REGION"]

    return Desk(
        database=database,
        health=health,
        sources=lambda: dict(live.current().sources),
        campaigns=lambda: dict(live.current().campaigns),
        mapping_problem=partial(mapping_problem, live),
        trials=Trials(
            settings, live.current, database, partial(aside, settings["BRIDGE_CONSOLE_TIMEOUT"])
        ),
        replays=OperatorReplays(settings, live, database, settings["BRIDGE_CONSOLE_TIMEOUT"]),
        read_phone=lambda text: typed(text, region),
        address_of=lambda environ: address_of(environ, settings["BRIDGE_FORWARDED_HOPS"]),
        tokens=() if secret is None else secret.values,
        https=public_url.lower().startswith("https:"),
        session_s=settings["BRIDGE_CONSOLE_HOURS"] * 3600,
        evidence_key=settings["BRIDGE_EVIDENCE_KEY"],
        export_most=settings["BRIDGE_EXPORT_MOST"],
        export_settle_ms=settle_ms(settings["BRIDGE_COMMIT_TIMEOUT"]),
    )
