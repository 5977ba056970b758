"""Campaigns, their condition and pauses; what people did; lapsed opt-outs; workers' beat."""

from __future__ import annotations

from dataclasses import replace

from bridge.model import Called, State
from bridge.store import campaigns, lapses, operator_actions, pauses, workers
from bridge.store.campaigns import Condition
from bridge.store.database import Connection, Database
from bridge.store.pauses import Pause

from .rows import NOW

MAIN = Called("id=1", "")
PAUSED = Condition("paused", "HTTP 401", NOW, NOW + 300_000, 0, status=401)


def test_a_failure_closes_a_campaign_and_the_later_time_counts(database: Database) -> None:
    busy = Condition("backoff", "HTTP 429", 0, NOW + 60_000, 1, status=429)
    broken = Condition("backoff", "HTTP 500", 0, NOW + 1_000, 1, status=500)
    with database.write() as connection:
        assert campaigns.close(connection, "main", NOW, busy) is None, "nobody has greeted it"
        assert campaigns.called(connection, "main") is None
        campaigns.greet(connection, "main", MAIN, NOW)
        campaigns.greet(connection, "other", Called("id=2", ""), NOW)
        assert campaigns.called(connection, "main") == MAIN
        campaigns.close(connection, "main", NOW, busy)
        after = campaigns.close(connection, "main", NOW + 5, broken)
        assert after == Condition("backoff", "HTTP 500", NOW + 5, NOW + 60_000, 1, 500, 0, 2)
        assert campaigns.conditions(connection) == {"main": after, "other": Condition(since=NOW)}


def test_since_when_a_campaign_is_closed_stays_while_the_reason_does(database: Database) -> None:
    with database.write() as connection:
        campaigns.greet(connection, "main", MAIN, NOW - 1)
        campaigns.close(connection, "main", NOW, PAUSED)
        after = campaigns.close(connection, "main", NOW + 300_000, PAUSED)
        assert after is not None
        assert after.since == NOW


def test_a_probe_opens_a_campaign_unless_something_was_noted_meanwhile(database: Database) -> None:
    with database.write() as connection:
        campaigns.greet(connection, "main", MAIN, NOW)
        first = campaigns.close(connection, "main", NOW, PAUSED)
        second = campaigns.close(connection, "main", NOW + 1, PAUSED)
        assert first is not None
        assert second is not None
        stale = campaigns.open_again(connection, "main", NOW + 2, seen=first.changes)
        assert stale == second
        fresh = campaigns.open_again(connection, "main", NOW + 3, seen=second.changes)
        assert fresh == Condition(since=NOW + 3, changes=second.changes + 1)


def test_a_probe_opens_a_campaign_that_was_wanted_to_be_tried_meanwhile(
    database: Database,
) -> None:
    with database.write() as connection:
        campaigns.greet(connection, "main", MAIN, NOW)
        seen = campaigns.close(connection, "main", NOW, PAUSED)
        assert seen is not None
        assert campaigns.probe_soon(connection, ["main"], NOW + 1) == 1
        after = campaigns.open_again(connection, "main", NOW + 2, seen=seen.changes)
        assert after is not None
        assert after.condition == "open"


def test_a_campaign_that_another_has_opened_is_not_probed(database: Database) -> None:
    with database.write() as connection:
        campaigns.greet(connection, "main", MAIN, NOW)
        closed = campaigns.close(connection, "main", NOW, replace(PAUSED, not_before=NOW))
        assert closed is not None
        campaigns.open_again(connection, "main", NOW + 1, seen=closed.changes)
        assert not campaigns.claim_probe(connection, "main", NOW + 2, NOW + 10_000)


def test_of_all_workers_one_has_the_probe_until_its_time_is_over(database: Database) -> None:
    with database.write() as connection:
        campaigns.greet(connection, "main", MAIN, NOW)
        campaigns.close(connection, "main", NOW, PAUSED)
        later = NOW + 300_000
        assert not campaigns.claim_probe(connection, "main", later - 1, later + 10_000)
        assert campaigns.claim_probe(connection, "main", later, later + 10_000)
        assert not campaigns.claim_probe(connection, "main", later + 9_999, later + 20_000)
        assert campaigns.claim_probe(connection, "main", later + 10_000, later + 20_000)
        campaigns.keep_probe(connection, "main", later + 30_000)
        assert not campaigns.claim_probe(connection, "main", later + 29_999, later + 40_000)
        campaigns.keep_probe(connection, "main", later + 25_000)
        campaigns.release_probe(connection, "main", later + 25_000)
        assert not campaigns.claim_probe(connection, "main", later + 20_001, later + 30_000)
        campaigns.release_probe(connection, "main", later + 30_000)
        assert campaigns.claim_probe(connection, "main", later + 20_001, later + 30_000)
        campaigns.release_probe(connection, "main", later + 30_000)
        campaigns.keep_probe(connection, "main", later + 40_000)
        assert campaigns.claim_probe(connection, "main", later + 20_001, later + 30_000)


