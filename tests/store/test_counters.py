"""What is counted since the beginning is the sum over all that count, and loses nothing."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress

from bridge.store import counters, tally
from bridge.store.counters import ABOVE, SUM, Counted, Counts, Flusher, Histogram
from bridge.store.database import Database
from bridge.store.tally import Span

from .waiting import until


def found(database: Database) -> counters.Read:
    with database.read() as connection:
        return counters.read(connection)


def test_counts_of_many_processes_add_up(
    database: Database, opened: Callable[..., Database]
) -> None:
    def work(number: int) -> None:
        counts, own = Counts(), opened()
        for step in range(20):
            counts.add(Counted.CALL, "main", 200)
            counts.add(Counted.CALL, "main", 503 if step % 2 else 429)
            counts.observe(Counted.BATCH, "main", number)
            counts.flush(own)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(1, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    read = found(database)
    assert read.by_mark(Counted.CALL) == {
        ("main", 200): 80,
        ("main", 429): 40,
        ("main", 503): 40,
    }
    assert read.by_name(Counted.CALL) == {"main": 160}
    assert read.histograms(Counted.BATCH)["main"] == Histogram({1: 20, 2: 20, 5: 40}, 200)
    assert read.histograms(Counted.CALL_TIME) == {}


def test_an_answer_and_its_time_are_counted_as_if_by_themselves() -> None:
    counts, apart = Counts(), Counts()
    for status, ms in ((200, 0.4), (200, 3.0), (503, 800.0), (200, 999_999.0)):
        counts.answered("hubspot", status, ms)
        apart.add(Counted.ANSWER, "hubspot", status)
        apart.observe(Counted.ANSWER_TIME, "", ms)
    assert counts._take() == apart._take()


def test_what_is_counted_in_a_transaction_goes_with_it(database: Database) -> None:
    counts = Counts()
    counts.observe(Counted.OPT_OUT_TIME, "main", -5)
    counts.observe(Counted.OPT_OUT_TIME, "main", 700_000_000)
    with suppress(ZeroDivisionError), database.write() as connection:
        lost = Counts()
        lost.add(Counted.RECEIVED, "hubspot")
        lost.write(connection)
        raise ZeroDivisionError
    with database.write() as connection:
        counts.write(connection)
    read = found(database)
    assert read.by_name(Counted.RECEIVED) == {}
    histogram = read.histograms(Counted.OPT_OUT_TIME)["main"]
    assert histogram == Histogram({500: 1, ABOVE: 1}, 700_000_000)
    assert SUM not in histogram.buckets
    with database.write() as connection:
        counts.write(connection)  # nothing is left in it
    assert found(database).histograms(Counted.OPT_OUT_TIME)["main"] == histogram


def test_counts_wait_for_a_database_that_is_busy(
    database: Database, opened: Callable[..., Database]
) -> None:
    impatient = opened(busy_timeout_s=0.1, statement_timeout_s=0.2)
    counts = Counts()
    counts.add(Counted.REFUSED, "hubspot", count=3)
    if database.is_sqlite:
        with database.write():
            counts.flush(impatient)
        counts.flush(impatient)
    else:
        with database.write() as connection:
            connection.exec_driver_sql("LOCK TABLE tally IN ACCESS EXCLUSIVE MODE")
            counts.flush(impatient)
        counts.flush(impatient)
    assert found(database).by_name(Counted.REFUSED) == {"hubspot": 3}


def test_a_flusher_writes_by_itself_and_at_its_end(database: Database) -> None:
    counts = Counts()
    flusher = Flusher(counts, database, every_s=0.01)
    counts.add(Counted.ANSWER, "", 404)
    flusher.start()
    flusher.start()
    until(lambda: found(database).by_mark(Counted.ANSWER) == {("", 404): 1}, 60)
    counts.add(Counted.ANSWER, "", 404)
    flusher.close()
    assert found(database).by_mark(Counted.ANSWER) == {("", 404): 2}


def test_counts_of_outcomes_and_counts_since_the_beginning_do_not_mix(database: Database) -> None:
    counts = Counts()
    counts.add(Counted.EVENT, "main")
    with database.write() as connection:
        counts.write(connection)
        tally.note(connection, [("main", "updated", 2)], 1_700_000_000_000)
    with database.write() as connection:
        tally.forget(connection, 2**61)
        assert tally.totals(connection) == {"main": {"updated": 2}}
        assert tally.series(connection, Span.HOUR, 0) == {}
    assert found(database).by_name(Counted.EVENT) == {"main": 1}
