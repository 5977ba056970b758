"""Clues: what else than its phone number a lead or an event can be found by.

An e-mail address leads to phone numbers; an address or a contact id of the CRM leads to events
that named no phone number (yet). Only a digest of the text is kept, so that a clue tells nothing
to whoever does not know already what to look for.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import blake2b

from sqlalchemy import Connection, select

from bridge import jsontext
from bridge.store.contacts import fitting_id
from bridge.store.database import upsert
from bridge.store.schema import clue, contact

MOST = 200
"""Phone numbers or events that one search gives, at most."""


@dataclass(frozen=True, slots=True)
class Clue:
    """A digest, and what it leads to: a phone number (E.164) or an event."""

    digest: str
    phone: str = ""
    event_id: int = 0


def of_email(address: str) -> str:
    """The digest of an e-mail address; capitals make no difference."""
    return _digest("email", address.strip().casefold())


def of_contact(contact_id: str) -> str:
    """The digest of a contact id as its CRM writes it."""
    return _digest("contact", contact_id.strip())


def of_phone(phone: str) -> str:
    """The digest of a phone number in E.164, for events that led to no lead update."""
    return _digest("phone", phone)


def _digest(kind: str, text: str) -> str:
    whole = f"{kind}:{text}".encode("utf-8", "surrogatepass")
    return blake2b(whole, digest_size=16).hexdigest()


def add(connection: Connection, found: Iterable[Clue]) -> None:
    """Keep clues; those that are known already change nothing."""
    rows = sorted({(one.digest, one.phone, one.event_id) for one in found})
    if rows:
        connection.execute(
            upsert(connection, clue).on_conflict_do_nothing(),
            [{"digest": digest, "phone": phone, "event_id": id_} for digest, phone, id_ in rows],
        )


def phones(connection: Connection, digest: str) -> list[str]:
    """The phone numbers that a digest leads to."""
    return list(
        connection.execute(
            select(clue.c.phone).where(clue.c.digest == digest, clue.c.phone != "").limit(MOST)
        ).scalars()
    )


def events(connection: Connection, digest: str) -> list[int]:
    """The newest events that a digest leads to."""
    return list(
        connection.execute(
            select(clue.c.event_id)
            .where(clue.c.digest == digest, clue.c.phone == "", clue.c.event_id > 0)
            .order_by(clue.c.event_id.desc())
            .limit(MOST)
        ).scalars()
    )


def phones_of_contact(connection: Connection, contact_id: str) -> list[str]:
    """The phone numbers that are remembered for a contact id, in whichever source and account."""
    rows: Sequence[str] = (
        connection.execute(
            select(contact.c.phones)
            .where(contact.c.contact_id == fitting_id(contact_id.strip()))
            .limit(MOST)
        )
        .scalars()
        .all()
    )
    return list(dict.fromkeys(phone for row in rows for phone in jsontext.loads(row)))[:MOST]
