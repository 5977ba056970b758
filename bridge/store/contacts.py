"""What the bridge remembers of a CRM's contacts: their phone numbers, and whether opted out.

Contacts that an event named as one person are linked, each in the row of the other.

A CRM's deletion names only the contact; by then the phone can no longer be read there. The
association is kept so that a deletion still finds its lead.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, bindparam, select, update

from bridge import jsontext
from bridge.errors import StoreChanged
from bridge.model import LONGEST_ID, NOBODY, ContactRef, Known, Link, joined
from bridge.store.bulk import Many, Query, among, insert_many, listed
from bridge.store.schema import contact

MOST_PHONES = 20
"""Numbers remembered per contact; the oldest give way."""

Held = tuple[tuple[str, ...], bool, int, tuple[Link, ...]]
"""What a row holds: phones, opted out, when the last word on that was said, and links."""

Said = tuple[tuple[str, ...], bool | None, int]
"""Phones, consent (None: unsaid) and event time."""

_NO_LINKS: Mapping[ContactRef, tuple[Link, ...]] = {}


def fitting(ref: ContactRef) -> ContactRef:
    """The contact under ids that the table holds: a longer one ends in the hash of the whole."""
    if len(ref.account) <= LONGEST_ID and len(ref.id) <= LONGEST_ID:
        return ref
    return ContactRef(*(fitting_id(text) for text in (ref.account, ref.id)))


def fitting_id(text: str) -> str:
    """An account or contact id as the table holds it."""
    if len(text) <= LONGEST_ID:
        return text
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
    return text[: LONGEST_ID - len(digest)] + digest


def recall(
    connection: Connection, source: str, refs: Iterable[ContactRef]
) -> dict[ContactRef, Known]:
    """What is remembered of these contacts of one source."""
    asked = {fitting(ref): ref for ref in refs}
    found = _found(connection, _RECALL, source, asked)
    return {
        asked[ref]: Known(phones, opted_out, when, links=links)
        for ref, (phones, opted_out, when, links) in found.items()
    }


def accounts(connection: Connection, source: str, contact_id: str, limit: int) -> list[str]:
    """In which accounts of a source a contact of this id is remembered, in order."""
    rows = connection.scalars(
        select(contact.c.account)
        .where(contact.c.contact_id == fitting_id(contact_id), contact.c.source == source)
        .order_by(contact.c.account)
        .limit(limit)
    )
    return list(rows)


def holding(connection: Connection, phone: str, limit: int) -> list[tuple[str, ContactRef]]:
    """Of which contacts a number is remembered: (source, contact), in order.

    For a person who asks: it goes through all contacts.
    """
    rows = connection.execute(
        select(contact.c.source, contact.c.account, contact.c.contact_id)
        .where(contact.c.phones.contains(jsontext.dumps(phone), autoescape=True))
        .order_by(contact.c.source, contact.c.account, contact.c.contact_id)
        .limit(limit)
    )
    return [(row.source, ContactRef(row.account, row.contact_id)) for row in rows]


_REMEMBERED = select(
    contact.c.account,
    contact.c.contact_id,
    contact.c.phones,
    contact.c.opted_out,
    contact.c.consent_time,
    contact.c.links,
).where(
    contact.c.source == bindparam("source"),
    contact.c.account == bindparam("account"),
    among(contact.c.contact_id, "ids"),
)


_RECALL = Query(_REMEMBERED)
_LOCKED = Query(_REMEMBERED.order_by(contact.c.contact_id).with_for_update())


def _found(
    connection: Connection, query: Query, source: str, refs: Iterable[ContactRef]
) -> dict[ContactRef, Held]:
    """What is held of contacts, account by account, in order."""
    by_account: dict[str, list[str]] = {}
    for ref in refs:
        by_account.setdefault(ref.account, []).append(ref.id)
    return {
        ContactRef(account, contact_id): (
            tuple(jsontext.loads(phones)),
            bool(opted_out),
            when,
            () if links is None else links_in(links),
        )
        for asked, ids in sorted(by_account.items())
        for account, contact_id, phones, opted_out, when, links in query.all(
            connection, source=source, account=asked, ids=listed(sorted(ids))
        )
    }


def remember(
    connection: Connection,
    source: str,
    seen: Mapping[ContactRef, Said],
    now: int,
    *,
    recalled: Mapping[ContactRef, Known] | None = None,
    links: Mapping[ContactRef, tuple[Link, ...]] = _NO_LINKS,
) -> None:
    """Add to what is remembered: per contact its phones, consent (None: unsaid) and event time.

    Consent follows event time, not arrival; at equal times an opt-out stands. ``links``: new ones
    of some of these contacts, under ids that are as the table holds them. ``recalled``: what
    the events were mapped by. Errors: ``StoreChanged`` if that is no longer so: an opt-out that was
    mapped here would miss a number that came there meanwhile, and the other way round.
    """
    if recalled is not None:
        recalled = {fitting(ref): recalled.get(ref, NOBODY) for ref in seen}
    seen = {fitting(ref): seen[ref] for ref in sorted(seen)}

    def merged(held: Held | None, ref: ContactRef) -> Held:
        return _merged(held, *seen[ref], links.get(ref, ()))

    if recalled is not None:
        # nearly always nobody has heard of them meanwhile, and nothing has to be read again
        unknown = [ref for ref in seen if recalled[ref] is NOBODY]
        rows = [_row(source, ref, merged(None, ref), now) for ref in unknown]
        if _ADD.count(connection, rows) == len(unknown):
            seen = {ref: said for ref, said in seen.items() if recalled[ref] is not NOBODY}
        if not seen:
            return
    old = _found(connection, _LOCKED, source, seen)
    new = {ref: merged(None, ref) for ref in seen if ref not in old}
    if new:
        if recalled is not None and any(recalled[ref] is not NOBODY for ref in new):
            # whoever was erased meanwhile must not come back by what was mapped before
            raise StoreChanged("another worker has forgotten a contact")
        told = _ADD.execute(connection, [_row(source, ref, held, now) for ref, held in new.items()])
        added = set(new)  # on SQLite nobody else writes
        if connection.dialect.name != "sqlite":
            added = {ContactRef(account, contact_id) for account, contact_id in told}
        old |= {ref: held for ref, held in new.items() if ref in added}
        # a row that another transaction was adding just now was waited for, and is read
        old |= _found(connection, _LOCKED, source, [ref for ref in new if ref not in added])
    if recalled is not None and any(
        _as_held(recalled[ref]) != before
        and not (recalled[ref] == NOBODY and before == merged(None, ref))
        for ref, before in old.items()
    ):
        raise StoreChanged("another worker has learned of the same contact")
    changed = [
        _row(source, ref, after, now)
        for ref in seen
        if (after := merged(old[ref], ref)) != old[ref]
    ]
    _CHANGE.execute(connection, changed)


def _as_held(known: Known) -> Held:
    """With the time, which ``Known`` leaves out of comparisons, and which decides who is newer."""
    return known.phones, known.opted_out, known.consent_time, known.links


def _merged(
    held: Held | None,
    phones: tuple[str, ...],
    consent: bool | None,
    when: int,
    more: tuple[Link, ...],
) -> Held:
    if held is None and consent is None:
        return phones[:MOST_PHONES], False, 0, more
    known, opted_out, consent_time, links = held or ((), False, 0, ())
    if consent is not None and (when > consent_time or (when == consent_time and consent)):
        opted_out, consent_time = consent, when
    merged = (*phones, *(phone for phone in known if phone not in phones))
    return merged[:MOST_PHONES], opted_out, consent_time, joined(links, more) if more else links


def _row(source: str, ref: ContactRef, held: Held, now: int) -> tuple[Any, ...]:
    phones, opted_out, consent_time, links = held
    known = jsontext.dumps(phones)
    text = text_of(links)
    return (source, ref.account, ref.id, known, opted_out, consent_time, now, text)


def text_of(links: Sequence[Link]) -> str | None:
    """Links as a row holds them."""
    return jsontext.dumps([tuple(one) for one in links]) if links else None


def links_in(text: str) -> tuple[Link, ...]:
    """The links in the text of a row."""
    return tuple(Link(*one) for one in jsontext.loads(text))


_COLUMNS = (
    "source",
    "account",
    "contact_id",
    "phones",
    "opted_out",
    "consent_time",
    "seen_at",
    "links",
)
_ADD = insert_many(
    contact,
    _COLUMNS,
    on_conflict=lambda new: new.on_conflict_do_nothing(),
    returning=(contact.c.account, contact.c.contact_id),
)
_CHANGE = Many(
    {name: contact.c[name].type for name in _COLUMNS},
    lambda given: (
        update(contact)
        .where(
            contact.c.source == given("source"),
            contact.c.account == given("account"),
            contact.c.contact_id == given("contact_id"),
        )
        .values({name: given(name) for name in _COLUMNS[3:]})
    ),
)
