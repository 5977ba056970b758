"""What the events of a step can be found by later, beside the phone numbers of their leads."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bridge.model import State
from bridge.steps.events import Ready
from bridge.store import clues
from bridge.store.clues import Clue
from bridge.store.database import Connection


def keep_clues(connection: Connection, known: Sequence[tuple[int, Ready]]) -> None:
    """Keep the clues of events (event id, event): one part of a transaction."""
    clues.add(connection, (one for event_id, item in known for one in _clues(event_id, item)))


def _clues(event_id: int, item: Ready) -> Iterator[Clue]:
    """E-mail addresses lead to numbers; what led to no lead update is found by all it named."""
    mapped, contacts = item.mapped, [clues.of_contact(ref.id) for ref in item.event.contacts]
    if mapped is None:
        yield from (Clue(digest, event_id=event_id) for digest in contacts)
        return
    if mapped.state is State.DUPLICATE:
        return
    emails = [clues.of_email(address) for address in mapped.emails]
    phones = {update.phone for update in mapped.updates} or set(mapped.phones)
    yield from (Clue(digest, phone=phone) for digest in emails for phone in phones)
    if not mapped.updates:
        named = (*contacts, *emails, *(clues.of_phone(phone) for phone in phones))
        yield from (Clue(digest, event_id=event_id) for digest in named)
