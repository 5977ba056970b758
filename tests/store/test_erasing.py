"""Old data and people who ask for it are erased; what is open, or keeps people uncalled, stays."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import text

from bridge.clock import now_ms
from bridge.model import ContactRef, Link, State
from bridge.operate.audit import Audit
from bridge.steps.erase import ages, erase_now, erase_old, erase_people
from bridge.store import contacts, digest, erasures, outcomes, retention
from bridge.store.database import Database
from bridge.store.erasures import Wanted
from bridge.store.retention import Sweep

from .world import world

DAY = 86_400_000
NOBODY, JANE, STANDS, OTHER = "+14155550101", "+14155550102", "+14155550103", "+14155550104"
JANES = ContactRef("33", "42")


def rows(database: Database, columns: str, table: str) -> list[tuple[Any, ...]]:
    with database.read() as connection:
        found = connection.execute(text(f"SELECT {columns} FROM {table} ORDER BY id"))
        return [tuple(row) for row in found]


def erased(database: Database, table: str) -> list[int]:
    return [row[0] for row in rows(database, "id, erased_at", table) if row[1] is not None]


def by_phone(database: Database, phone: str) -> list[int]:
    with database.read() as connection:
        return [row["id"] for row in outcomes.listing(connection, phones=[phone])]


def sound(database: Database) -> bool:
    """No promise is broken by what was erased."""
    return Audit(database, standing_period=1826 * DAY, full=True).run().clean


def wait_in_vain(database: Database, number: int) -> None:
    """A week goes by, and nobody takes in what is of the source that is away."""
    for at in (now_ms(), now_ms() + erasures.UNREAD_MS):
        with database.write() as connection:
            erasures.purge(connection, number, at, taken_in={"hubspot"})


def tidy(database: Database, *, body_days: float, person_days: float) -> None:
    for what in Sweep:
        with database.write() as connection:
            retention.begin(connection, what)
    while erase_old(database, ages(now_ms(), body_days, person_days)):
        pass


@pytest.fixture
def old(database: Database) -> Iterator[Database]:
    """Fifty days old: confirmed, opted out, standing, dead, pending, stored; and one of today."""
    with world(database) as w:
        w.now -= 50 * DAY
        w.updated("a", NOBODY)  # 1
        w.opted_out("b", JANE)  # 2
        w.opted_out("c", STANDS, State.STANDING)  # 3
        dead = w.delivery()  # 4
        event = w.event(dead, "d")
        final = {"campaign": "", "phone": "", "state": State.DEAD, "message": "quotes Jane"}
        w.outcome(event, dead, None, key="d", decided_at=w.now, **final)
        w.event(w.delivery(), "e", pending=True)  # 5
        w.delivery(done=False)  # 6, of a source that is away
        w.connection.execute(text("UPDATE delivery SET source = 'away' WHERE state = 'stored'"))
    with world(database) as w:
        w.updated("today", OTHER)  # 7
    yield database
    assert sound(database)


def test_raw_requests_go_after_their_days_and_their_hash_stays(old: Database) -> None:
    with old.read() as connection:
        made = digest.load(connection).of_bytes(b'{"raw": "\x00\xff bytes"}')
    tidy(old, body_days=30, person_days=400)
    assert erased(old, "delivery") == [1, 2]
    assert rows(old, "body, headers, query, address, body_hash", "delivery")[0] == (
        b"",
        "{}",
        "{}",
        "",
        made,
    )
    assert erased(old, "outcome") == []
    tidy(old, body_days=30, person_days=40)
    assert erased(old, "delivery") == [1, 2, 4]


def test_persons_go_after_their_days_but_not_opt_outs_in_force(old: Database) -> None:
    tidy(old, body_days=30, person_days=40)
    assert erased(old, "outcome") == [1, 4]
    shown = rows(old, "phone, fields, message", "outcome")
    assert shown[0][0].startswith("#")
    assert shown[0][1] == "{}"
    assert "Jane" not in shown[3][2]
    assert [row[0] for row in shown[1:3]] == [JANE, STANDS]
    assert by_phone(old, NOBODY) == [1]  # whoever knows the number still gets the answer
    leads = rows(old, "phone, ledger", "lead")
    assert leads[0][0].startswith("#")
    value, _, key, refused = json.loads(leads[0][1])["first_name"]
    assert (value, key, refused) == (None, "a", True)
    assert [row[0] for row in leads[1:]] == [JANE, STANDS, OTHER]
    # of whom is opted out nothing but that is needed, of what stands the rest may be sent yet
    names = [json.loads(row[1])["first_name"][0] for row in leads]
    assert names == [None, None, "Jane", "Zoë"]
    assert json.loads(leads[1][1])["do_not_call"][0] is True
    with old.read() as connection:
        assert retention.count(connection, Sweep.LEADS, ages(now_ms(), 30, 40), 0) == (0, None)


def test_what_ends_later_is_found_by_a_later_sweep(old: Database) -> None:
    tidy(old, body_days=30, person_days=400)
    with world(old) as w:
        w.decide(3, State.UPDATED)
        w.release(3, ledger={"do_not_call": [True, w.event_time, "c", False]}, opted_out=True)
    assert not erase_old(old, ages(now_ms(), 30, 400))  # it rests until tomorrow
    tidy(old, body_days=30, person_days=400)
    assert erased(old, "delivery") == [1, 2, 3]


def test_a_clock_that_was_ahead_puts_no_sweep_and_no_request_off(old: Database) -> None:
    number, _, _ = erase_now(old, Wanted("", phones=(JANE,)))
    tidy(old, body_days=400, person_days=400)
    for later, looked in ((erasures.LONGEST_PAUSE_MS, False), (400 * DAY, True)):
        with old.write() as connection:
            due = {"at": now_ms() + later}
            connection.execute(text("UPDATE erasure SET due_at = :at"), due)
            assert erasures.any_due(connection, now_ms()) is looked
            assert (erasures.next_due(connection, now_ms()) == number) is looked
    for later, swept in ((retention.REST_MS, []), (400 * DAY, [1])):
        with old.write() as connection:
            rest = {"at": now_ms() + later}
            connection.execute(text("UPDATE sweep SET next_at = :at"), rest)
        while erase_old(old, ages(now_ms(), 30, 400)):
            pass
        assert [one for one in erased(old, "delivery") if one != 2] == swept


def test_nothing_goes_where_no_days_are_set_and_a_dry_count_changes_nothing(old: Database) -> None:
    tidy(old, body_days=0, person_days=0)
    assert erased(old, "delivery") == erased(old, "outcome") == []
    with old.read() as connection:
        counted = [retention.count(connection, what, ages(now_ms(), 30, 40), 0) for what in Sweep]
    assert counted == [(3, None), (2, None), (2, None)]
    assert erased(old, "delivery") == erased(old, "outcome") == []


def test_pages_and_bounds_make_no_difference(
    old: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "PAGE", 2)
    monkeypatch.setattr(retention, "MOST", 1)
    tidy(old, body_days=30, person_days=40)
    assert erased(old, "delivery") == [1, 2, 4]
    assert erased(old, "outcome") == [1, 4]


def test_who_is_erased_leaves_only_what_keeps_an_opt_out_in_force(old: Database) -> None:
    number, count, waiting = erase_now(old, Wanted("", phones=(JANE,)))
    assert (count["deliveries"], count["outcomes"], count["leads"]) == (1, 1, 1)
    assert waiting == 1  # for what may name the number too
    wait_in_vain(old, number)
    assert erased(old, "delivery") == erased(old, "outcome") == [2]
    phone, ledger, opted_out = rows(old, "phone, ledger, opted_out", "lead")[1]
    assert (phone, bool(opted_out)) == (JANE, True)
    kept = json.loads(ledger)
    assert kept["do_not_call"][0] is True
    assert kept["first_name"][0] is None
    assert by_phone(old, JANE) == [2]
    request = rows(old, "id, wanted, subjects, done_at", "erasure")[0]
    assert request[0] == number
    assert request[3] is not None
    assert JANE not in json.dumps(request)
    with old.read() as connection:
        assert digest.load(connection).of(JANE) in request[2]


def test_who_may_be_called_leaves_no_number_and_may_come_back_and_be_erased_again(
    old: Database,
) -> None:
    for key in ("x", "y"):
        erase_now(old, Wanted("", phones=(NOBODY,)))
        assert NOBODY not in [row[0] for row in rows(old, "phone", "lead")]
        assert NOBODY not in [row[0] for row in rows(old, "phone", "outcome")]
        with world(old) as w:
            w.updated(key, NOBODY)
    assert len(by_phone(old, NOBODY)) == 3


def test_what_stands_is_waited_for(old: Database) -> None:
    number, count, waiting = erase_now(old, Wanted("", phones=(STANDS,)))
    assert (count.total(), waiting) == (0, 3)  # the delivery, the lead, and what nobody takes in
    wait_in_vain(old, number)
    assert rows(old, "done_at", "erasure")[0][0] is None
    assert STANDS in [row[0] for row in rows(old, "phone", "outcome")]
    with world(old) as w:
        w.decide(3, State.UPDATED)
        w.release(3, ledger={"do_not_call": [True, w.event_time, "c", False]}, opted_out=True)
        w.connection.execute(text("UPDATE erasure SET due_at = 0"))
    while erase_people(old):
        pass
    wait_in_vain(old, number)
    assert erased(old, "delivery") == erased(old, "outcome") == [3]
    assert rows(old, "done_at", "erasure")[0][0] is not None
    assert STANDS in [row[0] for row in rows(old, "phone", "lead")]


def test_a_request_that_waits_for_years_is_looked_at_once_a_day(old: Database) -> None:
    """Most deletions do, where a campaign does not have the lead; new ones must not wait for all.

    A worker takes a step every two seconds.
    """
    number, _, waiting = erase_now(old, Wanted("", phones=(STANDS,)))
    assert waiting
    for age, least, most in ((0, 1, 120), (3_600, 300, 600), (30 * 86_400, 86_400, 86_400)):
        now = now_ms() + age * 1000
        with old.write() as connection:
            erasures.purge(connection, number, now, taken_in={"hubspot"})
        pause = (rows(old, "due_at", "erasure")[0][0] - now) / 1000
        assert least <= pause <= most


def test_a_contact_is_erased_with_its_remembered_numbers_and_events_without_any(
    old: Database,
) -> None:
    with old.write() as connection:
        contacts.remember(connection, "hubspot", {JANES: ((JANE,), None, 0)}, now_ms())
        other = ContactRef("33", "43")
        contacts.remember(connection, "hubspot", {other: ((OTHER,), None, 0)}, now_ms())
        dead = connection.execute(text("SELECT id FROM event WHERE delivery_id = 4")).scalar()
        erasures.note_contacts(connection, [(int(dead or 0), "hubspot", [JANES])])
    _, count, waiting = erase_now(old, Wanted("hubspot", (JANES,)))
    assert (count["deliveries"], count["contacts"], waiting) == (2, 1, 0)
    assert erased(old, "delivery") == erased(old, "outcome") == [2, 4]
    assert "Jane" not in str(rows(old, "message", "outcome"))
    with old.read() as connection:
        assert list(contacts.recall(connection, "hubspot", [JANES, other])) == [other]


def test_an_event_of_the_contact_that_is_looked_up_still_needs_its_numbers(old: Database) -> None:
    with old.write() as connection:
        contacts.remember(connection, "hubspot", {JANES: ((JANE,), None, 0)}, now_ms())
        waits = connection.execute(text("SELECT id FROM event WHERE delivery_id = 5")).scalar()
        erasures.note_contacts(connection, [(int(waits or 0), "hubspot", [JANES])])
    _, count, waiting = erase_now(old, Wanted("hubspot", (JANES,)))
    assert (count.total(), waiting) == (0, 1)
    with old.read() as connection:
        assert contacts.recall(connection, "hubspot", [JANES])[JANES].phones == (JANE,)


def test_an_event_of_a_linked_contact_that_is_looked_up_still_needs_the_number(
    old: Database,
) -> None:
    other = ContactRef("33", "43")
    links = {JANES: (Link("43", 1, 1),), other: (Link("42", 1, 1),)}
    with old.write() as connection:
        said = {JANES: ((JANE,), None, 0), other: ((JANE,), None, 0)}
        contacts.remember(connection, "hubspot", said, now_ms(), links=links)
        found = connection.execute(text("SELECT id FROM event WHERE delivery_id = 5")).scalar()
        waits = int(found or 0)
        erasures.note_contacts(connection, [(waits, "hubspot", [other])])
    _, count, waiting = erase_now(old, Wanted("hubspot", (JANES,)))
    assert (count.total(), waiting) == (0, 1)
    with old.write() as connection:
        assert contacts.recall(connection, "hubspot", [other])[other].phones == (JANE,)
    with world(old) as w:
        final = {"campaign": "", "phone": "", "state": State.SKIPPED}
        w.outcome(waits, 5, None, key="e", decided_at=w.now, **final)
        w.connection.execute(text("UPDATE event SET state = 'done'"))
        w.connection.execute(text("UPDATE erasure SET due_at = 0"))
    while erase_people(old):
        pass
    with old.read() as connection:
        left = contacts.recall(connection, "hubspot", [JANES, other])
    assert {ref: (known.phones, known.links) for ref, known in left.items()} == {other: ((), ())}