def test_those_that_one_status_closed_are_tried_at_once(database: Database) -> None:
    with database.write() as connection:
        for name, status in (("a", 401), ("b", 401), ("c", 404), ("d", None), ("e", 401)):
            campaigns.greet(connection, name, Called(name, ""), NOW)
            if status:
                campaigns.close(connection, name, NOW, replace(PAUSED, status=status))
        # one that is being tried is left to its own answer
        assert campaigns.claim_probe(connection, "e", NOW + 300_000, NOW + 300_010)
        assert campaigns.probe_soon(connection, ["a", "c", "d", "e"], NOW + 1, status=401) == 1
        found = campaigns.conditions(connection)
        assert {name: one.not_before for name, one in found.items()} == {
            "a": NOW + 1,
            "b": NOW + 300_000,
            "c": NOW + 300_000,
            "d": 0,
            "e": NOW + 300_000,
        }


def test_a_pause_by_hand_keeps_its_time_and_is_apart_from_the_condition(
    database: Database,
) -> None:
    with database.write() as connection:
        assert not pauses.resume(connection, "main")
        pauses.pause(connection, "main", Pause(NOW, "ann@here", "rebuilding", False))
        campaigns.greet(connection, "main", MAIN, NOW + 1)
        pauses.pause(connection, "main", Pause(NOW + 2, "bob@there", "still", True))
        assert pauses.pauses(connection) == {"main": Pause(NOW, "bob@there", "still", True)}
        assert campaigns.conditions(connection)["main"].condition == "open"
        assert pauses.resume(connection, "main")
        assert pauses.pauses(connection) == {}


def test_what_people_did_is_listed_newest_first_and_paged(database: Database) -> None:
    with database.write() as connection:
        ids = [
            operator_actions.note(
                connection,
                actor="ann@here",
                action="campaign.pause",
                subject=subject,
                details={"reason": "ü"},
                now=NOW + number,
            )
            for number, subject in enumerate(["main", "other", "main"])
        ]
        rows = operator_actions.listing(connection)
        assert [row["id"] for row in rows] == ids[::-1]
        assert rows[0]["details"] == {"reason": "ü"}
        assert (rows[0]["actor"], rows[0]["action"]) == ("ann@here", "campaign.pause")
        assert rows[0]["at"] == NOW + 2
        [older] = operator_actions.listing(connection, subject="main", before=ids[2])
        assert older["id"] == ids[0]


def test_an_opt_out_that_ended_unconfirmed_is_counted_once(database: Database) -> None:
    with database.write() as connection:
        lapses.add(connection, "main", [(1, State.NOT_FOUND), (2, State.REJECTED)], NOW)
        lapses.add(connection, "main", [(2, State.REJECTED)], NOW + 10)
        lapses.add(connection, "other", [(3, State.UNCONFIRMED)], NOW + 10)
        lapses.add(connection, "other", [], NOW + 10)
        assert lapses.since(connection, NOW) == {"main": 2, "other": 1}
        assert lapses.since(connection, NOW + 1) == {"other": 1}


def beat(connection: Connection, name: str, now: int) -> None:
    workers.beat(connection, name=name, host="h", pid=1, started_at=NOW, version="1", now=now)


def test_a_worker_of_a_clock_that_was_ahead_is_forgotten_unless_it_beats_again(
    database: Database,
) -> None:
    with database.write() as connection:
        beat(connection, "gone", NOW + 3_600_000)
        beat(connection, "there", NOW + 3_600_000)
        beat(connection, "there", NOW)
        assert [one.name for one in workers.beats(connection)] == ["there"]
        assert workers.last_beat(connection) == NOW


def test_workers_beat_leave_and_are_forgotten_after_a_day(database: Database) -> None:
    with database.write() as connection:
        assert workers.last_beat(connection) is None
        beat(connection, "one", NOW)
        beat(connection, "two", NOW + 5)
        assert workers.last_beat(connection) == NOW + 5
        workers.leave(connection, "two")
        assert workers.last_beat(connection) == NOW
        beat(connection, "three", NOW + 86_400_001)
        names = connection.exec_driver_sql("SELECT name FROM worker").scalars().all()
        assert names == ["three"]
