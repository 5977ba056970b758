"""Requests to erase a person, and what was done about each.

A request names contacts and phone numbers while it is open; once it is done, only their keyed
hashes are left, with what was erased and when. What is open or standing is waited for.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from sqlalchemy import (
    Connection,
    Row,
    Select,
    delete,
    exists,
    insert,
    literal_column,
    select,
    tuple_,
    update,
)

from bridge import jsontext
from bridge.model import MOST_HOPS, ContactRef, Link
from bridge.store import clues, contacts, erasing
from bridge.store.bulk import insert_many
from bridge.store.contacts import fitting, links_in, recall, text_of
from bridge.store.digest import Digest, load
from bridge.store.far_ahead import SLACK_MS
from bridge.store.schema import (
    PENDING,
    STORED,
    UNDONE,
    clue,
    contact,
    delivery,
    erasure,
    event,
    event_contact,
    lead,
    outcome,
)

MOST = 200
"""Rows of a kind that one transaction erases."""

SETTLE_MS = 5_000
"""When a request that a webhook made is looked at first: what came before it may be on its way to
the disk, since PostgreSQL gives ids out before commits. By then its own outcome has mostly ended.
"""

FIRST_PAUSE_MS, LONGEST_PAUSE_MS = 60_000, 86_400_000

UNREAD_MS = 7 * 86_400_000
"""How long numbers stay for the sake of what stands before a request and is of a source that was
taken out, or has no settings: that may stand for good. It counts from when a worker finds it so."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Who is to be erased. ``receipt``: of the delivery that asked for it; empty by hand."""

    source: str
    contacts: tuple[ContactRef, ...] = ()
    phones: tuple[str, ...] = ()
    receipt: str = ""


@dataclass(frozen=True, slots=True)
class Purged:
    """What one step did. ``erased``: rows by table. ``waiting``: rows that are not finished.

    ``receipt``: of the delivery that asked for it; empty by hand.
    """

    erased: Counter[str] = field(default_factory=Counter)
    waiting: int = 0
    more: bool = False
    receipt: str = ""


def note_contacts(
    connection: Connection, seen: Iterable[tuple[int, str, Sequence[ContactRef]]]
) -> None:
    """Note which contacts an event speaks of, by their hashes: (event id, source, contacts)."""
    named = [(source, ref, event_id) for event_id, source, refs in seen for ref in refs]
    if not named:
        return
    digest = load(connection)
    rows = {(_contact(digest, source, ref), event_id) for source, ref, event_id in named}
    _NOTE.execute(connection, sorted(rows))


_NOTE = insert_many(
    event_contact, ("contact", "event_id"), on_conflict=lambda new: new.on_conflict_do_nothing()
)


def _contact(digest: Digest, source: str, ref: ContactRef) -> str:
    return digest.of("contact", source, ref.account, ref.id)


def elsewhere(connection: Connection, source: str, ref: ContactRef, limit: int) -> list[str] | None:
    """In which accounts there is a contact of this id that the account of ``ref`` does not know.

    None: it is known there, or nowhere. Empty: only events name it, and those keep no account.
    """
    digest = load(connection)
    here = select(event_contact.c.event_id).where(
        event_contact.c.contact == _contact(digest, source, ref)
    )
    if recall(connection, source, [ref]) or connection.scalar(here.limit(1)) is not None:
        return None
    known = contacts.accounts(connection, source, ref.id, limit)
    named = (
        select(event.c.id)
        .join(clue, clue.c.event_id == event.c.id)
        .where(clue.c.digest == clues.of_contact(digest, ref.id), event.c.source == source)
    )
    return known if known or connection.scalar(named.limit(1)) is not None else None


