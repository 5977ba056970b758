"""Rotated OAuth tokens, kept in the database for all workers before anyone uses them."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from hashlib import blake2b

from bridge import logs
from bridge.enrich.oauth import Grant
from bridge.enrich.reading import SETTING_S, Cause, Failed
from bridge.errors import StoreError
from bridge.model import OAuth
from bridge.seal import opened, sealed
from bridge.store import oauth_tokens
from bridge.store.database import Database

log = logs.get("look up")

HOLD = 60_000
"""Milliseconds for which a process may take to refresh; a refresh takes ten seconds at most."""

RETRY_S = 2.0


class TokenKeeper:
    """``enrich.oauth.Keeper`` over the database; for one thread.

    Times go by the clock that all workers share, so that nobody whose own is ahead takes a row that
    another still holds. What could not be stored stays in memory until it can be: the token before
    it has ended, so nothing else is left to go on with. So a keeper outlives its thread, which is
    started anew after what kept the tokens from being stored.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._unstored: dict[str, tuple[str, str, int]] = {}

    def current(self, oauth: OAuth) -> Grant | None:
        """What was kept last; None if nothing was, or the database is out of reach."""
        name = name_of(oauth)
        try:
            self._store_again(name)
            with self._database.read() as connection:
                kept = oauth_tokens.kept(connection, name)
        except StoreError as error:
            log.warning("tokens not read", reason=str(error))
            return None
        return None if kept is None else _grant(oauth, kept, self._database.now_ms())

    def renew(
        self, oauth: OAuth, refused: str | None, fetch: Callable[[str | None], Grant | Failed]
    ) -> Grant | Failed:
        """Refresh while holding the row, and keep what comes."""
        name, now = name_of(oauth), self._database.now_ms()
        try:
            self._store_again(name)
            with self._database.write() as connection:
                kept = oauth_tokens.hold(connection, name, now, now + HOLD)
        except StoreError as error:
            return _later(f"the database did not keep its tokens ({error})")
        if kept is None:
            return _later("another worker is fetching an access token")
        before = _grant(oauth, kept, now)
        if before is not None and before.life_s > 0 and before.access_token != refused:
            self._let_go(name, kept.fence)
            return before
        if kept.sealed and before is None:
            log.warning("kept tokens cannot be opened", secret=str(oauth.client_secret))
        found = fetch(None if before is None else before.refresh_token)
        if isinstance(found, Failed):
            self._let_go(name, kept.fence)
            return found
        self._keep(oauth, name, kept.sealed, found, before)
        return found

    def _keep(self, oauth: OAuth, name: str, seen: str, found: Grant, before: Grant | None) -> None:
        secret = oauth.client_secret
        if secret is None:
            return  # a mapping file without one does not load
        refresh = found.refresh_token or (before.refresh_token if before is not None else None)
        text = json.dumps({"access": found.access_token, "refresh": refresh})
        ends_at = self._database.now_ms() + round(found.life_s * 1000)
        self._unstored[name] = (seen, sealed(text, secret, name), ends_at)
        try:
            self._store_again(name)
        except StoreError:
            log.exception("new refresh token not stored yet")

    def catch_up(self) -> None:
        """Store what could not be stored before, if that is possible now."""
        with suppress(StoreError):  # of which the log has been told
            for name in list(self._unstored):
                self._store_again(name)

    def _store_again(self, name: str) -> None:
        """Store what could not be stored before. Errors: ``StoreError``."""
        waiting = self._unstored.get(name)
        if waiting is None:
            return
        with self._database.write() as connection:
            oauth_tokens.keep(connection, name, *waiting)
        del self._unstored[name]

    def _let_go(self, name: str, fence: int) -> None:
        try:
            with self._database.write() as connection:
                oauth_tokens.let_go(connection, name, fence)
        except StoreError as error:
            log.warning("tokens not let go", reason=str(error))


class BorrowedTokens(TokenKeeper):
    """The tokens of workers, for a command: used while they serve, and never renewed.

    A command is stopped at any moment, and would take the only refresh token with it.
    """

    def renew(self, *_: object) -> Grant | Failed:
        """Says that this is for workers."""
        return Failed(
            "was not asked, since workers alone renew its access tokens (rotates: true), and the "
            "one that they keep is none, too old or refused; try again once a worker has looked "
            "something up there",
            Cause.TOKEN,
            SETTING_S,
        )


def name_of(oauth: OAuth) -> str:
    """The row of a login. A refresh token that is set anew begins another row."""
    setting = oauth.refresh_token.first if oauth.refresh_token is not None else ""
    text = json.dumps([oauth.url, oauth.client_id, setting])
    return blake2b(text.encode(), digest_size=16).hexdigest()


def _grant(oauth: OAuth, kept: oauth_tokens.Kept, now: int) -> Grant | None:
    if not kept.sealed or oauth.client_secret is None:
        return None
    text = opened(kept.sealed, oauth.client_secret, name_of(oauth))
    if text is None:
        return None
    held = json.loads(text)
    return Grant(held["access"], held["refresh"], (kept.ends_at - now) / 1000)


def _later(why: str) -> Failed:
    return Failed(f"was not asked: {why}", Cause.TOKEN, RETRY_S)
