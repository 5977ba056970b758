"""The audit: clean where promises are kept, and every way of breaking one is named."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress

import pytest
from sqlalchemy import text

from bridge.model import Lane, State
from bridge.operate import audit as run
from bridge.operate.audit import Audit, Report
from bridge.store import workers
from bridge.store.audit.found import Kind
from bridge.store.database import Connection, Database
from bridge.store.schema import NEVER

from .world import world

FIVE_YEARS = 1826 * 86_400_000


def audit(database: Database, *, full: bool = False) -> Report:
    return Audit(database, standing_period=FIVE_YEARS, full=full).run()


def codes(report: Report) -> set[tuple[str, int, str]]:
    return {(b.kind.value, b.id, b.broken.code) for b in report.breaches.values()}


@pytest.fixture
def kept(database: Database) -> Database:
    """A database in which every promise is kept.

    Ids are those of the order below; on PostgreSQL the duplicate costs an event id, so its event
    is number 3 on both engines.
    """
    with world(database) as w:
        w.updated("a", "+14155550101")  # delivery, event, outcome, lead 1
        copy = w.delivery()  # 2: a duplicate
        if database.is_sqlite:
            w.connection.exec_driver_sql("UPDATE sqlite_sequence SET seq = 2 WHERE name = 'event'")
        again = w.event(copy, "a")
        w.outcome(again, copy, None, campaign="", phone="", state=State.DUPLICATE, decided_at=w.now)
        w.opted_out("b", "+14155550102")  # 3, lead 2
        w.opted_out("c", "+14155550103", State.STANDING)  # 4, lead 3
        waits = w.delivery()  # 5: a look-up is due
        w.event(waits, "d", pending=True)
        w.delivery(done=False)  # 6: nobody has worked on it
        several = w.delivery()  # 7: two events, the first of which waits
        first, second = w.event(several, "e"), w.event(several, "f", 1)
        assert (again, first, second) == (3, 7, 8)
        w.outcome(first, several, w.lead("+14155550104"), phone="+14155550104", key="e")
        skipped = {"campaign": "", "phone": "", "state": State.SKIPPED}
        w.outcome(second, several, None, key="f", decided_at=w.now, **skipped)
    return database


def test_kept_promises_are_clean_and_counted(kept: Database) -> None:
    for full in (False, False, True):
        report = audit(kept, full=full)
        assert codes(report) == set()
        assert report.counts[Kind.DELIVERY] == {("hubspot", "done"): 6, ("hubspot", "stored"): 1}
        assert report.counts[Kind.EVENT] == {("hubspot", "done"): 6, ("hubspot", "pending"): 1}
        assert report.counts[Kind.OUTCOME] == {
            ("main", "updated"): 2,
            ("main", "standing"): 1,
            ("main", "waiting"): 1,
            ("", "duplicate"): 1,
            ("", "skipped"): 1,
        }
        lanes = {("main", "idle"): 2, ("main", "standing"): 1, ("main", "first"): 1}
        assert report.counts[Kind.LEAD] == lanes


LEDGER_OF_NOBODY = '{"do_not_call":[true,1,"z",false]}'

BREAKS: list[tuple[str, str, tuple[int, str]]] = [
    ("UPDATE delivery SET state = 'lost' WHERE id = 1", "delivery", (1, "unknown-state")),
    ("UPDATE event SET state = 'lost' WHERE id = 1", "event", (1, "unknown-state")),
    ("UPDATE outcome SET state = 'lost' WHERE id = 1", "outcome", (1, "unknown-state")),
    ("DELETE FROM event WHERE id = 1", "delivery", (1, "done-without-events")),
    ("UPDATE delivery SET state = 'stored' WHERE id = 1", "delivery", (1, "stored-with-events")),
    ("DELETE FROM event WHERE id = 7", "delivery", (7, "events-missing")),
    ("DELETE FROM delivery WHERE id = 1", "event", (1, "no-delivery")),
    ("DELETE FROM outcome WHERE id = 1", "event", (1, "no-outcome")),
    (f"UPDATE event SET due_at = {NEVER} WHERE id = 6", "event", (6, "never-looked-up")),
    ("UPDATE event SET dedupe_key = NULL WHERE id = 8", "event", (8, "no-key")),
    ("UPDATE event SET duplicate_of = 99 WHERE id = 3", "event", (3, "no-original")),
    ("UPDATE event SET duplicate_of = 4 WHERE id = 3", "event", (3, "no-original")),
    ("UPDATE outcome SET state = 'skipped' WHERE id = 2", "event", (3, "wrong-duplicate")),
    ("UPDATE outcome SET state = 'duplicate' WHERE id = 6", "event", (8, "wrong-duplicate")),
    ("UPDATE outcome SET event_id = 7 WHERE id = 6", "event", (7, "two-ends")),
    ("UPDATE outcome SET event_id = 99 WHERE id = 6", "outcome", (6, "no-event")),
    ("UPDATE outcome SET delivery_id = 1 WHERE id = 6", "outcome", (6, "no-event")),
    ("UPDATE outcome SET lead_id = 99 WHERE id = 5", "outcome", (5, "no-lead")),
    ("UPDATE outcome SET lead_id = NULL WHERE id = 1", "outcome", (1, "no-lead")),
    ("UPDATE outcome SET lead_id = 3 WHERE id = 5", "outcome", (5, "no-lead")),
    ("UPDATE outcome SET state = 'waiting' WHERE id = 6", "outcome", (6, "no-lead")),
    ("UPDATE lead SET lane = 9 WHERE id = 4", "outcome", (5, "never-due")),
    (f"UPDATE lead SET due_at = {NEVER} WHERE id = 4", "outcome", (5, "never-due")),
    (f"UPDATE lead SET due_at = {NEVER} WHERE id = 4", "lead", (4, "lead-never-due")),
    ("UPDATE outcome SET state = 'in_flight' WHERE id = 5", "outcome", (5, "not-in-flight")),
    ("UPDATE outcome SET decided_at = NULL WHERE id = 1", "outcome", (1, "wrong-decision-time")),
    ("UPDATE outcome SET decided_at = 1 WHERE id = 5", "outcome", (5, "wrong-decision-time")),
    ("UPDATE outcome SET batch_id = NULL WHERE id = 1", "outcome", (1, "not-answered")),
    ("UPDATE batch SET campaign = 'other' WHERE id = 1", "outcome", (1, "not-answered")),
    ("UPDATE batch SET calls = 0 WHERE id = 1", "outcome", (1, "not-answered")),
    ("UPDATE batch SET status = NULL WHERE id = 1", "outcome", (1, "not-answered")),
    ("UPDATE lead SET lease_until = 5 WHERE id = 1", "lead", (1, "leased-for-ever")),
    (f"UPDATE lead SET lease_until = {NEVER} WHERE id = 1", "lead", (1, "leased-for-ever")),
    ("UPDATE lead SET reassert = true WHERE id = 2", "lead", (2, "lead-never-due")),
    ("UPDATE lead SET opted_out = false WHERE id = 2", "lead", (2, "latch")),
    ("UPDATE lead SET opted_out = true WHERE id = 1", "lead", (1, "latch")),
    ("UPDATE outcome SET state = 'rejected' WHERE id = 3", "lead", (2, "opt-out-lost")),
    (
        "UPDATE outcome SET state = 'not_found', decided_at = accepted_at + 5 WHERE id = 4",
        "lead",
        (3, "opt-out-lost"),
    ),
    (
        "UPDATE lead SET ledger = '{}', opted_out = false WHERE id = 2",
        "outcome",
        (3, "opt-out-forgotten"),
    ),
    (
        f"UPDATE lead SET ledger = '{LEDGER_OF_NOBODY}' WHERE id = 2",
        "outcome",
        (3, "opt-out-forgotten"),
    ),
    ("UPDATE outcome SET opts_out = false WHERE id = 3", "outcome", (3, "wrong-opt-out")),
    ("UPDATE outcome SET opts_out = true WHERE id = 1", "outcome", (1, "wrong-opt-out")),
]


def test_every_way_of_breaking_a_promise_is_named_until_it_is_mended(kept: Database) -> None:
    with world(kept) as w:
        workers.beat(
            w.connection, name="w", host="h", pid=1, started_at=w.now, version="1", now=w.now
        )
    for statement, kind, (number, code) in BREAKS:
        assert (kind, number, code) in named(kept, statement), statement
    assert audit(kept).clean


class _Undone(Exception):  # noqa: N818 - reads as what it does
    pass


class Inside(Database):
    """A database as one transaction sees it."""

    def __init__(self, connection: Connection) -> None:
        self.is_sqlite = True  # nobody else's transactions are to be waited for
        self._inside = connection

    @contextmanager
    def read(self) -> Iterator[Connection]:
        yield self._inside

    @contextmanager
    def write(self, *, urgent: bool = False) -> Iterator[Connection]:  # noqa: ARG002
        yield self._inside


def named(database: Database, statement: str) -> set[tuple[str, int, str]]:
    """What an audit says inside a transaction that breaks something and is then undone."""
    found: set[tuple[str, int, str]] = set()
    with suppress(_Undone), database.write() as connection:
        connection.execute(text(statement))
        found = codes(audit(Inside(connection), full=True))
        raise _Undone
    return found


def test_what_is_final_and_right_is_read_once(kept: Database) -> None:
    first = audit(kept)
    assert first.looked_at == 7 + 7 + 6 + 4
    again = audit(kept)
    # the delivery, the event, both open outcomes and both leads that are not idle
    assert again.looked_at == 1 + 1 + 2 + 2
    assert again.counts == first.counts
    with world(kept) as w:
        w.updated("new", "+14155550109")
    third = audit(kept)
    assert third.looked_at == again.looked_at + 4
    assert third.counts[Kind.OUTCOME]["main", "updated"] == 3
    assert audit(kept, full=True).counts == third.counts


def test_what_ends_later_is_counted_once_and_looked_at_no_more(kept: Database) -> None:
    audit(kept)
    with world(kept) as w:
        w.decide(5, State.UPDATED)
        w.release(4)
    ended = audit(kept)
    assert ended.counts[Kind.OUTCOME]["main", "updated"] == 3
    assert ended.counts[Kind.OUTCOME]["main", "waiting"] == 0
    assert ended.clean
    assert audit(kept).looked_at == ended.looked_at - 2
    assert audit(kept).counts == audit(kept, full=True).counts


def test_a_breach_is_named_by_every_audit_until_it_is_mended(kept: Database) -> None:
    with kept.write() as connection:
        connection.execute(text("UPDATE outcome SET batch_id = NULL WHERE id = 1"))
    for _ in range(3):
        assert codes(audit(kept)) == {("outcome", 1, "not-answered")}
    with kept.write() as connection:
        connection.execute(text("UPDATE outcome SET batch_id = 1 WHERE id = 1"))
    report = audit(kept)
    assert report.clean
    assert report.counts == audit(kept, full=True).counts


def test_an_opt_out_whose_end_breaks_a_promise_is_found_when_it_ends(kept: Database) -> None:
    audit(kept)
    with world(kept) as w:
        w.decide(4, State.NOT_FOUND)
        w.release(3, ledger={"do_not_call": [True, w.event_time, "c", False]}, opted_out=True)
    assert codes(audit(kept)) == {("lead", 3, "opt-out-lost")}
    assert codes(audit(kept)) == {("lead", 3, "opt-out-lost")}


def test_an_opt_out_may_end_unconfirmed_once_its_period_is_over(kept: Database) -> None:
    with world(kept) as w:
        w.now += FIVE_YEARS + 1
        w.decide(4, State.NOT_FOUND)
        w.release(3, ledger={"do_not_call": [True, w.event_time, "c", False]}, opted_out=True)
    assert audit(kept).clean


def test_an_opt_out_that_a_shorter_period_ended_is_named_once_that_is_raised(
    kept: Database,
) -> None:
    """Nobody asserts it, and by the setting of now somebody should; until it is said again."""
    month = FIVE_YEARS // 60
    with world(kept) as w:
        w.now += month
        w.decide(4, State.NOT_FOUND)
        ledger = {"do_not_call": [True, w.event_time, "c", False]}
        w.release(3, ledger=ledger, opted_out=True)
    assert Audit(kept, standing_period=month, full=True).run().clean
    assert codes(audit(kept, full=True)) == {("lead", 3, "opt-out-lost")}
    with world(kept) as w:
        lead = w.lead("+14155550103", Lane.OPT_OUT)
        said = {"key": "c", "fields": {"do_not_call": True}, "opts_out": True, "replay_id": 1}
        w.outcome(5, 4, lead, phone="+14155550103", **said)
    assert audit(kept, full=True).clean


def test_an_opt_out_taken_over_from_another_campaign_needs_no_outcome(kept: Database) -> None:
    with world(kept) as w:
        ledger = {"do_not_call": [True, w.event_time, "of another campaign", False]}
        w.release(w.lead("+14155550106"), ledger=ledger, opted_out=True)
    assert audit(kept).clean


def test_rows_that_are_gone_are_noticed_by_a_full_audit(kept: Database) -> None:
    audit(kept)
    with kept.write() as connection:
        connection.execute(text("DELETE FROM delivery WHERE id = 2"))
        connection.execute(text("DELETE FROM event WHERE id = 3"))
        connection.execute(text("DELETE FROM outcome WHERE id = 2"))
    gone = {
        (b.kind.value, b.broken.code, b.detail) for b in audit(kept, full=True).breaches.values()
    }
    assert gone == {
        ("delivery", "rows-gone", "1 of 7 rows up to 7"),
        ("event", "rows-gone", "1 of 7 rows up to 8"),
        ("outcome", "rows-gone", "1 of 6 rows up to 6"),
    }


def test_pages_make_no_difference(kept: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = audit(kept, full=True)
    monkeypatch.setattr(run, "PAGE", 2)
    monkeypatch.setattr(run, "AGAIN", 1)
    monkeypatch.setattr(run, "SNAPSHOT_S", -1.0)
    assert audit(kept, full=True).counts == whole.counts
    for _ in range(2):
        paged = audit(kept)
        assert paged.counts == whole.counts
        assert paged.clean
        assert paged.snapshots > 5


def test_ids_given_out_before_an_open_transaction_are_not_passed_over(
    kept: Database, opened: Callable[..., Database], monkeypatch: pytest.MonkeyPatch
) -> None:
    if kept.is_sqlite:
        pytest.skip("SQLite gives ids out in the order of commits")
    monkeypatch.setattr(run, "SETTLE_S", 0.3)
    with world(opened()) as late:
        late.delivery()  # has an id below those that follow, and is not there yet
        with world(kept) as w:
            w.updated("quick", "+14155550110")
        during = audit(kept)
        assert during.counts[Kind.OUTCOME]["main", "updated"] == 3
        assert during.clean
    after = audit(kept)
    assert codes(after) == {("delivery", 8, "done-without-events")}


def test_two_audits_at_once_count_nothing_twice(
    kept: Database, opened: Callable[..., Database], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "PAGE", 1)
    barrier = threading.Barrier(2)
    others = [opened(), opened()]

    def one(database: Database) -> Report:
        barrier.wait(20)
        return audit(database)

    with ThreadPoolExecutor(2) as pool:
        assert all(report.clean for report in pool.map(one, others))
    with world(kept) as w:
        w.decide(5, State.UPDATED)
        w.release(4)
    with ThreadPoolExecutor(2) as pool:
        assert all(report.clean for report in pool.map(one, others))
    assert audit(kept).counts == audit(kept, full=True).counts


def test_an_audit_is_clean_while_others_write(
    kept: Database, opened: Callable[..., Database], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "PAGE", 20)
    monkeypatch.setattr(run, "SNAPSHOT_S", 0.01)
    writer, done = opened(), threading.Event()

    def write() -> int:
        count = 0
        while not done.is_set() and count < 200:
            with world(writer) as w:
                w.updated(f"key {count}", f"+1415556{count:04}")
            count += 1
        return count

    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(write)
        try:
            for _ in range(3):
                report = audit(kept)
                assert codes(report) == set()
        finally:
            done.set()
        count = writing.result(60)
    report = audit(kept)
    assert report.clean
    assert report.counts[Kind.OUTCOME]["main", "updated"] == 2 + count
    assert report.counts == audit(kept, full=True).counts