def add(connection: Connection, wanted: Wanted, now: int) -> int:
    """Ask that a person be erased; returns the number of the request."""
    digest = load(connection)
    subjects = [_contact(digest, wanted.source, ref) for ref in wanted.contacts]
    document = {
        "contacts": [[ref.account, ref.id] for ref in wanted.contacts],
        "phones": list(wanted.phones),
    }
    made = connection.execute(
        insert(erasure)
        .values(
            receipt=wanted.receipt,
            source=wanted.source,
            wanted=jsontext.dumps(document),
            subjects=jsontext.dumps([*subjects, *map(digest.of, wanted.phones)]),
            requested_at=now,
            due_at=now + SETTLE_MS if wanted.receipt else now,
            done_at=None,
            erased="{}",
        )
        .returning(erasure.c.id)
    )
    return int(made.scalar_one())


def any_due(connection: Connection, now: int) -> bool:
    """Whether a request is due."""
    return connection.execute(_due(now).limit(1)).first() is not None


def next_due(connection: Connection, now: int) -> int | None:
    """A request that is due, locked to this transaction."""
    query = _due(now).order_by(erasure.c.due_at).limit(1)
    found: int | None = connection.scalar(query.with_for_update(skip_locked=True))
    return found


def _due(now: int) -> Select[Any]:
    """Requests that are due, or are put off for longer than any: by a clock that was ahead."""
    far = now + LONGEST_PAUSE_MS + SLACK_MS
    due = (erasure.c.due_at <= now) | (erasure.c.due_at > far)
    return select(erasure.c.id).where(UNDONE, due)


