"""Tokens of CRMs that give a new refresh token with each refresh, sealed; one row per login.

Whoever refreshes holds the row for a while, so that no two processes use the same refresh token:
the second use of one makes some providers end all of them.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, or_, select, update

from bridge.store.database import upsert
from bridge.store.schema import oauth_token


@dataclass(frozen=True, slots=True)
class Kept:
    """What is kept of one login. ``sealed`` blank: nothing yet. ``fence`` counts the holders."""

    sealed: str
    ends_at: int
    fence: int


def kept(connection: Connection, name: str) -> Kept | None:
    """What is kept under a name."""
    row = connection.execute(select(oauth_token).where(oauth_token.c.name == name)).first()
    return None if row is None else Kept(row.sealed, row.ends_at, row.fence)


def hold(connection: Connection, name: str, now: int, until: int) -> Kept | None:
    """Hold a row until then (ms), or until ``keep`` or ``let_go``; None if another holds it."""
    blank = {"sealed": "", "ends_at": 0, "held_until": 0, "fence": 0}
    connection.execute(
        upsert(connection, oauth_token).values(name=name, **blank).on_conflict_do_nothing()
    )
    free = or_(oauth_token.c.held_until <= now, oauth_token.c.held_until > now + 3_600_000)
    taken = connection.execute(
        update(oauth_token)
        .where(oauth_token.c.name == name, free)
        .values(held_until=until, fence=oauth_token.c.fence + 1)
    )
    return kept(connection, name) if taken.rowcount else None


def keep(connection: Connection, name: str, seen: str, sealed: str, ends_at: int) -> bool:
    """Keep new tokens in place of those ``seen``, and let go of the row.

    False if others are kept by now. Whoever held the row meanwhile without keeping anything does
    not count: the tokens that were seen have ended, and only these are left.
    """
    done = connection.execute(
        update(oauth_token)
        .where(oauth_token.c.name == name, oauth_token.c.sealed == seen)
        .values(sealed=sealed, ends_at=ends_at, held_until=0)
    )
    return bool(done.rowcount)


def let_go(connection: Connection, name: str, fence: int) -> None:
    """Let go of a row without a change."""
    connection.execute(
        update(oauth_token)
        .where(oauth_token.c.name == name, oauth_token.c.fence == fence)
        .values(held_until=0)
    )
