"""What is known of contacts while a step runs: what was remembered, and what it learns."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import combinations
from typing import TYPE_CHECKING, NamedTuple

from bridge.model import (
    LONGEST_ID,
    MOST_HOPS,
    NOBODY,
    ContactRef,
    Event,
    Known,
    Link,
    Mapped,
    joined,
)

if TYPE_CHECKING:
    from bridge.store.database import Connection

Learned = tuple[tuple[str, ...], bool | None, int]

MOST_LINKS = 20
"""Links that a contact keeps, as many as phone numbers: a person has been merged out of that many
at most. One that is named with everybody, such as a company, would else lead to all of them."""

MOST_AHEAD = 2_000
"""Linked contacts that are read at once, so that no batch reads a whole account."""


class PassedOn(NamedTuple):
    """What goes over links because of an event. ``linking``: its own contacts are linked by it.

    ``numbers`` are remembered of ``reached`` as well; ``opted_out`` are those of them that the
    opt-out of the event reaches.
    """

    linking: bool = False
    numbers: tuple[str, ...] = ()
    reached: tuple[ContactRef, ...] = ()
    opted_out: tuple[ContactRef, ...] = ()


NOTHING = PassedOn()


class Memory:
    """Later events of a step see what the earlier ones said."""

    def __init__(self, known: dict[tuple[str, ContactRef], Known]) -> None:
        self._recalled = dict(known)
        self._known = known
        self._learned: dict[str, dict[ContactRef, Learned]] = {}
        self._linked: dict[str, dict[ContactRef, tuple[Link, ...]]] = {}
        self.has_links = any(one.links for one in known.values())

    @classmethod
    def recall(cls, connection: Connection, seen: Iterable[tuple[str, Event]]) -> Memory:
        """What is remembered of the contacts of these events and of those who are linked to them.

        ``seen``: (source, event) each.
        """
        from bridge.store import contacts  # noqa: PLC0415 - slow to load; a trial does without

        wanted: dict[str, set[ContactRef]] = {}
        for source, event in seen:
            wanted.setdefault(source, set()).update(event.contacts)
        known: dict[tuple[str, ContactRef], Known] = {}
        for source, refs in wanted.items():
            ahead, read, left = refs, set(refs), MOST_HOPS
            while ahead:
                linked: set[ContactRef] = set()
                for ref, what in contacts.recall(connection, source, ahead).items():
                    known[source, ref] = what
                    if what.links:
                        linked.update(ContactRef(ref.account, one.id) for one in what.links)
                if not linked or not left:
                    break
                ahead, left = set(sorted(linked - read)[:MOST_AHEAD]), left - 1
                read |= ahead
        return cls(known)

    def of(self, source: str, event: Event) -> Known:
        """What is known of all contacts of an event together."""
        found = [
            known for ref in event.contacts if (known := self._known.get((source, ref))) is not None
        ]
        if not found:
            return NOBODY
        if len(found) == 1 and found[0].opted_out:
            return found[0]
        phones = tuple(dict.fromkeys(phone for known in found for phone in known.phones))
        opted_out = [known for known in found if known.opted_out]
        if not opted_out:
            return Known(phones)
        newest = max(known.consent_time for known in opted_out)
        reached = {p for known in opted_out if known.consent_time == newest for p in known.phones}
        return Known(phones, True, newest, tuple(p for p in phones if p not in reached))

    def one(self, source: str, ref: ContactRef) -> Known:
        """What is known of one contact."""
        return self._known.get((source, ref), NOBODY)

    def reached(
        self, source: str, event: Event, *, opting_out: bool = False
    ) -> tuple[ContactRef, ...]:
        """Who was named as the same person as a contact of this event, at its time or later.

        What is said at one time goes over a link that is as old or newer, and on over one that is
        as old as that or newer. ``opting_out``: not from a contact that had opted in between.
        """
        known = self._known
        at = {
            ref: event.time_ms
            for ref in event.contacts
            if (held := known.get((source, ref))) is not None and held.links
        }
        ahead, left = list(at), MOST_HOPS
        while ahead and left:
            here, ahead, left = ahead, [], left - 1
            for ref in here:
                held = self.one(source, ref)
                for link in held.links:
                    then = max(at[ref], link.first)
                    if link.last < at[ref] or (
                        opting_out
                        and not held.opted_out
                        and event.time_ms < held.consent_time <= then
                    ):
                        continue
                    other = ContactRef(ref.account, link.id)
                    if (source, other) not in known:  # not read, see ``MOST_AHEAD``, or erased
                        continue
                    if other not in at or then < at[other]:
                        at[other] = then
                        ahead.append(other)
        named = set(event.contacts)
        return tuple(ref for ref in at if ref not in named)

    def learn(self, source: str, event: Event, mapped: Mapped, passed: PassedOn = NOTHING) -> None:
        """Add what an event says of its contacts. Consent follows event time; a tie opts out."""
        self._learn(source, event, mapped)
        if passed.linking:
            self._link(source, event)
        for ref in passed.reached:
            said = True if ref in passed.opted_out else None
            if passed.numbers or said:
                self._add(source, ref, passed.numbers, said, event.time_ms)

    def _learn(self, source: str, event: Event, mapped: Mapped) -> None:
        numbers, said = mapped.phones, mapped.opts_out
        if not numbers and said is None:
            return
        learned = self._learned.setdefault(source, {})
        when = event.opt_in_ms if said is False else event.time_ms  # as in the ledger
        for ref in event.contacts:
            before = self._known.get((source, ref))
            if before is None and said is None:  # so it is for most, and ends the same below
                numbers = tuple(dict.fromkeys(numbers))
                learned[ref] = numbers, None, 0
                self._known[source, ref] = Known(numbers)
                continue
            self._add(source, ref, numbers, said, when)

    def _add(
        self,
        source: str,
        ref: ContactRef,
        numbers: tuple[str, ...],
        said: bool | None,
        when: int,
    ) -> None:
        learned = self._learned.setdefault(source, {})
        before = self.one(source, ref)
        phones, consent, consent_time = learned.get(ref, ((), None, 0))
        opted_out, known_time = before.opted_out, before.consent_time
        if said is not None and (when > known_time or (when == known_time and said)):
            opted_out, known_time = said, when
            consent, consent_time = said, when
        learned[ref] = (tuple(dict.fromkeys((*numbers, *phones))), consent, consent_time)
        self._known[source, ref] = Known(
            tuple(dict.fromkeys((*numbers, *before.phones))),
            opted_out,
            known_time,
            links=before.links,
        )

    def _link(self, source: str, event: Event) -> None:
        """Link the contacts of an event, each with each, in both; those with room for it."""
        linked = self._linked.setdefault(source, {})
        fitting = [
            ref
            for ref in dict.fromkeys(event.contacts)
            if len(ref.id) <= LONGEST_ID and len(ref.account) <= LONGEST_ID
        ]
        for pair in combinations(fitting, 2):
            if not all(self._has_room(source, *way) for way in (pair, pair[::-1])):
                continue
            for ref, other in (pair, pair[::-1]):
                self.has_links = True
                self._add(source, ref, (), None, 0)
                new = (Link(other.id, event.time_ms, event.time_ms),)
                known = self._known[source, ref]
                known.links = joined(known.links, new)
                linked[ref] = joined(linked.get(ref, ()), new)

    def _has_room(self, source: str, ref: ContactRef, other: ContactRef) -> bool:
        links = self.one(source, ref).links
        return len(links) < MOST_LINKS or any(one.id == other.id for one in links)

    def keep(self, connection: Connection, now: int) -> None:
        """Store what was learned.

        Errors: ``StoreChanged`` if somebody else has learned of a contact since it was recalled;
        all that was mapped by this memory has to be mapped again.
        """
        from bridge.store import contacts  # noqa: PLC0415 - slow to load; a trial does without

        for source, seen in sorted(self._learned.items()):
            recalled = {ref: self._recalled.get((source, ref), NOBODY) for ref in seen}
            linked = self._linked.get(source, {})
            contacts.remember(connection, source, seen, now, recalled=recalled, links=linked)
