"""What the bridge remembers of a CRM's contacts: their phone numbers, and whether opted out.

A CRM's deletion names only the contact; by then the phone can no longer be read there. The
association is kept so that a deletion still finds its lead.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import Connection, select, tuple_

from bridge import jsontext
from bridge.errors import StoreChanged
from bridge.model import ContactRef, Known
from bridge.store.database import upsert
from bridge.store.schema import contact

AT_A_TIME = 500
"""Contacts in one statement."""

MOST_PHONES = 20
"""Numbers remembered per contact; the oldest give way."""

LONGEST_ID = 200
"""Characters of an account or contact id that the table holds."""


def _fitting(ref: ContactRef) -> ContactRef:
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
    asked = {_fitting(ref): ref for ref in refs}
    wanted = sorted((ref.account, ref.id) for ref in asked)
    found: dict[ContactRef, Known] = {}
    for start in range(0, len(wanted), AT_A_TIME):
        rows = connection.execute(
            select(
                contact.c.account,
                contact.c.contact_id,
                contact.c.phones,
                contact.c.opted_out,
                contact.c.consent_time,
            ).where(
                contact.c.source == source,
                tuple_(contact.c.account, contact.c.contact_id).in_(
                    wanted[start : start + AT_A_TIME]
                ),
            )
        )
        for row in rows:
            ref = asked[ContactRef(row.account, row.contact_id)]
            phones = tuple(jsontext.loads(row.phones))
            found[ref] = Known(phones, row.opted_out, row.consent_time)
    return found


def remember(
    connection: Connection,
    source: str,
    seen: Mapping[ContactRef, tuple[tuple[str, ...], bool | None, int]],
    now: int,
    *,
    recalled: Mapping[ContactRef, Known] | None = None,
) -> None:
    """Add to what is remembered: per contact its phones, consent (None: unsaid) and event time.

    Consent follows event time, not arrival; at equal times an opt-out stands. ``recalled``: what
    the events were mapped by. Errors: ``StoreChanged`` if that is no longer so: an opt-out that was
    mapped here would miss a number that came there meanwhile, and the other way round.
    """
    if recalled is not None:
        recalled = {_fitting(ref): recalled.get(ref, Known()) for ref in seen}
    seen = {_fitting(ref): what for ref, what in seen.items()}
    refs = sorted(seen, key=lambda ref: (ref.account, ref.id))
    for start in range(0, len(refs), AT_A_TIME):
        part = {ref: seen[ref] for ref in refs[start : start + AT_A_TIME]}
        _remember(connection, source, part, now, recalled)


def _remember(
    connection: Connection,
    source: str,
    seen: Mapping[ContactRef, tuple[tuple[str, ...], bool | None, int]],
    now: int,
    recalled: Mapping[ContactRef, Known] | None,
) -> None:
    old = _locked(connection, source, seen)
    new = [ref for ref in seen if ref not in old]
    if new:
        # a row that another transaction is adding just now is waited for, and then read
        blank = {"source": source, "phones": "[]", "opted_out": False, "consent_time": 0}
        connection.execute(
            upsert(connection, contact).on_conflict_do_nothing(),
            [
                {**blank, "account": ref.account, "contact_id": ref.id, "seen_at": now}
                for ref in new
            ],
        )
        old |= _locked(connection, source, new)
    rows = []
    for ref, (phones, consent, when) in sorted(seen.items(), key=lambda i: (i[0].account, i[0].id)):
        before = old[ref]
        known = jsontext.loads(before.phones)
        if recalled is not None and recalled[ref] != Known(tuple(known), before.opted_out):
            raise StoreChanged("another worker has learned of the same contact")
        opted_out, consent_time = before.opted_out, before.consent_time
        if consent is not None and (when > consent_time or (when == consent_time and consent)):
            opted_out, consent_time = consent, when
        merged = [*phones, *(phone for phone in known if phone not in phones)][:MOST_PHONES]
        if (
            merged == known
            and opted_out == before.opted_out
            and consent_time == before.consent_time
        ):
            continue
        rows.append(
            {
                "source": source,
                "account": ref.account,
                "contact_id": ref.id,
                "phones": jsontext.dumps(merged),
                "opted_out": opted_out,
                "consent_time": consent_time,
                "seen_at": now,
            }
        )
    if rows:
        statement = upsert(connection, contact)
        connection.execute(
            statement.on_conflict_do_update(
                index_elements=[contact.c.source, contact.c.account, contact.c.contact_id],
                set_={
                    name: statement.excluded[name]
                    for name in ("phones", "opted_out", "consent_time", "seen_at")
                },
            ),
            rows,
        )


def _locked(
    connection: Connection, source: str, refs: Iterable[ContactRef]
) -> dict[ContactRef, Any]:
    """The rows of these contacts, locked to this transaction."""
    rows = connection.execute(
        select(contact)
        .where(
            contact.c.source == source,
            tuple_(contact.c.account, contact.c.contact_id).in_(
                sorted((ref.account, ref.id) for ref in refs)
            ),
        )
        .order_by(contact.c.account, contact.c.contact_id)
        .with_for_update()
    )
    return {ContactRef(row.account, row.contact_id): row for row in rows}
