"""What the events of a step can be found by later, beside the phone numbers of their leads."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bridge.model import State
from bridge.steps.events import Ready
from bridge.store import clues
from bridge.store.clues import Clue
from bridge.store.database import Connection
from bridge.store.digest import Digest, load


def keep_clues(connection: Connection, known: Sequence[tuple[int, Ready]]) -> None:
    """Keep the clues of events (event id, event): one part of a transaction."""
    if known:
        digest = load(connection)
        found = (one for event_id, item in known for one in _clues(digest, event_id, item))
        clues.add(connection, found)


def _clues(digest: Digest, event_id: int, item: Ready) -> Iterator[Clue]:
    """E-mail addresses lead to numbers; what led to no lead update is found by all it named."""
    mapped = item.mapped
    if mapped is None:
        yield from (Clue(one, event_id=event_id) for one in _contacts(digest, item))
        return
    if mapped.state is State.DUPLICATE:
        return
    if mapped.updates and not mapped.emails:
        return  # its leads are found by their numbers
    emails = [clues.of_email(digest, address) for address in mapped.emails]
    phones = {update.phone for update in mapped.updates} or set(mapped.phones)
    yield from (Clue(one, phone=phone) for one in emails for phone in phones)
    if not mapped.updates:
        named = (
            *_contacts(digest, item),
            *emails,
            *(clues.of_phone(digest, phone) for phone in phones),
        )
        yield from (Clue(one, event_id=event_id) for one in named)


def _contacts(digest: Digest, item: Ready) -> list[str]:
    return [clues.of_contact(digest, ref.id) for ref in item.event.contacts]
