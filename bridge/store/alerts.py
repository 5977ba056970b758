"""Alerts: what each channel has been told, and who may send by it.

A channel is one process's at a time, by compare-and-set and with a lease. Whatever is changed here
is changed by the holder, in a transaction that shows that it still is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Connection, case, delete, func, select, update

from bridge.store.database import upsert
from bridge.store.schema import alert, alert_channel

Key = tuple[str, str]
"""Kind and subject of a concern."""


@dataclass(frozen=True, slots=True)
class Channel:
    """How a channel does. ``sent_at``: its last message. ``not_before``: no try before that time.

    ``failing_since``: since when no message is taken, None if the last one was; ``trouble``: why.
    Times in ms, UTC.
    """

    owner: str = ""
    held_until: int = 0
    sent_at: int = 0
    failures: int = 0
    failing_since: int | None = None
    not_before: int = 0
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class Entry:
    """One concern as a channel knows it, from its first sight until its end was told.

    ``first_at``: when it was first seen, ``since``: when it began. ``owed``: the channel has to
    hear of it, even if it is over before that. ``gone_at``: since when it does not show any more.
    ``told_at``: when the channel last took a message with it, ``times``: how many did,
    ``told_size``: its size then. Times in ms, UTC.
    """

    kind: str
    subject: str
    text: str
    urgent: bool
    size: int
    since: int
    first_at: int
    owed: bool = False
    gone_at: int | None = None
    told_at: int | None = None
    told_size: int = 0
    times: int = 0

    @property
    def key(self) -> Key:
        """What it is of."""
        return self.kind, self.subject


_FIELDS = (
    "kind",
    "subject",
    "text",
    "urgent",
    "size",
    "since",
    "first_at",
    "owed",
    "gone_at",
    "told_at",
    "told_size",
    "times",
)


def channels(connection: Connection) -> dict[str, Channel]:
    """Every channel that was ever used, by name."""
    return {
        row.name: Channel(
            row.owner,
            row.held_until,
            row.sent_at,
            row.failures,
            row.failing_since,
            row.not_before,
            row.trouble,
        )
        for row in connection.execute(select(alert_channel))
    }


def claim(
    connection: Connection, channel: str, owner: str, now: int, until: int, *, grace: int = 0
) -> bool:
    """Hold a channel until then; False if it is another's.

    ``grace``: how long (ms) another must not have held it: for processes that send only where no
    other does.
    """
    connection.execute(
        upsert(connection, alert_channel)
        .values(
            name=channel,
            owner="",
            held_until=now,
            sent_at=0,
            failures=0,
            not_before=0,
            trouble="",
        )
        .on_conflict_do_nothing()
    )
    free = alert_channel.c.held_until <= now - grace
    taken = connection.execute(
        update(alert_channel)
        .where(alert_channel.c.name == channel, (alert_channel.c.owner == owner) | free)
        .values(owner=owner, held_until=until)
    )
    return taken.rowcount == 1


def set_right(connection: Connection, channel: str, now: int, *, far: int) -> None:
    """Nothing keeps a channel for longer than until ``far``: the clock that said so was set back.

    So nobody holds it, and it may be tried at once.
    """
    one = alert_channel.c
    connection.execute(
        update(alert_channel)
        .where(one.name == channel)
        .values(
            held_until=case((one.held_until > far, 0), else_=one.held_until),
            not_before=case((one.not_before > far, 0), else_=one.not_before),
            sent_at=case((one.sent_at > now, now), else_=one.sent_at),
        )
    )


def holds(connection: Connection, channel: str, owner: str) -> bool:
    """Whether a channel is this owner's still; in a write, nobody can take it meanwhile."""
    same = connection.execute(
        update(alert_channel)
        .where(alert_channel.c.name == channel, alert_channel.c.owner == owner)
        .values(owner=owner)
    )
    return same.rowcount == 1


def let_go(connection: Connection, channel: str, owner: str, now: int) -> None:
    """Let whoever wants it have a channel from now on; until somebody does, its owner may go on."""
    connection.execute(
        update(alert_channel)
        .where(alert_channel.c.name == channel, alert_channel.c.owner == owner)
        .values(held_until=now)
    )


def took(connection: Connection, channel: str, now: int) -> None:
    """The channel took a message."""
    connection.execute(
        update(alert_channel)
        .where(alert_channel.c.name == channel)
        .values(sent_at=now, failures=0, failing_since=None, not_before=0, trouble="")
    )


def failed(connection: Connection, channel: str, now: int, again_at: int, trouble: str) -> None:
    """The channel did not take a message; it is tried again then."""
    connection.execute(
        update(alert_channel)
        .where(alert_channel.c.name == channel)
        .values(
            failures=alert_channel.c.failures + 1,
            failing_since=func.coalesce(alert_channel.c.failing_since, now),
            not_before=again_at,
            trouble=trouble,
        )
    )


def entries(connection: Connection, channel: str) -> dict[Key, Entry]:
    """What a channel knows of."""
    rows = connection.execute(select(alert).where(alert.c.channel == channel))
    found = (Entry(**{name: row._mapping[name] for name in _FIELDS}) for row in rows)
    return {entry.key: entry for entry in found}


def keep(
    connection: Connection, channel: str, before: Mapping[Key, Entry], after: Mapping[Key, Entry]
) -> None:
    """Store what has changed of what a channel knows."""
    for kind, subject in before.keys() - after.keys():
        connection.execute(
            delete(alert).where(
                alert.c.channel == channel, alert.c.kind == kind, alert.c.subject == subject
            )
        )
    for key, entry in after.items():
        if before.get(key) != entry:
            _put(connection, channel, entry)


def _put(connection: Connection, channel: str, entry: Entry) -> None:
    values = {name: getattr(entry, name) for name in _FIELDS}
    connection.execute(
        upsert(connection, alert)
        .values(channel=channel, **values)
        .on_conflict_do_update(index_elements=list(alert.primary_key.columns), set_=values)
    )


def listing(connection: Connection) -> list[tuple[str, Entry]]:
    """Everything that channels know of, by channel, kind and subject."""
    rows = connection.execute(
        select(alert).order_by(alert.c.channel, alert.c.kind, alert.c.subject)
    )
    return [(row.channel, Entry(**{name: row._mapping[name] for name in _FIELDS})) for row in rows]
