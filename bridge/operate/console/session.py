"""Signing in by the token, the session that follows, and the proof that a post is meant.

The session is a signed cookie, so that any web process on any node knows it: it holds the name
that audit lines show and the CSRF token, and ends by itself.
"""

from __future__ import annotations

import hmac
import secrets

from flask import Blueprint, Response, g, redirect, render_template, request, session, url_for
from werkzeug.exceptions import Forbidden
from werkzeug.wrappers import Response as AnyResponse

from bridge import logs
from bridge.operate.desk import Desk
from bridge.operate.gatekeeper import Gatekeeper

OPEN = frozenset({"console.sign_in", "console.asset"})
"""What is there for everybody."""

LONGEST_NAME = 60

LARGEST_OF_STRANGERS = 8192
"""Bytes of a body that is read of somebody who is not signed in."""

log = logs.get("console")


def add_session(blueprint: Blueprint, desk: Desk, gatekeeper: Gatekeeper) -> None:
    """Guard all pages of the console, and add those for signing in and out."""

    def guard() -> AnyResponse | None:
        g.signed_in = "csrf" in session
        g.who = session.get("who", "")
        if not g.signed_in:
            request.max_content_length = LARGEST_OF_STRANGERS
        if request.method == "POST":
            _from_here()
        if request.endpoint in OPEN:
            return None
        if not g.signed_in:
            here = request.full_path.rstrip("?") if request.method == "GET" else ""
            return _sign_in_page(401, here, "")
        if request.method == "POST":
            _meant()
        return None

    def sign_in() -> AnyResponse:
        if request.method == "POST":
            return _sign_in(desk, gatekeeper)
        return redirect(url_for("console.overview")) if g.signed_in else _sign_in_page(200)

    def sign_out() -> AnyResponse:
        session.clear()
        return redirect(url_for("console.sign_in"), 303)

    blueprint.before_request(guard)
    blueprint.add_url_rule("/sign-in", view_func=sign_in, methods=["GET", "POST"])
    blueprint.add_url_rule("/sign-out", view_func=sign_out, methods=["POST"])


def actor(desk: Desk) -> str:
    """Who does something, for the audit line: the name of the session, and the address."""
    return f"{g.who} (console, {desk.address_of(request.environ)})"


def _sign_in(desk: Desk, gatekeeper: Gatekeeper) -> AnyResponse:
    target = _local(request.form.get("next", ""))
    address = desk.address_of(request.environ)
    wait = gatekeeper.wait_s(address)
    if wait > 0:
        said = f"Too many wrong tokens. Wait {max(1, round(wait))} seconds, then try again."
        page = _sign_in_page(429, target, said)
        page.headers["Retry-After"] = str(max(1, round(wait)))
        return page
    if not gatekeeper.admits(address, request.form.get("token", "").strip()):
        log.warning("console: wrong token", address=address)
        return _sign_in_page(401, target, "This is not the token.")
    name = "".join(c for c in request.form.get("who", "") if c.isprintable()).strip()
    session.clear()
    session.permanent = True
    session["csrf"] = secrets.token_urlsafe(24)
    session["who"] = name[:LONGEST_NAME] or "operator"
    log.info("console: signed in", address=address, who=session["who"])
    return redirect(target or url_for("console.overview"), 303)


def _sign_in_page(status: int, target: str = "", wrong: str = "") -> Response:
    page = render_template("sign_in.html", target=target, wrong=wrong)
    return Response(page, status, content_type="text/html; charset=utf-8")


def _from_here() -> None:
    """Errors: ``Forbidden`` if the browser says that another site made it send this."""
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None and site not in ("same-origin", "none"):
        raise Forbidden("This form was sent by another site.")


def _meant() -> None:
    """Errors: ``Forbidden`` unless the post carries the token of its session."""
    given = request.headers.get("X-CSRF-Token") or request.form.get("csrf", "")
    if not hmac.compare_digest(given.encode(), str(session["csrf"]).encode()):
        raise Forbidden(
            "This form is from another session. Go back, load the page anew, try again."
        )


def _local(target: str) -> str:
    """A page of the console to go on to; empty for anything else."""
    plain = target.startswith("/console/") and all(c.isprintable() and c != "\\" for c in target)
    return target if plain else ""
