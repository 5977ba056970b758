"""What has been counted since the beginning: the numbers that metrics are made of.

They stand in ``tally`` beside the counts of outcomes, so that the sum over all processes and nodes
is one query, and a process that ends takes nothing along. What must agree with the rows (received,
events, duplicates, how long opt-outs took) is written in the transaction of the work; everything
else is kept in memory and written every two seconds, so that it costs the work nothing.

A name counts *of* something bounded: a source or campaign of the configuration, never a lead or an
event. ``mark`` tells kinds apart by a number (an HTTP status), or is the upper bound of a
histogram's bucket; the sum of a histogram's values has the mark ``SUM``.
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import Connection, func, select

from bridge.errors import StoreError
from bridge.store.database import Database
from bridge.store.schema import tally
from bridge.store.tally import Span, sums

SUM = -1
ABOVE = 2**62
"""The upper bound of the last bucket."""


class Counted(StrEnum):
    """What is counted; at most sixteen letters each."""

    ANSWER = "answer"
    ANSWER_TIME = "answer_ms"
    REFUSED = "refused"
    RECEIVED = "received"
    EVENT = "event"
    COPY = "copy"
    LOOK_UP_CALL = "look_up_call"
    LOOK_UP_TIME = "look_up_ms"
    LOOKED_UP = "looked_up"
    PUT_OFF = "put_off"
    CALL = "call"
    CALL_TIME = "call_ms"
    BATCH = "batch"
    AGAIN = "again"
    CLOSED = "closed"
    OPT_OUT_TIME = "opt_out_ms"
    OPT_OUT_HERE = "opt_out_here_ms"


_CALLS = (50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000)
_OPT_OUTS = (
    *(500, 1_000, 2_500, 5_000, 10_000, 30_000),
    *(60_000, 300_000, 900_000, 3_600_000, 21_600_000, 86_400_000, 604_800_000),
)

BUCKETS: Mapping[Counted, tuple[int, ...]] = {
    Counted.ANSWER_TIME: (1, 2, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 10_000),
    Counted.LOOK_UP_TIME: _CALLS,
    Counted.CALL_TIME: _CALLS,
    Counted.BATCH: (1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000),
    Counted.OPT_OUT_TIME: _OPT_OUTS,
    Counted.OPT_OUT_HERE: _OPT_OUTS,
}
"""The upper bounds of each histogram's buckets: milliseconds, or leads. They may be changed: what
was counted by other bounds before stays in its place."""

Key = tuple[str, str, int]
"""(what, of, mark)"""


class Counts:
    """Numbers on their way to the database. Safe for many threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._found: Counter[Key] = Counter()

    def add(self, what: Counted, of: str = "", mark: int = 0, count: int = 1) -> None:
        """So many more."""
        if count:
            with self._lock:
                self._found[what.value, of, mark] += count

    def observe(self, what: Counted, of: str, value: float) -> None:
        """One more value of a histogram; a negative one counts as 0."""
        number = max(0, round(value))
        mark = _bucket(BUCKETS[what], number)
        with self._lock:
            self._found[what.value, of, mark] += 1
            self._found[what.value, of, SUM] += number

    def answered(self, source: str, status: int, ms: float) -> None:
        """One more answer to a webhook, and how long it took: both in one step."""
        number = round(ms)
        mark = _bucket(_ANSWER_BOUNDS, number)
        with self._lock:
            found = self._found
            found[_ANSWER, source, status] += 1
            found[_ANSWER_TIME, "", mark] += 1
            found[_ANSWER_TIME, "", SUM] += number

    def write(self, connection: Connection) -> None:
        """Have all of it written at the end of this transaction, and begin anew."""
        _add(connection, self._take())

    def flush(self, database: Database) -> None:
        """Write all of it now; where that fails, it is kept for the next time."""
        found = self._take()
        if not found:
            return
        try:
            # a moment's work, of the thread that shows that the worker lives
            with database.write(urgent=True) as connection:
                _add(connection, found)
        except StoreError:
            with self._lock:
                self._found.update(found)

    def _take(self) -> Counter[Key]:
        with self._lock:
            found, self._found = self._found, Counter()
        return found


_ANSWER, _ANSWER_TIME = Counted.ANSWER.value, Counted.ANSWER_TIME.value
_ANSWER_BOUNDS = BUCKETS[Counted.ANSWER_TIME]


def _bucket(bounds: tuple[int, ...], number: int) -> int:
    place = bisect_left(bounds, number)
    return bounds[place] if place < len(bounds) else ABOVE


def _add(connection: Connection, found: Mapping[Key, int]) -> None:
    if found:
        added = sums(connection)
        for (what, of, mark), count in found.items():
            added[Span.EVER, mark, of, what] += count


class Flusher:
    """Writes what a process has counted, every ``every_s`` seconds, in a thread of its own.

    The thread begins with the first count, so that a process that counts nothing has none.
    """

    def __init__(self, counts: Counts, database: Database, every_s: float = 2.0) -> None:
        self._counts = counts
        self._database = database
        self._every_s = every_s
        self._ending = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin, unless it has begun."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="counts", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        while not self._ending.wait(self._every_s):
            self._counts.flush(self._database)

    def close(self) -> None:
        """Write what is left, and end."""
        self._ending.set()
        self._counts.flush(self._database)


@dataclass(frozen=True, slots=True)
class Histogram:
    """``buckets``: how many values fell into each, by its upper bound; ``total``: their sum."""

    buckets: Mapping[int, int]
    total: int


class Read:
    """All counts of one moment, of all processes and nodes."""

    def __init__(self, found: Mapping[Key, int]) -> None:
        self._of: dict[str, dict[str, dict[int, int]]] = {}
        for (what, of, mark), count in found.items():
            self._of.setdefault(what, {}).setdefault(of, {})[mark] = count

    def by_name(self, what: Counted) -> dict[str, int]:
        """By what it is of: how many, whatever their mark."""
        return {of: sum(marks.values()) for of, marks in self._of.get(what.value, {}).items()}

    def by_mark(self, what: Counted) -> dict[tuple[str, int], int]:
        """By what it is of, and by mark."""
        found = self._of.get(what.value, {})
        return {(of, mark): n for of, marks in found.items() for mark, n in marks.items()}

    def histograms(self, what: Counted) -> dict[str, Histogram]:
        """By what it is of."""
        return {
            of: Histogram({m: n for m, n in marks.items() if m != SUM}, marks.get(SUM, 0))
            for of, marks in self._of.get(what.value, {}).items()
        }


_ALL = (
    select(tally.c.kind, tally.c.campaign, tally.c["at"], func.sum(tally.c["count"]).label("total"))
    .where(tally.c.span == int(Span.EVER))
    .group_by(tally.c.kind, tally.c.campaign, tally.c["at"])
)


def read(connection: Connection) -> Read:
    """Everything that has been counted and written.

    What this process has not written yet is left out: a number that another process could not
    know of would go down again when that one is asked.
    """
    rows = connection.execute(_ALL)
    return Read({(what, of, mark): int(total) for what, of, mark, total in rows})
