"""An event, and what is known of its contacts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from bridge.model.document import Json

LONGEST_ID = 200
"""Characters of an account or contact id that is kept as it is, and no CRM has a longer one."""

MOST_HOPS = 4
"""Over how many links an opt-out goes: each is a merge whose opt-out came even later, and each is a
query for contacts that have links."""


class ContactRef(NamedTuple):
    """A contact as its CRM names it, within one account of that CRM."""

    account: str
    id: str


class Link(NamedTuple):
    """Another contact of the account that events named as the same person.

    ``first`` and ``last``: the times of the oldest and the newest of these events (ms).
    """

    id: str
    first: int
    last: int


def joined(links: tuple[Link, ...], more: tuple[Link, ...]) -> tuple[Link, ...]:
    """Links with what was learned since: one for each contact, over the time of both."""
    found = {one.id: one for one in links}
    for one in more:
        old = found.get(one.id, one)
        found[one.id] = Link(one.id, min(old.first, one.first), max(old.last, one.last))
    return tuple(found.values())


@dataclass(slots=True)
class Event:
    """One thing that happened, one of up to a hundred in a delivery.

    ``key`` (32 hexadecimal digits) is the same for every copy of the event. ``time_ms`` is the
    source's own time, or the time of receipt, then marked ``weak_time``. ``view`` is what
    expressions see. ``problem`` says why the event cannot be read; it then ends as dead.
    ``contacts`` are the contacts that it speaks of. ``received_at``: when its delivery came.
    """

    ordinal: int
    key: str
    time_ms: int
    weak_time: bool
    view: Mapping[str, Json]
    problem: str | None = None
    notes: tuple[str, ...] = ()
    contacts: tuple[ContactRef, ...] = ()
    received_at: int | None = None

    @property
    def opt_in_ms(self) -> int:
        """The time that counts for what lets a lead be called: never newer than the receipt.

        A clock that is ahead must not hide an opt-out that comes next.
        """
        return self.time_ms if self.received_at is None else min(self.time_ms, self.received_at)


@dataclass(slots=True)
class Known:
    """What the bridge itself remembers of an event's contacts, from earlier complete events.

    ``phones`` in E.164, newest first. ``opted_out``: any of the contacts was opted out of calls;
    ``consent_time``: when the last word on that was said (ms), 0 if none was.
    ``apart``: those of the numbers that are of other contacts than the one that said it, so that
    its opt-out has not gone to them. ``links``: of one contact, those who are the same person.
    """

    phones: tuple[str, ...] = ()
    opted_out: bool = False
    consent_time: int = field(default=0, compare=False)
    apart: tuple[str, ...] = field(default=(), compare=False)
    links: tuple[Link, ...] = field(default=(), compare=False)


NOBODY = Known()
"""A contact of whom nothing is remembered."""
