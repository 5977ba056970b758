"""What is known of contacts while a step runs: what was remembered, and what it learns."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from bridge.model import NOBODY, ContactRef, Event, Known, Mapped

if TYPE_CHECKING:
    from bridge.store.database import Connection

Learned = tuple[tuple[str, ...], bool | None, int]


class Memory:
    """Later events of a step see what the earlier ones said."""

    def __init__(self, known: dict[tuple[str, ContactRef], Known]) -> None:
        self._recalled = dict(known)
        self._known = known
        self._learned: dict[str, dict[ContactRef, Learned]] = {}

    @classmethod
    def recall(cls, connection: Connection, seen: Iterable[tuple[str, Event]]) -> Memory:
        """What is remembered of the contacts of these events; (source, event) each."""
        from bridge.store import contacts  # noqa: PLC0415 - slow to load; a trial does without

        wanted: dict[str, set[ContactRef]] = {}
        for source, event in seen:
            wanted.setdefault(source, set()).update(event.contacts)
        known: dict[tuple[str, ContactRef], Known] = {}
        for source, refs in wanted.items():
            if refs:
                for ref, what in contacts.recall(connection, source, refs).items():
                    known[source, ref] = what
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

    def learn(self, source: str, event: Event, mapped: Mapped) -> None:
        """Add what an event says of its contacts. Consent follows event time; a tie opts out."""
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
            before = before or NOBODY
            phones, consent, consent_time = learned.get(ref, ((), None, 0))
            opted_out, known_time = before.opted_out, before.consent_time
            if said is not None and (when > known_time or (when == known_time and said)):
                opted_out, known_time = said, when
                consent, consent_time = said, when
            learned[ref] = (
                tuple(dict.fromkeys((*numbers, *phones))),
                consent,
                consent_time,
            )
            self._known[source, ref] = Known(
                tuple(dict.fromkeys((*numbers, *before.phones))), opted_out, known_time
            )

    def keep(self, connection: Connection, now: int) -> None:
        """Store what was learned.

        Errors: ``StoreChanged`` if somebody else has learned of a contact since it was recalled;
        all that was mapped by this memory has to be mapped again.
        """
        from bridge.store import contacts  # noqa: PLC0415 - slow to load; a trial does without

        for source, seen in sorted(self._learned.items()):
            recalled = {ref: self._recalled.get((source, ref), NOBODY) for ref in seen}
            contacts.remember(connection, source, seen, now, recalled=recalled)
