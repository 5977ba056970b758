"""Workers: who is at work, and when each last showed that it lives."""

from __future__ import annotations

import socket
from dataclasses import dataclass

from sqlalchemy import Connection, delete, func, select

from bridge.store.database import upsert
from bridge.store.far_ahead import SLACK_MS
from bridge.store.schema import worker


def beat(
    connection: Connection,
    *,
    name: str,
    host: str,
    pid: int,
    started_at: int,
    version: str,
    now: int,
) -> None:
    """Show that this worker lives, and forget those that have been silent for a day.

    As well those that were heard of in what is yet to come: the clock was set back, and whoever
    lives shows it anew.
    """
    statement = upsert(connection, worker)
    connection.execute(
        statement.values(
            name=name, host=host, pid=pid, started_at=started_at, beat_at=now, version=version
        ).on_conflict_do_update(
            index_elements=[worker.c.name], set_={"beat_at": now, "version": version}
        )
    )
    connection.execute(
        delete(worker).where(
            (worker.c.beat_at < now - 86_400_000) | (worker.c.beat_at > now + SLACK_MS)
        )
    )


def leave(connection: Connection, name: str) -> None:
    """This worker ends."""
    connection.execute(delete(worker).where(worker.c.name == name))


def this_host() -> str:
    """The name under which workers of this machine, or this container, show that they live."""
    return socket.gethostname()


def last_beat(connection: Connection, *, host: str | None = None) -> int | None:
    """When any worker, or any of one machine, last showed that it lives."""
    statement = select(func.max(worker.c.beat_at))
    if host is not None:
        statement = statement.where(worker.c.host == host)
    return connection.execute(statement).scalar()


def alive(connection: Connection, since: int) -> int:
    """How many workers have shown since then (ms) that they live."""
    return connection.execute(
        select(func.count()).select_from(worker).where(worker.c.beat_at >= since)
    ).scalar_one()


@dataclass(frozen=True, slots=True)
class Beat:
    """A worker that has not left; ``beat_at``: when it last showed that it lives (ms, UTC)."""

    name: str
    host: str
    started_at: int
    beat_at: int


def beats(connection: Connection) -> list[Beat]:
    """Every worker of the last day that has not left."""
    rows = connection.execute(
        select(worker.c.name, worker.c.host, worker.c.started_at, worker.c.beat_at)
    )
    return [Beat(*row) for row in rows]
