"""Opt-outs where two parts meet: clocks and memory, look-ups that fail for ever."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import text

from bridge.clock import now_ms
from bridge.enrich import LONGEST_WAIT_S, Lookups
from bridge.map.search import search
from bridge.model import ContactRef, Known, Lane, State
from bridge.operate.audit import Audit
from bridge.steps.claim import claim
from bridge.steps.greet import greet
from bridge.steps.memory import Memory
from bridge.store import campaigns, contacts, leads
from bridge.store.database import Connection, Database
from bridge.worker import LEFT_OFF_S

from .idle_worker import idle_worker
from .replaying import BOUNDS, CONSENT, HEAD, LOOK_UP, World
from .waiting import while_open

OLD, NEW = "+14155550101", "+14155550102"
HOUR = 3_600_000
KNOWING = HEAD.replace("event_id", "contacts: {ids: [contact]}\n  event_id")
BY_RECORD = """
rules:
  - name: opt-out
    when: contact.dnc == 'true'
    channel: voice
    lead: {phone_number: phone, do_not_call: {value: true}}
  - name: details
    when: name
    lead: {phone_number: phone, first_name: name}
"""
DETAILS = BY_RECORD.replace("channel: voice", "channel: none").replace(
    "do_not_call: {value: true}", "last_name: name"
)

AT_FIRST_SIGHT = BY_RECORD.replace("contact.dnc == 'true'", "name == 'A'").replace(
    "{phone_number: phone, do", "{phone_number: contact.phone, do"
)


@pytest.fixture
def world(database: Database, tmp_path: Path) -> World:
    folder = tmp_path / "mappings"
    folder.mkdir()
    return World(database, folder)


def said(world: World, phone: str) -> list[Any]:
    """What the events say of a number's consent, in the order in which they came."""
    return [row["fields"].get("do_not_call") for row in world.outcomes(phones=[phone])]


def test_an_opt_in_of_a_clock_that_is_ahead_hides_no_opt_out_that_comes_next(world: World) -> None:
    world.write(KNOWING + CONSENT, ("one",))
    now = now_ms()
    ahead = {"id": 1, "contact": "7", "phone": OLD, "dnc": False, "at": now + 280_000}
    after = {"id": 2, "contact": "7", "phone": OLD, "dnc": True, "at": now + 60_000}
    moved = {"id": 3, "contact": "7", "phone": NEW, "name": "A", "at": now + 61_000}
    for one in (ahead, after, moved):
        world.take_in(one)
    assert said(world, OLD) == [False, True, True]
    assert said(world, NEW) == [True]


@pytest.mark.parametrize(
    ("rules", "state"),
    [(BY_RECORD, "pending"), (AT_FIRST_SIGHT, "pending"), (DETAILS, "done")],
    ids=["undecided", "whose number is looked up", "details"],
)
def test_a_look_up_that_an_opt_out_hangs_on_is_never_given_up_on(
    world: World, rules: str, state: str
) -> None:
    world.write(HEAD + LOOK_UP + rules, ("one",))
    old = now_ms() - BOUNDS.lookup_give_up - HOUR
    receipt = world.receive(
        {"id": 1, "contact": "7", "name": "A", "phone": OLD, "at": old}, received_at=old
    )
    world.take_in()
    lookups = Lookups(world.mappings.mappings["crm"].lookups, search, wait=lambda _seconds: True)
    try:
        assert world.worker().look_up("crm", lookups) == 1
    finally:
        lookups.close()
    with world.database.read() as connection:
        row = connection.execute(text("SELECT state, trouble FROM event")).one()
    assert row.state == state
    assert bool(row.trouble) is (state == "pending")
    assert [s for _, s, _ in world.brief(receipt)] == ([] if state == "pending" else ["dead"])


SEVERAL = KNOWING.replace("receive:", "receive:\n  events: items")
NOT_ASKING = LOOK_UP.replace("when: contact", "when: ask")


def complete(world: World) -> None:
    """The look-ups of events that the mapping in force has nothing to ask for."""
    lookups = Lookups({}, search)
    while world.worker().look_up("crm", lookups):
        pass
    lookups.close()


def several(*events: dict[str, Any]) -> dict[str, Any]:
    return {"items": [{"at": 1_700_000_000_000 + one["id"], **one} for one in events]}


