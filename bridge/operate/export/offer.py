"""A file as an answer over HTTP: noted first, then streamed, in small parts between webhooks."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

from bridge.errors import ExportError
from bridge.operate.desk import Desk
from bridge.operate.export import make
from bridge.operate.export.chain import Seal
from bridge.operate.export.lines import Form
from bridge.operate.export.make import Job, Tip
from bridge.operate.export.subject import Period, Subject
from bridge.operate.export.walk import SMALL
from bridge.store import evidence


@dataclass(frozen=True)
class Offer:
    """``name``: of the file; it names nobody, since it ends in histories. ``pieces`` are bytes."""

    name: str
    content_type: str
    pieces: Iterator[bytes]

    @property
    def headers(self) -> dict[str, str]:
        """So that it is saved and never shown as a page."""
        return {"Content-Disposition": f'attachment; filename="{self.name}"'}


def offer(desk: Desk, subject: Subject, form: Form, *, bodies: bool, actor: str) -> Offer:
    """Note who exports what, and give the file.

    Errors: ``ExportError`` if it is too much for here; ``StoreError``.
    """
    if isinstance(subject, Period):
        _bounded(desk, subject)
    job = Job(subject, form, Seal.by(desk.evidence_key), actor, bodies)
    with desk.database.write() as connection:
        make.begin(connection, job)
    kind = "period" if isinstance(subject, Period) else "lead"
    name = f"evidence-{kind}-{job.id[:12]}.{form.value}"
    return Offer(name, form.content_type, _pieces(desk, job))


def _bounded(desk: Desk, period: Period) -> None:
    if period.since >= period.until:
        raise ExportError("The period ends before it begins; the last five seconds do not count.")
    most = desk.export_most
    with desk.database.read() as connection:
        count = evidence.count_between(connection, period.after, period.before, most)
    if count > most:
        raise ExportError(
            f"The period holds more than {most:,} deliveries (BRIDGE_EXPORT_MOST). Choose a "
            "shorter one, or use the command line: crm-bridge export period."
        )


def _pieces(desk: Desk, job: Job) -> Iterator[bytes]:
    for piece in make.whole(desk.database, job, Tip(), size=SMALL, told=lambda *_: None):
        yield piece
        time.sleep(0)  # others get their turn
