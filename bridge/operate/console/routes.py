"""The console as a part of the web side: its pages and its two kinds of static files."""

from __future__ import annotations

from functools import lru_cache
from hashlib import blake2b
from pathlib import Path

from flask import Blueprint, Response, abort

from bridge.operate.console import (
    campaigns,
    exports,
    leads,
    mappings,
    overview,
    replays,
    requests,
    results,
)
from bridge.operate.console.deeds import add_words
from bridge.operate.console.session import add_session
from bridge.operate.console.show import add_filters
from bridge.operate.desk import Desk
from bridge.operate.gatekeeper import Gatekeeper
from bridge.operate.whereabouts import anchor

STATIC = Path(__file__).parent / "static"
TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


def console(desk: Desk, gatekeeper: Gatekeeper) -> Blueprint:
    """All pages below ``/console``."""
    blueprint = Blueprint("console", __name__, url_prefix="/console")
    add_session(blueprint, desk, gatekeeper)
    add_filters(blueprint)
    add_words(blueprint)
    blueprint.add_app_template_global(anchor, "anchor")
    for group in (overview, leads, exports, results, requests, mappings, campaigns, replays):
        group.add_pages(blueprint, desk)
    blueprint.add_url_rule("/static/<name>", endpoint="asset", view_func=_asset)
    blueprint.add_app_template_global(asset_version, "asset_version")
    return blueprint


@lru_cache(maxsize=16)
def _read(name: str) -> bytes | None:
    path = STATIC / name
    return path.read_bytes() if path.suffix in TYPES and path.is_file() else None


@lru_cache(maxsize=16)
def asset_version(name: str) -> str:
    """A few digits of a static file's content, so that it can be kept for good."""
    return blake2b(_read(name) or b"", digest_size=5).hexdigest()


def _asset(name: str) -> Response:
    found = _read(name) if "/" not in name and "\\" not in name else None
    if found is None:
        abort(404)
    return Response(
        found,
        content_type=TYPES[Path(name).suffix],
        headers={"Cache-Control": "public, max-age=31536000, immutable"},
    )
