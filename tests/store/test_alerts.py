"""What channels were told, who has a channel, what processes notice, and how silent sources are."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from http_receiver import HttpReceiver
from sqlalchemy import update

from bridge.model import Called, Campaign, Secret
from bridge.operate.alerts.book import Policy
from bridge.operate.alerts.heartbeat import undrained
from bridge.operate.alerts.slack import Slack
from bridge.operate.alerts.watch import Setup, Watch
from bridge.operate.concern import Kind
from bridge.operate.health import Health, Subject, concerns
from bridge.steps.rhythm import Rhythm
from bridge.store import adoption, alerts, campaigns, deliveries, notices, silences
from bridge.store.alerts import Entry
from bridge.store.database import Database
from bridge.store.notices import Notice
from bridge.store.schema import lead
from bridge.store.silences import DAY_MS, Usual

from .rows import NOW, a_delivery

LATE = Entry("opt_out_late", "", "waits", urgent=True, size=2, since=NOW - 5, first_at=NOW)
SILENT = Entry("source_silent", "crm", "is silent", False, 1, NOW, NOW, owed=True)


def test_a_channel_is_one_process_at_a_time_until_its_lease_ends(database: Database) -> None:
    with database.write() as connection:
        assert alerts.claim(connection, "slack", "one", NOW, NOW + 100)
        assert not alerts.claim(connection, "slack", "two", NOW + 99, NOW + 200)
        assert alerts.claim(connection, "mail", "two", NOW, NOW + 100), "another channel"
        assert alerts.claim(connection, "slack", "one", NOW + 99, NOW + 150), "renewed"
        assert not alerts.claim(connection, "slack", "two", NOW + 149, NOW + 200)
        assert alerts.claim(connection, "slack", "two", NOW + 150, NOW + 300)
        assert not alerts.holds(connection, "slack", "one")
        assert alerts.holds(connection, "slack", "two")
        alerts.let_go(connection, "slack", "one", NOW + 200)
        assert not alerts.claim(connection, "slack", "one", NOW + 200, NOW + 300)
        alerts.let_go(connection, "slack", "two", NOW + 200)
        assert alerts.claim(connection, "slack", "one", NOW + 200, NOW + 300)


def test_who_stands_in_waits_until_nobody_has_come_for_a_while(database: Database) -> None:
    with database.write() as connection:
        assert not alerts.claim(connection, "slack", "web", NOW, NOW + 100, grace=50)
        assert not alerts.claim(connection, "slack", "web", NOW + 49, NOW + 100, grace=50)
        assert alerts.claim(connection, "slack", "web", NOW + 50, NOW + 100, grace=50)
        alerts.let_go(connection, "slack", "web", NOW + 60)
        assert alerts.claim(connection, "slack", "web", NOW + 61, NOW + 90, grace=50), "its own"
        alerts.let_go(connection, "slack", "web", NOW + 70)
        assert alerts.claim(connection, "slack", "worker", NOW + 71, NOW + 200)


def test_what_a_channel_knows_is_kept_as_it_is(database: Database) -> None:
    both = {LATE.key: LATE, SILENT.key: SILENT}
    with database.write() as connection:
        alerts.keep(connection, "slack", {}, both)
        alerts.keep(connection, "mail", {}, {LATE.key: LATE})
        assert alerts.entries(connection, "slack") == both
    told = replace(LATE, told_at=NOW + 7, times=1, told_size=2, owed=True, gone_at=NOW + 9)
    with database.write() as connection:
        alerts.keep(connection, "slack", both, {told.key: told})
        assert alerts.entries(connection, "slack") == {told.key: told}
        assert alerts.listing(connection) == [("mail", LATE), ("slack", told)]


def test_a_channel_fails_since_its_first_failure_until_it_takes_a_message(
    database: Database,
) -> None:
    with database.write() as connection:
        alerts.claim(connection, "slack", "one", NOW, NOW + 100)
        alerts.failed(connection, "slack", NOW + 1, NOW + 6, "HTTP 500")
        alerts.failed(connection, "slack", NOW + 7, NOW + 17, "HTTP 502")
        found = alerts.channels(connection)["slack"]
        assert (found.failures, found.failing_since) == (2, NOW + 1)
        assert (found.not_before, found.trouble) == (NOW + 17, "HTTP 502")
        alerts.took(connection, "slack", NOW + 20)
        found = alerts.channels(connection)["slack"]
        assert (found.sent_at, found.failures, found.failing_since) == (NOW + 20, 0, None)
        assert (found.not_before, found.trouble, found.owner) == (0, "", "one")


def test_what_a_process_notices_counts_while_it_says_so(database: Database) -> None:
    wrong = Notice("w1", "clock_wrong", "host", "7 s ahead", 1, NOW, NOW + 100)
    edit = Notice("w1", "mapping_invalid", "host", "a mistake", 1, NOW, NOW + 100)
    other = Notice("w2", "clock_wrong", "host", "9 s ahead", 1, NOW, NOW + 50)
    with database.write() as connection:
        notices.note(connection, "w1", [wrong, edit])
        notices.note(connection, "w2", [other])
        assert notices.current(connection, NOW) == [wrong, other, edit]
        assert notices.current(connection, NOW + 50) == [wrong, edit]
        again = replace(wrong, text="8 s ahead", until=NOW + 200)
        notices.note(connection, "w1", [replace(again, since=NOW + 60)])
        assert notices.current(connection, NOW + 60) == [again], "since is when it began"
        notices.note(connection, "w1", [])
        assert notices.current(connection, NOW) == [other]
        notices.forget(connection, NOW + 60_051)
        assert notices.current(connection, NOW) == []


def test_the_longest_silence_of_each_day_is_kept_for_four_weeks(database: Database) -> None:
    day = NOW // DAY_MS * DAY_MS
    with database.write() as connection:
        for days, lasted in ((0, 5), (0, 9), (0, 3), (8, 4), (27, 2)):
            silences.note(connection, "crm", day + days * DAY_MS + 77, lasted)
        silences.note(connection, "other", day, 0)
        assert silences.usual(connection) == {"crm": Usual(9, 27), "other": Usual(0, 0)}
        silences.note(connection, "crm", day + 28 * DAY_MS, 1)
        assert silences.usual(connection)["crm"] == Usual(4, 20), "the first day is forgotten"


def test_silences_are_seen_as_they_end_and_not_by_who_slept_meanwhile(database: Database) -> None:
    clock = [0.0]
    rhythm = Rhythm(lambda: clock[0])
    day = NOW // DAY_MS * DAY_MS

    def look(seconds: float, *came: int) -> int | None:
        clock[0] += seconds
        with database.write() as connection:
            deliveries.add(
                connection, [a_delivery(source="crm", received_at=day + at) for at in came]
            )
        rhythm.look(database, ["crm", "never"])
        with database.read() as connection:
            found = silences.usual(connection).get("crm")
        return None if found is None else found.longest

    assert look(0) is None
    assert look(20, 1000) == 0, "a day is known from its first delivery"
    assert look(20, 2000) == 0
    assert look(20, 2000 + 700_000) == 700_000
    assert look(20, 2000 + 800_000) == 700_000
    assert look(5, 10_000_000) == 700_000, "it looks seldom"
    assert look(3600, 30_000_000) == 700_000, "it has slept"
    assert look(20, 31_000_000) == 1_000_000
    again = Rhythm(lambda: clock[0])
    again.look(database, ["crm"])
    clock[0] += 10
    rhythm = again
    assert look(20, 31_000_000 + 2_000_000) == 2_000_000, "after a restart as well"


@pytest.mark.parametrize("condition", ["open", "paused"])
def test_opt_outs_taken_over_that_do_not_go_out_hold_the_heartbeat_back(
    database: Database, monkeypatch: pytest.MonkeyPatch, condition: str
) -> None:
    """No outcome speaks for them, and their campaign may not be called."""
    campaign = Campaign("one", "id", "http://127.0.0.1:9", Secret("T", ("t",)))
    health = Health(
        Subject(database, sources=dict, campaigns=lambda: {"one": campaign},
                mapping_problem=lambda: None, need_url=dict)
    )  # fmt: skip
    refused = campaigns.Condition("paused", "HTTP 401", NOW, NOW, 1, 401)
    said = {"+14155550101": [True, 1, "k", False]}
    with database.write() as connection:
        campaigns.greet(connection, "one", Called("id", ""), NOW)
        if condition != "open":
            campaigns.close(connection, "one", NOW, refused)
        adoption.take_over(connection, "one", said, database.now_ms() - 30_000)
    assert undrained(concerns(health.health())) == []
    monkeypatch.setattr("bridge.operate.health.KEPT_S", 0)
    with database.write() as connection:
        connection.execute(update(lead).values(due_at=database.now_ms() - 70_000))
    [late] = undrained(concerns(health.health()))
    assert (late.kind, late.subject, late.urgent) == (Kind.OPT_OUT_LATE, "one", True)


# --------------------------------------------------------------------- two that tell at once


@pytest.fixture
def receiver() -> Iterator[HttpReceiver]:
    with HttpReceiver() as running:
        yield running


class Turns:
    """One process that tells; ``sleep`` lets it have so many turns."""

    def __init__(self, database: Database, receiver: HttpReceiver, name: str) -> None:
        health = Health(
            Subject(database, sources=dict, campaigns=dict, mapping_problem=lambda: None,
                    need_url=dict)
        )  # fmt: skip
        policy = Policy(wait=0, pause=0, repeat=(), clear=0)
        setup = Setup(database, health, policy, "bridge", "", name, 0.01, 2000)
        self.watch = Watch(setup, Slack(receiver.url, 2))

    def run(self, turns: int) -> None:
        left = iter(range(turns - 1))
        self.watch.run(lambda _: next(left, None) is not None)


def test_of_two_processes_one_tells_and_each_thing_once(
    opened: Callable[..., Database], receiver: HttpReceiver
) -> None:
    one, two = (Turns(opened(), receiver, name) for name in ("one", "two"))
    threads = [threading.Thread(target=each.run, args=(20,)) for each in (one, two)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # an empty bridge: no worker, no campaign, no source
    [call] = receiver.calls
    assert call.json["text"].startswith("*bridge: 3 new (2 urgent)*")


def test_a_clock_that_was_ahead_silences_no_channel_once_it_is_right(
    database: Database, receiver: HttpReceiver
) -> None:
    """A process has held it, sent by it and failed at last; then it died, and the clock was set."""
    ahead = database.now_ms() + DAY_MS
    with database.write() as connection:
        alerts.claim(connection, "slack", "gone", ahead, ahead + 100)
        alerts.took(connection, "slack", ahead)
        alerts.failed(connection, "slack", ahead, ahead + 100, "HTTP 500")
    Turns(database, receiver, "there").run(3)
    assert len(receiver.calls) == 1
    with database.read() as connection:
        found = alerts.channels(connection)["slack"]
    assert max(found.held_until, found.sent_at, found.not_before) < ahead


def test_what_was_told_is_known_to_the_next_process_and_what_was_not_is_told(
    opened: Callable[..., Database], receiver: HttpReceiver
) -> None:
    database = opened()
    receiver.answers.extend([500, "hang"])
    Turns(database, receiver, "one").run(1)
    with database.write() as connection:
        channel = alerts.channels(connection)["slack"]
        assert (channel.failures, channel.trouble[:8]) == (1, "HTTP 500")
        assert channel.not_before > 0
        entries = alerts.entries(connection, "slack")
        assert {entry.told_at for entry in entries.values()} == {None}
        assert all(entry.owed for entry in entries.values())
    for answer in ("hang", 200):
        with database.write() as connection:  # the pause goes by
            alerts.failed(connection, "slack", 0, 0, "")
        Turns(database, receiver, f"after {answer}").run(1)
    assert [call.answer for call in receiver.calls] == [500, "hang", 200]
    Turns(database, receiver, "last").run(5)
    assert len(receiver.calls) == 3
    with database.read() as connection:
        told = alerts.entries(connection, "slack")
        assert {kind for kind, _ in told} == {Kind.WORKER_GONE, Kind.NOT_CONFIGURED}
        assert all(entry.times == 1 for entry in told.values())