def purge(
    connection: Connection, number: int, now: int, *, taken_in: Collection[str] | None = None
) -> Purged:
    """Go on with a request by one bounded step; it is put off, or done, when no more can be.

    ``taken_in``: the sources whose deliveries workers take in; None: whoever asks does not know.
    """
    row = connection.execute(select(erasure).where(erasure.c.id == number).with_for_update()).one()
    if row.done_at is not None:
        return Purged()
    digest = load(connection)
    document = jsontext.loads(row.wanted)
    refs = [ContactRef(*pair) for pair in document["contacts"]]
    hashes = [_contact(digest, row.source, ref) for ref in refs]
    forgotten = document.get("forgotten", False)
    numbers = () if forgotten else _numbers(connection, row.source, refs)
    phones = sorted({*document["phones"], *numbers})
    sharing = _sharing(connection, row.source, refs, phones)
    theirs = [_contact(digest, row.source, ref) for ref in sharing]
    before = _stands_before(connection, row)
    since = document.get("unread_since") if before else None
    if before and taken_in is not None:
        unread = not _stands_before(connection, row, taken_in)
        # from now at the latest, should a clock have been ahead
        since = min(since or now, now) if unread else None
    # who does not know of workers does not know either what they have found meanwhile
    given_up = taken_in is not None and since is not None and now - since >= UNREAD_MS
    if _looked_up(connection, [*hashes, *theirs]):
        # an opt-out among these events may need the numbers that are remembered, and so it may in
        # what stands before
        purged = Purged(waiting=1)
        phones = list(document["phones"])
    else:
        purged = _purge(connection, digest, hashes, phones, now)
        if (not before or given_up) and not forgotten:
            purged.erased["contacts"] += _forget(connection, row.source, refs, sharing, phones)
            # what is learned from now on came after the request, which may stay open for long
            forgotten = not before
        clues.forget(connection, digests=[clues.of_contact(digest, ref.id) for ref in refs])
    if before and (row.receipt or not given_up):
        purged = replace(purged, waiting=purged.waiting + 1)
    total = Counter(jsontext.loads(row.erased)) + purged.erased
    age = now - row.requested_at
    pause = min(LONGEST_PAUSE_MS, max(FIRST_PAUSE_MS, age // 10))
    done = not purged.more and not purged.waiting
    left = {"contacts": document["contacts"], "phones": phones}
    left |= {"unread_since": since, "forgotten": forgotten}
    subjects = {*jsontext.loads(row.subjects), *map(digest.of, phones)}
    connection.execute(
        update(erasure)
        .where(erasure.c.id == number)
        .values(
            wanted='{"contacts":[],"phones":[]}' if done else jsontext.dumps(left),
            subjects=jsontext.dumps(sorted(subjects)),
            erased=jsontext.dumps(dict(total)),
            due_at=now if purged.more else now + pause,
            done_at=now if done else None,
        )
    )
    return replace(purged, receipt=row.receipt)


def _looked_up(connection: Connection, hashes: Sequence[str]) -> bool:
    """Whether an event of these contacts still waits for a look-up."""
    waits = (
        select(event.c.id)
        .join(event_contact, event_contact.c.event_id == event.c.id)
        .where(event_contact.c.contact.in_(hashes), PENDING)
    )
    return connection.execute(waits.limit(1)).first() is not None


def _stands_before(
    connection: Connection, row: Row[Any], sources: Collection[str] | None = None
) -> bool:
    """Whether what came before the request, or the delivery that made it, is not taken in yet.

    An opt-out goes ahead in a backlog, and behind it may stand what names the person. A request
    without a source names a number, which may stand in what any of them sent. ``sources``: only
    what is of these.
    """
    asked = select(delivery.c.id).where(delivery.c.receipt == row.receipt).scalar_subquery()
    earlier = delivery.c.id < asked if row.receipt else delivery.c.received_at <= row.requested_at
    before = select(delivery.c.id).where(STORED, earlier)
    # the concatenation keeps SQLite from going through all deliveries of a source
    source = delivery.c.source + literal_column("''")
    if row.source:
        before = before.where(source == row.source)
    if sources is not None:
        before = before.where(source.in_(sorted(sources)))
    return connection.execute(before.limit(1)).first() is not None


def _numbers(connection: Connection, source: str, refs: Sequence[ContactRef]) -> set[str]:
    rows = connection.scalars(select(contact.c.phones).where(*_are(source, refs)))
    return {phone for text in rows for phone in jsontext.loads(text)}


def _are(source: str, refs: Sequence[ContactRef]) -> tuple[Any, Any]:
    names = [(ref.account, ref.id) for ref in map(fitting, refs)]
    return contact.c.source == source, tuple_(contact.c.account, contact.c.contact_id).in_(names)


def _sharing(
    connection: Connection, source: str, refs: Sequence[ContactRef], phones: Sequence[str]
) -> set[ContactRef]:
    """To whom one of these numbers of the contacts went over links, as they are in the table.

    It is remembered of each on the way, so that whoever does not have it leads to nobody.
    """
    numbers, sharing = set(phones), set[ContactRef]()
    known = recall(connection, source, set(map(fitting, refs)))
    read = set(known)
    for _ in range(MOST_HOPS):
        linked = {ContactRef(ref.account, to.id) for ref in known for to in known[ref].links} - read
        if not linked:
            break
        read |= linked
        found = recall(connection, source, linked)
        known = {ref: one for ref, one in found.items() if not numbers.isdisjoint(one.phones)}
        sharing |= known.keys()
    return sharing


def _forget(
    connection: Connection,
    source: str,
    refs: Sequence[ContactRef],
    sharing: set[ContactRef],
    phones: Sequence[str],
) -> int:
    """Contacts go; of one that is opted out the consent stays, without numbers and links.

    Their ``phones`` go from those as well who are ``sharing`` them, and who stay otherwise.
    """
    mine = _are(source, refs)
    _part(connection, source, refs, sharing, phones)
    held = (contact.c.phones != "[]") | contact.c.links.is_not(None)
    numbered = (*mine, contact.c.opted_out, held)
    bare = connection.execute(update(contact).where(*numbered).values(phones="[]", links=None))
    gone = connection.execute(delete(contact).where(*mine, contact.c.opted_out.is_(False)))
    return bare.rowcount + gone.rowcount


def _part(
    connection: Connection,
    source: str,
    refs: Sequence[ContactRef],
    sharing: set[ContactRef],
    phones: Sequence[str],
) -> None:
    """Take these contacts out of the links of others, and their numbers from who is sharing them.

    An opt-out of such a number stays with its leads, and one of such a contact with its row.
    """
    gone = set(map(fitting, refs))
    both = gone | sharing | _linked(_rows_of(connection, source, gone), gone)
    # in one go, as others lock them; who has got a link of these meanwhile is locked as well
    while True:
        found = _rows_of(connection, source, both, locked=True)
        if both >= (linked := _linked(found, gone)):
            break
        both |= linked
    for ref, (numbers, links) in found.items():
        kept = [one for one in links if ContactRef(ref.account, one.id) not in gone]
        left = [phone for phone in numbers if phone not in phones]
        if ref not in gone and (len(kept) < len(links) or len(left) < len(numbers)):
            connection.execute(
                update(contact)
                .where(*_are(source, [ref]))
                .values(links=text_of(kept), phones=jsontext.dumps(left))
            )


_Held = tuple[list[str], Sequence[Link]]
"""The numbers of a contact, and its links."""


def _linked(found: Mapping[ContactRef, _Held], gone: Collection[ContactRef]) -> set[ContactRef]:
    """Whom the links of these contacts lead to."""
    return {ContactRef(ref.account, to.id) for ref in gone if ref in found for to in found[ref][1]}


def _rows_of(
    connection: Connection, source: str, refs: Collection[ContactRef], *, locked: bool = False
) -> dict[ContactRef, _Held]:
    """What is remembered of contacts, locked to this transaction if need be."""
    query = (
        select(contact.c.account, contact.c.contact_id, contact.c.phones, contact.c.links)
        .where(*_are(source, sorted(refs)))
        .order_by(contact.c.account, contact.c.contact_id)
    )
    return {
        ContactRef(row.account, row.contact_id): (
            jsontext.loads(row.phones),
            () if row.links is None else links_in(row.links),
        )
        for row in connection.execute(query.with_for_update() if locked else query)
    }


def _purge(
    connection: Connection, digest: Digest, hashes: Sequence[str], phones: Sequence[str], now: int
) -> Purged:
    mine = select(event_contact.c.event_id).where(event_contact.c.contact.in_(hashes))
    deliveries = delivery.c.id.in_(
        select(outcome.c.delivery_id)
        .where(outcome.c.phone.in_(phones))
        .union(select(event.c.delivery_id).where(event.c.id.in_(mine)))
    )
    whole = delivery.c.erased_at.is_(None)
    ids = connection.scalars(
        select(delivery.c.id).where(deliveries, whole, erasing.finished_delivery()).limit(MOST)
    ).all()
    purged = Counter(deliveries=len(erasing.bodies(connection, digest, ids, now)))
    if ids:  # an outcome's number shows which deliveries are meant, so it goes last
        return Purged(purged, more=True)
    waiting = len(connection.scalars(select(delivery.c.id).where(deliveries, whole)).all())
    theirs = outcome.c.id.in_(
        select(outcome.c.id)
        .where(outcome.c.phone.in_(phones))
        .union(select(outcome.c.id).where(outcome.c.event_id.in_(mine)))
    )
    bare = exists(
        select(delivery.c.id).where(
            delivery.c.id == outcome.c.delivery_id, delivery.c.erased_at.is_not(None)
        )
    )
    final = outcome.c.state.not_in(erasing.OPEN_STATES)
    ids = connection.scalars(
        select(outcome.c.id).where(theirs, bare, final, outcome.c.erased_at.is_(None)).limit(MOST)
    ).all()
    purged["outcomes"] = len(erasing.outcomes(connection, digest, ids, now))
    leads = connection.scalars(select(lead.c.id).where(lead.c.phone.in_(phones))).all()
    purged["leads"], _, busy = erasing.leads(connection, digest, leads)
    clues.forget(connection, phones=phones)
    return Purged(purged, waiting + busy, len(ids) == MOST)


def listing(connection: Connection, *, before: int | None, limit: int) -> list[dict[str, Any]]:
    """The newest requests, without names and numbers."""
    columns = (
        erasure.c.id,
        erasure.c.source,
        erasure.c.receipt,
        erasure.c.requested_at,
        erasure.c.done_at,
        erasure.c.erased,
    )
    query = select(*columns).order_by(erasure.c.id.desc()).limit(limit)
    if before is not None:
        query = query.where(erasure.c.id < before)
    rows = [dict(row._mapping) for row in connection.execute(query)]
    return [{**row, "erased": jsontext.loads(row["erased"])} for row in rows]
