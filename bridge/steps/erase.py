"""What a worker erases beside its work: people who asked for it, and what has become old."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection

from bridge import logs
from bridge.store import erasures, retention
from bridge.store.database import Database
from bridge.store.retention import Ages, Sweep

log = logs.get("erase")

DAY_MS = 86_400_000


def ages(now: int, body_days: float, person_days: float) -> Ages:
    """What is old by now (ms); 0 days: nothing ever is."""
    bodies, persons = (
        now - round(days * DAY_MS) if days > 0 else None for days in (body_days, person_days)
    )
    return Ages(bodies, persons)


def erase_old(database: Database, old: Ages) -> bool:
    """One bounded transaction of each sweep; whether there may be more to do now.

    Errors: ``StoreError``.
    """
    more = False
    for what in Sweep:
        with database.write() as connection:
            count, unfinished = retention.page(connection, what, old, database.now_ms())
        if count:
            log.info("old data erased", what=what.value, rows=count)
        more = more or unfinished
    return more


def erase_people(database: Database, taken_in: Collection[str] | None = None) -> bool:
    """One step of one request that is due; whether there was any.

    ``taken_in``: the sources whose deliveries workers take in; None: whoever asks does not know.
    """
    with database.read() as connection:
        if not erasures.any_due(connection, database.now_ms()):
            return False
    with database.write() as connection:
        number = erasures.next_due(connection, database.now_ms())
        if number is None:
            return False
        purged = erasures.purge(connection, number, database.now_ms(), taken_in=taken_in)
    _tell(number, purged)
    return True


def erase_now(database: Database, wanted: erasures.Wanted) -> tuple[int, Counter[str], int]:
    """Ask that a person be erased, and do what can be done at once.

    Returns the number of the request, rows erased by table, and how many rows are to wait for.
    """
    with database.write() as connection:
        # what came before the request is told by the clock that receipts are made by
        database.measure_clock(connection)
        number = erasures.add(connection, wanted, database.now_ms())
    total = Counter[str]()
    while True:
        with database.write() as connection:
            purged = erasures.purge(connection, number, database.now_ms())
        _tell(number, purged)
        total += purged.erased
        if not purged.more:
            return number, total, purged.waiting


def _tell(number: int, purged: erasures.Purged) -> None:
    if purged.erased.total():
        asked_by = {"receipt": purged.receipt} if purged.receipt else {}
        log.info(
            "person erased",
            **asked_by,
            request=number,
            waiting=purged.waiting,
            erased=dict(purged.erased),
        )