def test_what_a_look_up_shows_of_a_contact_is_known_to_its_next_event(world: World) -> None:
    world.write(KNOWING + LOOK_UP + CONSENT, ("one",))
    at = 1_700_000_000_000
    world.take_in({"id": 1, "contact": "7", "phone": OLD, "dnc": True, "at": at})
    world.write(KNOWING + NOT_ASKING + CONSENT, ("one",))
    complete(world)
    world.take_in({"id": 2, "contact": "7", "phone": NEW, "name": "A", "at": at + 1})
    assert said(world, NEW) == [True]


def test_an_edit_while_an_opt_out_is_looked_up_takes_no_other_event_for_it(world: World) -> None:
    first = {"id": 1, "contact": "6", "phone": OLD, "name": "A"}
    opt_out = {"id": 2, "contact": "7", "phone": NEW, "dnc": True}
    world.write(SEVERAL + LOOK_UP + CONSENT, ("one",))
    (receipt,) = world.take_in(several(first, opt_out))
    filtered = SEVERAL.replace("events: items", 'events: "items[?dnc]"')
    world.write(filtered + NOT_ASKING + CONSENT, ("one",))
    complete(world)
    rows = [(row["ordinal"], row["state"], row["phone"]) for row in world.outcomes(receipt=receipt)]
    assert sorted(rows) == [(0, "dead", ""), (1, "waiting", NEW)]
    # by its first mapping, what the filter dropped can be replayed, and is what it was
    number = world.replay(receipt=receipt, states=(State.DEAD,), mapping="original")
    assert world.brief(receipt, number) == [("", "dead", {})]  # its look-up fails


def test_an_edit_of_what_names_an_event_leaves_it_at_its_place(world: World) -> None:
    world.write(SEVERAL + LOOK_UP + CONSENT, ("one",))
    (receipt,) = world.take_in(
        several(
            {"id": 1, "contact": "6", "phone": OLD, "name": "A"},
            {"id": 2, "contact": "7", "phone": NEW, "dnc": True},
        )
    )
    world.write(SEVERAL.replace("[id]", "[id, contact]") + NOT_ASKING + CONSENT, ("one",))
    complete(world)
    rows = [(row["ordinal"], row["state"], row["phone"]) for row in world.outcomes(receipt=receipt)]
    assert sorted(rows) == [(0, "waiting", OLD), (1, "waiting", NEW)]


def test_a_replay_finds_its_events_again_wherever_a_new_filter_puts_them(world: World) -> None:
    lost = {"id": 2, "phone": "none", "real": NEW, "dnc": True}
    world.write(SEVERAL + CONSENT, ("one",))
    (receipt,) = world.take_in(several({"id": 1, "phone": OLD, "name": "A"}, lost))
    assert [state for _, state, _ in world.brief(receipt)] == ["waiting", "dead"]
    rules = CONSENT.replace("all: [phone,", "all: [real,")
    world.write(SEVERAL.replace("events: items", 'events: "items[?dnc]"') + rules, ("one",))
    number = world.replay(states=(State.DEAD,))
    rows = [row for row in world.outcomes(receipt=receipt) if row["replay_id"] == number]
    assert [(row["ordinal"], row["phone"], row["opts_out"]) for row in rows] == [(1, NEW, True)]


