"""The operator's side of the web process: console and API as one Flask application.

It stands beside the application that takes webhooks, and nothing of it is in their way.
"""

from __future__ import annotations

from datetime import timedelta

from flask import Flask, Response, g, render_template, request
from werkzeug.exceptions import HTTPException, MethodNotAllowed

from bridge import logs
from bridge.errors import StoreBusy
from bridge.operate.api import api
from bridge.operate.api.endpoint import ProblemError, problem
from bridge.operate.console import console
from bridge.operate.desk import Desk
from bridge.operate.gatekeeper import Gatekeeper, session_keys

LARGEST_REQUEST = 1_000_000
"""Bytes of a request, at most."""

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self'; "
    "img-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}

log = logs.get("console")


def operator_side(desk: Desk) -> Flask:
    """The application for everything under ``/console`` and ``/api``."""
    app = Flask(__name__, static_folder=None, template_folder="console/templates")
    keys = session_keys(desk.tokens)
    app.config.update(
        SECRET_KEY=keys[0],
        SECRET_KEY_FALLBACKS=keys[1:],
        SESSION_COOKIE_NAME="crm_bridge_console",
        SESSION_COOKIE_PATH="/console",
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Strict",
        SESSION_COOKIE_SECURE=desk.https,
        SESSION_REFRESH_EACH_REQUEST=False,
        PERMANENT_SESSION_LIFETIME=timedelta(seconds=desk.session_s),
        MAX_CONTENT_LENGTH=LARGEST_REQUEST,
        MAX_FORM_MEMORY_SIZE=LARGEST_REQUEST,
    )
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    gatekeeper = Gatekeeper(desk.tokens)
    app.register_blueprint(console(desk, gatekeeper))
    app.register_blueprint(api(desk))

    @app.before_request
    def admit() -> Response | None:
        return _admit_script(desk, gatekeeper) if _for_script() else None

    @app.after_request
    def finish(response: Response) -> Response:
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)
        response.headers.setdefault("Cache-Control", "no-store")
        return response

    _add_errors(app)
    return app


def _for_script() -> bool:
    return request.path == "/api" or request.path.startswith("/api/")


def _admit_script(desk: Desk, gatekeeper: Gatekeeper) -> Response | None:
    """Refuse a call without the token; None lets it through."""
    address = desk.address_of(request.environ)
    authorization = request.headers.get("Authorization", "")
    away = gatekeeper.turned_away(address, authorization, "BRIDGE_CONSOLE_TOKEN")
    return None if away is None else problem(ProblemError(away.status, away.detail), away.headers)


def _add_errors(app: Flask) -> None:
    def answer(status: int, detail: str, headers: dict[str, str] | None = None) -> Response:
        if _for_script():
            return problem(ProblemError(status, detail), headers)
        g.setdefault("signed_in", False)
        page = Response(render_template("error.html", status=status, detail=detail), status)
        page.headers.update(headers or {})
        return page

    @app.errorhandler(ProblemError)
    def on_problem(error: ProblemError) -> Response:
        return problem(error)

    @app.errorhandler(HTTPException)
    def on_http_error(error: HTTPException) -> Response:
        headers = {}
        if isinstance(error, MethodNotAllowed) and error.valid_methods:
            headers["Allow"] = ", ".join(sorted(error.valid_methods))
        detail = "There is no such page." if error.code == 404 else error.description or error.name
        return answer(error.code or 500, detail, headers)

    @app.errorhandler(StoreBusy)
    def on_busy(error: StoreBusy) -> Response:
        log.warning("database out of reach", error=str(error))
        return answer(503, "The database is busy just now. Try again.", {"Retry-After": "2"})

    @app.errorhandler(TimeoutError)
    def on_slow(_error: TimeoutError) -> Response:
        return answer(503, "This took too long and was stopped. Try less at once.")

    @app.errorhandler(Exception)
    def on_fault(_error: Exception) -> Response:
        log.exception("unexpected fault", path_length=len(request.path))
        return answer(500, "An unexpected fault; the log has its traceback.")
