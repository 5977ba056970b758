"""Clues: what else than its phone number a lead or an event can be found by.

An e-mail address leads to phone numbers; an address or a contact id of the CRM leads to events
that named no phone number (yet). Only a keyed hash of the text is kept (``digest.py``), so that a
clue tells nothing to whoever does not know already what to look for.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from sqlalchemy import Connection, delete, exists, select

from bridge import jsontext
from bridge.store.bulk import insert_many
from bridge.store.contacts import fitting_id
from bridge.store.digest import Digest
from bridge.store.schema import clue, contact, lead

MOST = 200
"""Phone numbers or events that one search gives, at most."""


class Clue(NamedTuple):
    """A digest, and what it leads to: a phone number (E.164) or an event."""

    digest: str
    phone: str = ""
    event_id: int = 0


def of_email(digest: Digest, address: str) -> str:
    """The digest of an e-mail address; capitals make no difference."""
    return digest.of("email", address.strip().casefold())


def of_contact(digest: Digest, contact_id: str) -> str:
    """The digest of a contact id as its CRM writes it, in whichever source and account."""
    return digest.of("contact id", contact_id.strip())


def of_phone(digest: Digest, phone: str) -> str:
    """The digest of a phone number in E.164, for events that led to no lead update."""
    return digest.of("number", phone)


def add(connection: Connection, found: Iterable[Clue]) -> None:
    """Keep clues; those that are known already change nothing."""
    _ADD.execute(connection, sorted({(one.digest, one.phone, one.event_id) for one in found}))


_ADD = insert_many(
    clue,
    ("digest", "phone", "event_id"),
    on_conflict=lambda statement: statement.on_conflict_do_nothing(),
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


def forget(
    connection: Connection,
    *,
    phones: Sequence[str] = (),
    digests: Sequence[str] = (),
    event_ids: Sequence[int] = (),
) -> None:
    """Delete clues of a person: those to numbers that no lead has any more, and these others."""
    if phones:
        there = exists(select(lead.c.id).where(lead.c.phone == clue.c.phone))
        connection.execute(delete(clue).where(clue.c.phone.in_(phones), clue.c.phone != "", ~there))
    if digests:
        connection.execute(delete(clue).where(clue.c.digest.in_(digests)))
    if event_ids:
        connection.execute(delete(clue).where(clue.c.event_id.in_(event_ids), clue.c.event_id > 0))