def test_what_waits_for_a_look_up_that_was_taken_out_is_completed_all_the_same(
    world: World, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.write(KNOWING + LOOK_UP + CONSENT, ("one",))
    (receipt,) = world.take_in({"id": 1, "contact": "7", "phone": OLD, "dnc": True})
    assert world.outcomes(receipt=receipt) == []
    world.write(KNOWING + CONSENT, ("one",))
    with idle_worker(world, url, monkeypatch) as (worker, started):  # after a restart
        worker._start_missing()
        assert "source:crm" in started
        assert "source:other" not in started
        complete(world)
        started.clear()
        worker._start_missing()
        assert "source:crm" not in started
    assert said(world, OLD) == [True]


def test_an_opt_in_beside_an_opt_out_that_is_repeated_maps_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the time of what is remembered has changed, and that decides."""
    world.write(KNOWING + CONSENT, ("one",))
    at = 1_700_000_000_000
    world.take_in({"id": 1, "contact": "7", "phone": OLD, "dnc": True, "at": at})
    world.receive({"id": 2, "contact": "7", "phone": NEW, "dnc": False, "at": at + 10})
    recall = Memory.recall

    def recall_and_lose_time(connection: Connection, seen: Any) -> Memory:
        monkeypatch.undo()
        found = recall(connection, seen)
        with world.database.write() as other:  # another worker, in a process of its own
            repeated = {ContactRef("", "7"): ((OLD,), True, at + 20)}
            contacts.remember(other, "crm", repeated, at + 20)
        return found

    monkeypatch.setattr(Memory, "recall", staticmethod(recall_and_lose_time))
    world.take_in()
    assert said(world, NEW) == [True]


def test_an_opt_in_by_a_clock_that_is_ahead_takes_no_opt_out_from_a_new_number(
    world: World,
) -> None:
    """What lets somebody be called is never newer than its receipt, for all numbers alike."""
    world.write(KNOWING + CONSENT, ("one",))
    now = now_ms()
    world.take_in({"id": 1, "contact": "7", "phone": OLD, "dnc": True, "at": now + 60_000})
    world.take_in({"id": 2, "contact": "7", "phone": NEW, "dnc": False, "at": now + 120_000})
    assert said(world, NEW) == [True]
    with world.database.read() as connection:
        assert contacts.recall(connection, "crm", [ContactRef("", "7")]) == {
            ContactRef("", "7"): Known((NEW, OLD), opted_out=True)
        }


def test_who_sends_by_mapping_files_of_a_moment_ago_tells_no_campaign_that_is_gone(
    world: World,
) -> None:
    """Else the campaign that has taken its place would never hear of the opt-out."""
    world.write(KNOWING + CONSENT, ("one",))
    before = world.mappings.campaigns["one"]
    after = replace(before, id="another")
    equipment = world.worker()._equipment
    greet(world.database, before, [before], [], lambda: False)
    world.take_in({"id": 1, "phone": OLD, "dnc": True, "at": 1_700_000_000_000})
    greet(world.database, after, [after], ["one"], lambda: False)
    assert not claim(equipment, before, Lane.OPT_OUT).claimed
    (claimed,) = claim(equipment, after, Lane.OPT_OUT).claimed
    assert claimed.plan.payload == {"do_not_call": True}


def test_a_campaign_of_the_same_id_at_another_api_hears_of_the_opt_outs(world: World) -> None:
    """A sandbox has confirmed them, say, under the id that the campaign has at the API as well."""
    world.write(KNOWING + CONSENT, ("one",))
    before = world.mappings.campaigns["one"]
    after = replace(before, url="https://api.example.com")
    equipment = world.worker()._equipment
    greet(world.database, before, [before], [], lambda: False)
    world.take_in({"id": 1, "phone": OLD, "dnc": True, "at": 1_700_000_000_000})
    assert claim(equipment, before, Lane.OPT_OUT).claimed
    with world.database.write() as connection:  # it was confirmed
        connection.execute(text("UPDATE outcome SET state = 'updated'"))
        connection.execute(text("UPDATE lead SET lane = 9, lease_until = 0"))
    for campaign, due in ((before, False), (after, True)):
        greet(world.database, campaign, [campaign], ["one"], lambda: False)
        with world.database.read() as connection:
            assert bool(leads.next_due(connection, "one")) is due
    assert not claim(equipment, before, Lane.OPT_OUT).claimed
    (claimed,) = claim(equipment, after, Lane.OPT_OUT).claimed
    assert claimed.plan.payload == {"do_not_call": True}


def test_what_comes_late_ends_without_a_call_and_leaves_the_lead_opted_out(world: World) -> None:
    world.write(KNOWING + CONSENT, ("one",))
    before = world.mappings.campaigns["one"]
    after = replace(before, id="another")
    equipment = world.worker()._equipment
    greet(world.database, before, [before], [], lambda: False)
    world.take_in({"id": 1, "phone": OLD, "dnc": True, "at": 1_700_000_000_001})
    assert claim(equipment, before, Lane.OPT_OUT).claimed
    with world.database.write() as connection:  # it was confirmed
        connection.execute(text("UPDATE outcome SET state = 'updated'"))
        connection.execute(text("UPDATE lead SET lane = 9, lease_until = 0"))
    (late,) = world.take_in({"id": 2, "phone": OLD, "dnc": False, "at": 1_700_000_000_000})
    with world.database.write() as connection:  # it waits for company no longer
        connection.execute(text("UPDATE lead SET due_at = 0"))
    assert not claim(equipment, before, Lane.FIRST).claimed
    assert [state for _, state, _ in world.brief(late)] == ["superseded"]
    with world.database.read() as connection:
        assert leads.next_due(connection, "one") == {}
    greet(world.database, after, [after], ["one"], lambda: False)
    (claimed,) = claim(equipment, after, Lane.OPT_OUT).claimed
    assert claimed.plan.payload == {"do_not_call": True}


def test_a_campaign_whose_address_no_version_has_noted_is_the_same_one(world: World) -> None:
    world.write(KNOWING + CONSENT, ("one",))
    campaign = world.mappings.campaigns["one"]
    greet(world.database, campaign, [campaign], [], lambda: False)
    with world.database.write() as connection:
        connection.execute(text("UPDATE campaign SET api_address = ''"))
        assert campaigns.still(connection, "one", campaign.called)
    greet(world.database, campaign, [campaign], ["one"], lambda: False)
    with world.database.read() as connection:
        found = campaigns.known(connection, "one")
    assert found is not None
    assert (found[0].changes, found[1]) == (0, campaign.called)


def test_a_campaign_gets_another_id_before_a_claim_or_after_it_never_meanwhile(
    world: World, database: Database
) -> None:
    world.write(KNOWING + CONSENT, ("one",))
    before = world.mappings.campaigns["one"]
    after = replace(before, id="another")
    greet(database, before, [before], [], lambda: False)
    world.take_in({"id": 1, "phone": OLD, "dnc": True, "at": 1_700_000_000_000})

    def claimed(connection: Connection) -> list[str]:
        assert campaigns.still(connection, "one", before.called)
        (row,) = leads.claimable(connection, "one", Lane.OPT_OUT, now_ms(), 1)
        leads.claim(connection, [(row.id, {}, True)], owner="w", until=2**50)
        return [row.phone]

    def renamed() -> list[str]:
        return greet(database, after, [after], ["one"], lambda: False)

    while_open(database, claimed, renamed)
    with database.read() as connection:  # it was claimed, so the new one hears of it again
        assert connection.execute(text("SELECT reassert FROM lead")).scalar()


def test_a_greeting_by_another_id_that_broke_off_is_done_by_whoever_is_there(
    world: World, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody calls the campaign meanwhile: who knows the id before would take the opt-outs back
    from those who know the next one."""
    monkeypatch.setattr(leads, "AT_A_TIME", 1)
    world.write(KNOWING + CONSENT, ("one",))
    before = world.mappings.campaigns["one"]
    after = replace(before, id="another")
    greet(world.database, after, [after], [], lambda: False)
    for number, phone in enumerate((OLD, NEW)):
        world.take_in({"id": number, "phone": phone, "dnc": True, "at": 1_700_000_000_000})
    world.mappings = replace(world.mappings, campaigns={"one": after})
    equipment = world.worker()._equipment
    clock: Any = SimpleNamespace(now=1000.0)
    clock.monotonic = lambda: clock.now
    monkeypatch.setattr("bridge.worker.time", clock)
    with idle_worker(world, url, monkeypatch) as (worker, _):
        worker._start_missing()
        assert len(claim(equipment, after, Lane.OPT_OUT).claimed) == 2
        # one that begins with the files of before, and is killed in the middle of its greeting
        stopped = iter([False, False, True])
        assert greet(world.database, before, [before], ["one"], lambda: next(stopped, True)) == []
        for later in (0, LEFT_OFF_S - 1):  # others may be at it, by an edit not read here yet
            clock.now += later
            worker._start_missing()
            for campaign in (before, after):
                assert not claim(equipment, campaign, Lane.OPT_OUT).claimed
        clock.now += 1
        worker._start_missing()
    with world.database.read() as connection:
        assert campaigns.called(connection, "one") == after.called
        rows = connection.execute(text("SELECT lane, reassert FROM lead")).all()
    assert [(row.lane, bool(row.reassert)) for row in rows] == [(int(Lane.OPT_OUT), True)] * 2


@pytest.mark.parametrize("late", [False, True])
def test_an_opt_out_goes_to_a_new_number_by_its_own_time_whenever_that_is_heard_of(
    world: World, late: bool
) -> None:
    """That a number is somebody's is older than the opt-out, and comes before it or after it."""
    world.write(KNOWING + CONSENT, ("one",))
    at = 1_700_000_000_000
    belongs = {"id": 1, "contact": "7", "phone": NEW, "name": "A", "at": at}
    free = {"id": 2, "contact": "8", "phone": NEW, "dnc": False, "at": at + 10}
    opt_out = {"id": 3, "contact": "7", "phone": OLD, "dnc": True, "at": at + 20}
    for one in (free, opt_out, belongs) if late else (belongs, free, opt_out):
        world.take_in(one)
    payloads: dict[str, dict[str, Any]] = {}
    for lane in (Lane.OPT_OUT, Lane.FIRST):
        taken = claim(world.worker()._equipment, world.mappings.campaigns["one"], lane)
        for claimed in taken.claimed:
            payloads[claimed.lead.phone] = claimed.plan.payload
    assert payloads[OLD]["do_not_call"] is payloads[NEW]["do_not_call"] is True
    row = world.outcomes(phones=[NEW])[-1]
    assert row["event_time"] == at + 20
    assert ("left out first_name" in row["message"]) is late


@pytest.mark.parametrize("late", [False, True])
def test_two_contacts_of_one_event_share_an_opt_out_that_is_newer_than_it(
    world: World, late: bool
) -> None:
    """That they are one person is older than the opt-out, and comes before it or after it.

    The number is known by then, but as that of the one who may be called.
    """
    world.write(KNOWING + CONSENT, ("one",))
    at = 1_700_000_000_000
    merged = {"id": 1, "contact": ["7", "8"], "phone": NEW, "name": "A", "at": at}
    free = {"id": 2, "contact": "8", "phone": NEW, "dnc": False, "at": at + 10}
    opt_out = {"id": 3, "contact": "7", "phone": OLD, "dnc": True, "at": at + 20}
    for one in (free, opt_out, merged) if late else (merged, free, opt_out):
        world.take_in(one)
    (claimed,) = (
        claimed
        for claimed in claim(
            world.worker()._equipment, world.mappings.campaigns["one"], Lane.OPT_OUT
        ).claimed
        if claimed.lead.phone == NEW
    )
    assert claimed.plan.payload["do_not_call"] is True
    assert world.outcomes(phones=[NEW])[-1]["event_time"] == at + 20


def test_what_an_edited_mapping_can_read_is_read_when_its_crm_sends_it_again(world: World) -> None:
    """Whoever mends a file and has the CRM send once more has not sent it for nothing."""
    rules = "\nrules:\n" + CONSENT.split("rules:\n")[1]
    mended = rules.replace("to: boolean", "to: {boolean: {true: [never], false: [fine]}}")
    event = {"id": 1, "phone": OLD, "dnc": "never", "at": 1_700_000_000_000}
    world.write(HEAD + rules, ("one",))
    for _ in range(2):
        world.take_in(event)
    world.write(HEAD + mended, ("one",))
    world.take_in(event, event)
    world.take_in(event)
    first, *copies = world.outcomes()
    again = copies[1]
    told = [(row["state"], row["duplicate_of"]) for row in (first, *copies)]
    assert told == [
        (State.DEAD, None),
        (State.DUPLICATE, first["event_id"]),
        (State.WAITING, None),
        (State.DUPLICATE, again["event_id"]),
        (State.DUPLICATE, again["event_id"]),
    ]
    assert (again["opts_out"], again["key"]) == (True, first["key"])
    number = world.replay(states=(State.DEAD,), marks=True)  # nobody is called twice by that
    (row,) = (row for row in world.outcomes() if row["replay_id"] == number)
    assert (row["state"], row["event_id"]) == (State.SKIPPED, first["event_id"])
    assert row["message"] == f"it came again, and was read as event {again['event_id']}"
    assert Audit(world.database, standing_period=HOUR, full=True).run().clean


def test_a_clock_that_was_ahead_puts_no_opt_out_off_once_it_is_right(world: World) -> None:
    """Due times, leases and the look-ups of opt-outs are of a clock that was set back by a day."""
    world.write(KNOWING + CONSENT, ("one",))
    worker, campaign = world.worker(), world.mappings.campaigns["one"]
    world.take_in({"id": 1, "phone": OLD, "dnc": True, "at": 1_700_000_000_000})
    assert claim(worker._equipment, campaign, Lane.OPT_OUT).claimed
    world.take_in({"id": 2, "phone": NEW, "dnc": True, "at": 1_700_000_000_000})
    with world.database.write() as connection:
        for column, phone in (("lease_until", OLD), ("due_at", NEW)):
            connection.execute(
                text(f"UPDATE lead SET {column} = :ahead WHERE phone = :phone"),
                {"ahead": now_ms() + 24 * HOUR, "phone": phone},
            )
    assert worker.recover() == 1
    due = claim(worker._equipment, campaign, Lane.OPT_OUT).claimed
    assert sorted(item.lead.phone for item in due) == [OLD, NEW]


def test_an_opt_out_that_was_put_off_for_as_long_as_may_be_stays_so(world: World) -> None:
    """Else it would be tried again whenever somebody looks after lost leases."""
    world.write(KNOWING + LOOK_UP + CONSENT, ("one",))
    world.take_in({"id": 1, "contact": "7", "phone": OLD, "dnc": True, "at": 10**12})
    world.write(KNOWING + CONSENT, ("one",))
    world.take_in({"id": 2, "phone": NEW, "dnc": True, "at": 10**12})
    world.bounds = replace(world.bounds, backoff_most=5 * 60_000)
    worker = world.worker("patient")
    due = {
        "lead": now_ms() + world.bounds.backoff_most,
        "event": now_ms() + round(LONGEST_WAIT_S * 1000),
    }
    with world.database.write() as connection:
        for table, at in due.items():
            connection.execute(text(f"UPDATE {table} SET due_at = :at"), {"at": at})
    worker.recover()
    with world.database.read() as connection:
        for table, at in due.items():
            pending = "WHERE state = 'pending'" if table == "event" else ""
            rows = connection.execute(text(f"SELECT due_at FROM {table} {pending}")).scalars().all()
            assert rows == [at], table


@pytest.mark.parametrize(("later", "waits"), [(0, True), (24 * HOUR, False)])
def test_an_opt_out_that_stands_waits_for_no_clock_that_was_ahead(
    world: World, later: int, waits: bool
) -> None:
    """The pauses of the schedule are kept, up to the longest."""
    world.policy = replace(world.policy, standing_steps=(60_000, 2 * HOUR, HOUR))
    world.take_in({"id": 1, "phone": OLD, "dnc": True, "at": 10**12})
    due = now_ms() + 2 * HOUR + later
    with world.database.write() as connection:
        connection.execute(
            text("UPDATE lead SET lane = :lane, due_at = :due"),
            {"lane": int(Lane.STANDING), "due": due},
        )
    world.worker("of a schedule").recover()
    with world.database.read() as connection:
        rows = connection.execute(text("SELECT lane, due_at FROM lead")).all()
    assert {row.lane for row in rows} == {int(Lane.STANDING)}
    assert {row.due_at == due for row in rows} == {waits}
    assert waits or all(row.due_at <= now_ms() for row in rows)


def test_the_look_up_of_an_opt_out_waits_for_no_clock_that_was_ahead(world: World) -> None:
    world.write(KNOWING + LOOK_UP + CONSENT, ("one",))
    for number, dnc in enumerate((True, False)):
        world.take_in({"id": number, "contact": "7", "phone": OLD, "dnc": dnc, "at": 10**12})
    with world.database.write() as connection:
        connection.execute(text("UPDATE event SET due_at = :due"), {"due": now_ms() + 24 * HOUR})
    world.worker().recover()
    with world.database.read() as connection:
        rows = connection.execute(text("SELECT lane, due_at FROM event ORDER BY lane")).all()
    assert [(row.lane, row.due_at <= now_ms()) for row in rows] == [(0, True), (1, False)]
