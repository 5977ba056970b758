"""From what an operator types to the leads and events that it may mean."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from bridge.store import clues
from bridge.store.database import Connection
from bridge.store.digest import load

LONGEST = 320
"""Characters of a search, at most."""


class By(StrEnum):
    """What a search was understood as."""

    PHONE = "phone"
    EMAIL = "email"
    CONTACT = "contact"
    NOTHING = "nothing"


@dataclass(frozen=True, slots=True)
class Found:
    """``phones`` in E.164; ``events``: those that led to no lead update, by id."""

    by: By
    text: str
    phones: tuple[str, ...] = ()
    events: tuple[int, ...] = ()


def find(connection: Connection, text: str, read_phone: Callable[[str], tuple[str, ...]]) -> Found:
    """What a phone number, an e-mail address or a contact id of a CRM leads to.

    A text of digits may be a number or a contact id; it counts as what something is known of.
    """
    text = text.strip()[:LONGEST]
    if not text:
        return Found(By.NOTHING, text)
    if "@" in text:
        digest = clues.of_email(load(connection), text)
        return Found(
            By.EMAIL,
            text,
            tuple(clues.phones(connection, digest)),
            tuple(clues.events(connection, digest)),
        )
    digest = clues.of_contact(load(connection), text)
    contact = Found(
        By.CONTACT,
        text,
        tuple(clues.phones_of_contact(connection, text)),
        tuple(clues.events(connection, digest)),
    )
    numbers = read_phone(text)
    if numbers and not (contact.phones or contact.events):
        return of_phones(connection, text, numbers)
    return contact


def of_phones(connection: Connection, text: str, phones: tuple[str, ...]) -> Found:
    """The same for numbers in E.164."""
    digest = load(connection)
    events = [
        event
        for phone in phones
        for event in clues.events(connection, clues.of_phone(digest, phone))
    ]
    return Found(By.PHONE, text, phones, tuple(events[: clues.MOST]))
