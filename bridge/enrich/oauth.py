"""Access tokens by OAuth 2 (RFC 6749, sections 4.4 and 6), kept until they end or are refused.

Where a refresh also replaces the refresh token (Keap), both are handed to a ``Keeper``, which
stores them before they are used: the old one has ended, so the new one must not be lost with the
process, and other workers must come to know it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import urlencode

from bridge.enrich.client import Client, NoReply, Reply, host
from bridge.enrich.credentials import basic
from bridge.enrich.reading import SETTING_S, Cause, Failed
from bridge.enrich.template import Call
from bridge.model import Json, OAuth

LONGEST_LIFE_S = 3600.0
"""How long a token is used whose end nobody told, or is told to be far."""

MARGIN_S = 60.0
"""A token is renewed this long before its end, so that none ends on the way."""

PATIENCE_S = 10.0
_CODE = re.compile(r"[A-Za-z0-9_.-]{1,40}\Z")


@dataclass(frozen=True, slots=True)
class Grant:
    """What a refresh brought. ``life_s``: seconds from now for which the access token is good."""

    access_token: str
    refresh_token: str | None
    life_s: float


class Keeper(Protocol):
    """Where rotated tokens are kept for all worker processes."""

    def current(self, oauth: OAuth) -> Grant | None:
        """What was kept last, ``life_s`` counted from now; None if nothing was."""
        ...

    def renew(
        self, oauth: OAuth, refused: str | None, fetch: Callable[[str | None], Grant | Failed]
    ) -> Grant | Failed:
        """Refresh, while no other process does, and keep what comes.

        ``fetch`` takes the refresh token to use, None for that of the setting. ``refused``: the
        access token that is to be replaced; where another one is kept already, that one is given.
        """
        ...


@dataclass(slots=True)
class _Held:
    access_token: str
    until: float


class Tokens:
    """The access tokens of all look-ups of a process; for one thread."""

    def __init__(self, client: Client, now: Callable[[], float], keeper: Keeper | None) -> None:
        self._client = client
        self._now = now
        self._keeper = keeper
        self._held: dict[OAuth, _Held] = {}

    def get(self, oauth: OAuth, refused: str | None = None) -> str | Failed:
        """An access token; another one than ``refused``, which the CRM did not accept."""
        held = self._held.get(oauth)
        if held is not None and held.until > self._now() and held.access_token != refused:
            return held.access_token
        found = self._renewed(oauth, refused)
        if isinstance(found, Failed):
            return found
        self._held[oauth] = _Held(found.access_token, self._now() + found.life_s)
        return found.access_token

    def _renewed(self, oauth: OAuth, refused: str | None) -> Grant | Failed:
        if not oauth.rotates:
            return fetch(self._client, oauth, None)
        if self._keeper is None:
            why = "gives each refresh token once (rotates: true), and workers keep the newest"
            return _failed(oauth, why, SETTING_S)
        kept = self._keeper.current(oauth)
        if kept is not None and kept.life_s > 0 and kept.access_token != refused:
            return kept
        return self._keeper.renew(oauth, refused, lambda token: fetch(self._client, oauth, token))


def fetch(client: Client, oauth: OAuth, refresh_token: str | None) -> Grant | Failed:
    """Ask for an access token; with the setting's refresh token unless another is given."""
    form, headers = dict(oauth.fields), {"Content-Type": "application/x-www-form-urlencoded"}
    secret = oauth.client_secret.first if oauth.client_secret is not None else ""
    if oauth.client == "basic":
        headers["Authorization"] = basic(oauth.client_id, secret)
    else:
        form["client_id"] = oauth.client_id
        if secret:
            form["client_secret"] = secret
    if oauth.refresh_token is None:
        form["grant_type"] = "client_credentials"
    else:
        form["grant_type"] = "refresh_token"
        form["refresh_token"] = refresh_token or oauth.refresh_token.first
    call = Call("POST", oauth.url, {}, urlencode(form).encode())
    return _read(client.send(call, headers, PATIENCE_S, internal=oauth.internal), oauth)


def _read(reply: Reply | NoReply, oauth: OAuth) -> Grant | Failed:
    if isinstance(reply, NoReply):
        return _failed(oauth, reply.why, None)
    document = _decoded(reply.body)
    token = document.get("access_token")
    if reply.status == 200 and isinstance(token, str) and _sendable(token):
        renewed = document.get("refresh_token")
        life = _life(document.get("expires_in"))
        kept = renewed if isinstance(renewed, str) and _sendable(renewed) else None
        return Grant(token, kept, life)
    if reply.status == 429 or reply.status >= 500:
        return _failed(oauth, f"answered {reply.status}", None)
    code = document.get("error")
    said = f" ({code})" if isinstance(code, str) and _CODE.match(code) else ""
    held = [one.name for one in (oauth.client_secret, oauth.refresh_token) if one is not None]
    why = f"gives no access token{said}, status {reply.status}; check {' and '.join(held)}"
    return _failed(oauth, why, SETTING_S)


def _sendable(token: str) -> bool:
    """Whether a token can be shown again: half a surrogate fits into no request (RFC 6749, A)."""
    return bool(token) and token.isascii() and token.isprintable()


def _failed(oauth: OAuth, why: str, retry_after_s: float | None) -> Failed:
    """Never ``UNCLEAR``: no id has any part in it."""
    return Failed(f"was not asked, since {host(oauth.url)} {why}", Cause.TOKEN, retry_after_s)


def _life(value: Json) -> float:
    try:
        told = float(value)
    except (TypeError, ValueError, OverflowError):  # JSON has numbers of any length
        return LONGEST_LIFE_S
    if not 0 < told < LONGEST_LIFE_S + MARGIN_S:
        return LONGEST_LIFE_S
    return told - MARGIN_S if told > 2 * MARGIN_S else told / 2


def _decoded(body: bytes) -> dict[str, Json]:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}
