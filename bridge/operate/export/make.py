"""Make a file: the first line says what it is, the last how many lines there are.

Who makes one is noted before anything leaves, and the last hash before the last line does: a file
that ends as it should is known to the database it came from.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from bridge import __version__
from bridge.clock import iso, now_ms
from bridge.errors import ExportError
from bridge.model import Campaign
from bridge.operate.export.chain import FORMAT, Seal
from bridge.operate.export.lines import HEAD, Form, content, line
from bridge.operate.export.subject import Person, Subject
from bridge.operate.export.walk import Seen, Size, Told, Walk
from bridge.operate.finding import Found
from bridge.store import evidence, operator_actions, pages
from bridge.store.database import Connection, Database, clock_ms

BEGIN, GO_ON, END = "export.begin", "export.resume", "export.end"
MOST_NOTES = 500
"""Of one export: how often it may have been gone on with."""


@dataclass(slots=True)
class Tip:
    """The end of a file so far: lines (the columns of CSV included), and the last hash."""

    lines: int = 0
    hash: str = ""


@dataclass(frozen=True, slots=True)
class Job:
    """A file to be made. ``id`` names it in its first line and in audit lines."""

    subject: Subject
    form: Form
    seal: Seal
    actor: str
    bodies: bool = True
    id: str = field(default_factory=lambda: secrets.token_hex(16))

    @property
    def note(self) -> str:
        """The subject of its audit lines."""
        return f"export {self.id}"


def person(
    connection: Connection, found: Found, named: Mapping[str, Campaign] | None
) -> Person | None:
    """What a search has found, as something to export; None if nothing is known of it.

    ``named``: see ``Person``.
    """
    leads = tuple(row["id"] for row in pages.leads_of(connection, found.phones))
    if leads or found.events:
        return Person(found, leads, named)
    numbers = evidence.written(connection, found.phones)
    known = any(evidence.deliveries_of(connection, number, 0, 1) for number in numbers)
    return Person(found, leads, named) if known else None


def begin(connection: Connection, job: Job) -> None:
    """Note who makes the file; to be committed before anything of it leaves."""
    _note_begin(connection, job, BEGIN, {})


def go_on(connection: Connection, job: Job, kept: int) -> None:
    """The same of a file that broke off; ``kept``: how many of its lines stay.

    Errors: ``ExportError`` if no such file was begun here.
    """
    lines = operator_actions.listing(connection, subject=job.note, limit=MOST_NOTES)
    if not any(line["action"] in (BEGIN, GO_ON) for line in lines):
        raise ExportError("this database has begun no such export; export anew.")
    _note_begin(connection, job, GO_ON, {"kept": kept})


def unnoted(connection: Connection, export: str, lines: int, hash_: str) -> int | None:
    """None if no file with this many lines and this last hash was ended here; else of how many
    lines at its beginning there is no note, since they stood in a file that broke off."""
    noted = operator_actions.listing(connection, subject=f"export {export}", limit=MOST_NOTES)
    ends = [line["details"] for line in noted if line["action"] == END]
    if {"lines": lines, "hash": hash_} not in ends:
        return None
    return max((line["details"]["kept"] for line in noted if line["action"] == GO_ON), default=0)


def _note_begin(connection: Connection, job: Job, action: str, more: dict[str, Any]) -> None:
    details = {**job.subject.noted(), "as": job.form.value, "bodies": job.bodies, **more}
    operator_actions.note(
        connection,
        actor=job.actor,
        action=action,
        subject=job.note,
        details=details,
        now=clock_ms(connection),
    )


def whole(database: Database, job: Job, tip: Tip, *, size: Size, told: Told) -> Iterator[bytes]:
    """The file, in pieces; ``tip`` (new) moves along.

    Errors: ``StoreError``; what was given by then is no whole file.
    """
    if job.form is Form.CSV:
        tip.lines = 1
        yield HEAD
    yield _lines(job, tip, [_header(job)])
    yield from rest(database, job, tip, seen=Seen(), size=size, told=told)


def rest(
    database: Database, job: Job, tip: Tip, *, seen: Seen, size: Size, told: Told
) -> Iterator[bytes]:
    """What follows the lines so far: ``seen`` says how far those went."""
    walk = Walk(database, job.subject, bodies=job.bodies, size=size, seen=seen, told=told)
    for part in walk.parts():
        if part:
            yield _lines(job, tip, part)
    end = {"kind": "end", "ended_at": iso(now_ms()), "lines": tip.lines, "last_hash": tip.hash}
    last = _lines(job, tip, [end])
    with database.write() as connection:
        operator_actions.note(
            connection,
            actor=job.actor,
            action=END,
            subject=job.note,
            details={"lines": tip.lines, "hash": tip.hash},
            now=clock_ms(connection),
        )
    yield last


def _header(job: Job) -> dict[str, Any]:
    return {
        "kind": "export",
        "format": FORMAT,
        "export": job.id,
        "algorithm": job.seal.algorithm,
        "key": job.seal.fingerprint,
        "made_at": iso(now_ms()),
        "made_by": job.actor,
        "crm_bridge": __version__,
        "bodies": job.bodies,
        "subject": job.subject.as_json(),
    }


def _lines(job: Job, tip: Tip, records: Iterable[dict[str, Any]]) -> bytes:
    """These records as lines; the tip moves on."""
    written = []
    for record in records:
        tip.lines += 1
        text = content(job.form, {**record, "line": tip.lines})
        tip.hash = job.seal.hash(tip.hash, text)
        written.append(line(job.form, text, tip.hash))
    return b"".join(written)
