"""A new campaign hears of the opt-outs that its sisters know."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import count, permutations
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from sqlalchemy import text

from bridge.errors import SchemaError
from bridge.forward.client import CampaignClient
from bridge.model import Answered, Called, Campaign, Lane, Result, Secret, Sent, Verdict
from bridge.record.gate import Gate, GatePolicy
from bridge.steps.greet import adopt_again, greet
from bridge.steps.send import Way, send
from bridge.store import adoption, campaigns, leads, outcomes, workers
from bridge.store.database import Connection, Database
from bridge.worker import ADOPT_AGAIN_S, LEFT_OFF_S

from .idle_worker import idle_worker
from .replaying import CONSENT, HEAD, RULES, World
from .rows import NOW, a_lead, an_outcome, released

OUT, FREE = "+14155550101", "+14155550102"
ENTRY = [True, NOW - 5, "k", False]
TOKEN = Secret("T", ("t",))


def a_campaign(name: str, api_id: str | None = None) -> Campaign:
    return Campaign(name=name, id=api_id or f"id-{name}", url="http://127.0.0.1:9", token=TOKEN)


def opted_out(
    connection: Connection, campaign: str, phone: str = OUT, entry: list[Any] = ENTRY
) -> int:
    """A lead whose opt-out is confirmed."""
    lead = a_lead(connection, phone, campaign=campaign)
    ledger = {"do_not_call": entry}
    leads.release(connection, [released(lead, ledger=ledger, opted_out=True)])
    return lead


def waiting(connection: Connection, campaign: str, phone: str, when: int, **more: Any) -> None:
    """An opt-out that no worker has claimed yet."""
    lead = a_lead(connection, phone, campaign=campaign, lane=Lane.OPT_OUT)
    same = {"campaign": campaign, "phone": phone, "event_time": when, "opts_out": True}
    new = an_outcome(when, lead, **same, fields={"do_not_call": True}, **more)
    outcomes.add(connection, [new])


def told(connection: Connection, campaign: str) -> dict[str, list[Any]]:
    """What stands in the lane of opt-outs of a campaign: phone → the word on consent."""
    rows = leads.claimable(connection, campaign, Lane.OPT_OUT, 2**61, 10_000)
    assert all(row.reassert for row in rows)
    return {row.phone: row.ledger["do_not_call"] for row in rows}


def never() -> bool:
    return False


class Confirming:
    """A campaign API that does what it is told, and keeps what of consent it was told."""

    def __init__(self, heard: list[tuple[str, Any]]) -> None:
        self.heard = heard

    def update_leads(self, _campaign: Campaign, batch: Sequence[Sent], heard: Any) -> Answered:
        self.heard += [(sent.phone, sent.payload.get("do_not_call")) for sent in batch]
        answer = Answered(tuple(Result(Verdict.CONFIRMED) for _ in batch), 200)
        heard(answer)
        return answer

    def way(self) -> Way:
        gate = Gate(GatePolicy(1, 1, 1), 1e6, lambda: 0.5)
        return Way(cast(CampaignClient, self), gate, lambda *_: True, lambda *_: None)


def test_confirmed_opt_outs_are_taken_over_once_and_are_due_at_once(database: Database) -> None:
    with database.write() as connection:
        last = opted_out(connection, "main")
        leads.release(connection, [released(a_lead(connection, FREE))])
        assert adoption.adopt(connection, "new", ["main"], NOW, after=0).after == last
        assert adoption.adopt(connection, "new", ["main"], NOW, after=last).after is None
        adoption.adopt(connection, "new", ["main"], NOW, after=0)
        (row,) = leads.claimable(connection, "new", Lane.OPT_OUT, NOW, 10)
    assert (row.phone, row.reassert) == (OUT, True)
    assert row.ledger == {"do_not_call": ENTRY}


@pytest.mark.parametrize(
    ("own", "keeps"),
    [
        (None, False),
        ([False, NOW, "z", False], True),  # newer
        ([False, NOW - 5, "z", False], False),  # at equal times an opt-out stands
        ([False, NOW - 9, "z", False], False),  # older
    ],
)
def test_a_lead_that_is_there_already_keeps_its_own_word_only_if_that_is_newer(
    database: Database, own: list[Any] | None, keeps: bool
) -> None:
    known = {"first_name": ["Ann", 1, "a", False]}
    with database.write() as connection:
        opted_out(connection, "main")
        lead = a_lead(connection, OUT, campaign="new")
        said = {} if own is None else {"do_not_call": own}
        leads.release(connection, [released(lead, ledger=known | said)])
        assert adoption.adopt(connection, "new", ["main"], NOW, after=0).held == 0
        found = leads.claimable(connection, "new", Lane.OPT_OUT, NOW, 10)
    expected = [] if keeps else [(True, known | {"do_not_call": ENTRY})]
    assert [(row.reassert, row.ledger) for row in found] == expected


@pytest.mark.parametrize("at_a_time", [1, 1000])
def test_of_what_several_sisters_know_the_newest_counts(
    database: Database, monkeypatch: pytest.MonkeyPatch, at_a_time: int
) -> None:
    """An opt-in that is newer than one of them takes back no opt-out that is newer still."""
    monkeypatch.setattr(adoption, "AT_A_TIME", at_a_time)
    sisters = ["a", "b", "c"]
    entries = ([True, 10, "k", False], [True, 30, "k", False], [True, 20, "z", False])
    phones = [f"+1415555020{n}" for n in range(6)]
    with database.write() as connection:
        for phone, order in zip(phones, permutations(entries), strict=True):
            for sister, entry in zip(sisters, order, strict=True):
                opted_out(connection, sister, phone, list(entry))
        after: int | None = 0
        while after is not None:
            after = adoption.adopt(connection, "new", sisters, NOW, after=after).after
        assert told(connection, "new") == dict.fromkeys(phones, entries[1])


def test_an_opt_out_that_was_never_sent_is_not_superseded_by_one_that_nobody_sends(
    database: Database,
) -> None:
    with database.write() as connection:
        lead = a_lead(connection, OUT, campaign="new", lane=Lane.OPT_OUT)
        older = [True, NOW - 9, "z", False]
        ledger = {"do_not_call": older}
        standing = released(lead, ledger=ledger, opted_out=True, lane=Lane.STANDING, due_at=NOW)
        leads.release(connection, [standing])
        opted_out(connection, "main")
        adoption.adopt(connection, "new", ["main"], NOW, after=0)
        assert told(connection, "new") == {OUT: ENTRY}


def test_what_waits_is_taken_over_in_parts_and_by_its_newest_word(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adoption, "AT_A_TIME", 1)
    with database.write() as connection:
        waiting(connection, "a", OUT, 7)
        waiting(connection, "b", OUT, 9, replay_id=3)
        waiting(connection, "a", OUT, 8)
        waiting(connection, "a", FREE, 6)
        waiting(connection, "stranger", "+14155550199", 6)
        parts = adoption.waiting(connection, ["a", "b"])
        for part in parts:
            assert adoption.take_over(connection, "new", part, NOW) == 0
        found = told(connection, "new")
    assert len(parts) == 2
    assert {phone: (entry[0], entry[1], entry[4]) for phone, entry in found.items()} == {
        OUT: (True, 9, 3),
        FREE: (True, 6, 0),
    }


def test_an_opt_out_that_comes_beside_the_greeting_is_taken_over_a_while_later(
    database: Database,
) -> None:
    """A worker that had not seen the new campaign took it in; and one lead was being sent."""
    both = [a_campaign("main"), a_campaign("new")]
    with database.write() as connection:
        campaigns.greet(connection, "main", Called("id-main", ""), NOW)
        opted_out(connection, "main", FREE)
        busy = a_lead(connection, FREE, campaign="new")
        leads.claim(connection, [(busy, {}, False)], owner="w", until=2**50)
    sisters = greet(database, both[1], both, ["main"], never)
    assert sisters == ["main"]
    with database.write() as connection:
        opted_out(connection, "main", OUT)
        assert told(connection, "new") == {}
    assert adopt_again(database, both[1], sisters, never) is False, "one lead is being sent"
    with database.write() as connection:
        assert told(connection, "new") == {OUT: ENTRY}
        leads.release(connection, [released(busy)])
    assert adopt_again(database, both[1], sisters, lambda: True) is False, "the worker ends"
    assert adopt_again(database, both[1], sisters, never)
    with database.write() as connection:
        assert told(connection, "new") == {OUT: ENTRY, FREE: ENTRY}
        assert campaigns.present(connection) == {"main", "new"}
    assert greet(database, both[1], both, ["main", "new"], never) == []
    with database.write() as connection:
        assert campaigns.note_away(connection, ["main"], NOW) == ["new"]
    assert greet(database, both[1], both, ["main", "new"], never) == ["main"]
    with database.write() as connection:
        assert campaigns.present(connection) == {"main"}, "until all was looked at once more"


def test_a_greeting_that_broke_off_or_was_not_completed_begins_anew(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adoption, "AT_A_TIME", 1)
    both = [a_campaign("main"), a_campaign("new")]
    with database.write() as connection:
        campaigns.greet(connection, "main", Called("id-main", ""), NOW)
        opted_out(connection, "main", OUT)
        opted_out(connection, "main", FREE)
    stopped = iter([False, True])
    assert greet(database, both[1], both, ["main"], lambda: next(stopped, True)) == []
    with database.write() as connection:
        assert told(connection, "new") == {OUT: ENTRY}
        assert campaigns.called(connection, "new") is None
    assert greet(database, both[1], both, ["main"], never) == ["main"]
    with database.write() as connection:
        assert told(connection, "new") == {OUT: ENTRY, FREE: ENTRY}
        refused = campaigns.Condition("backoff", "HTTP 429", NOW, NOW + 60_000, 1, 429)
        campaigns.close(connection, "new", NOW, refused)
    # its worker ends before it could look once more; the next one does all of it again
    with database.write() as connection:
        opted_out(connection, "main", "+14155550103")
    assert greet(database, both[1], both, ["main", "new"], never) == ["main"]
    with database.write() as connection:
        assert len(told(connection, "new")) == 3
        condition = campaigns.condition(connection, "new")
        assert condition is not None
        assert condition.not_before == NOW + 60_000, "how long to wait is not forgotten"


def test_what_is_confirmed_or_comes_during_the_search_is_taken_over(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adoption, "AT_A_TIME", 1)
    both = [a_campaign("main"), a_campaign("new")]
    late = "+14155550103"
    with database.write() as connection:
        campaigns.greet(connection, "main", Called("id-main", ""), NOW)
        waiting(connection, "main", OUT, 7)
        opted_out(connection, "main", FREE)
    looks = count(1)

    def meanwhile() -> bool:
        if next(looks) == 3:  # the search has come past both leads
            with database.write() as connection:
                connection.execute(text("UPDATE outcome SET state = 'updated'"))
                opted_out(connection, "main", OUT)
                waiting(connection, "main", late, 8)
        return False

    assert greet(database, both[1], both, ["main"], meanwhile) == ["main"]
    with database.write() as connection:
        assert sorted(told(connection, "new")) == [OUT, FREE, late]


def test_a_campaign_that_gets_another_name_takes_its_opt_outs_along(database: Database) -> None:
    old, new = a_campaign("old", "the same"), a_campaign("new", "the same")
    assert greet(database, old, [old], [], never) == []
    with database.write() as connection:
        opted_out(connection, "old")
    assert greet(database, new, [new], ["new"], never) == ["old"]
    with database.write() as connection:
        assert told(connection, "new") == {OUT: ENTRY}


@pytest.mark.parametrize(
    "other",
    [{"tenant": "b"}, {"url": "http://127.0.0.1:8"}, {"token": Secret("T", ("another",))}],
    ids=["tenant", "API", "token"],
)
def test_nothing_is_taken_over_from_the_campaigns_of_another_account(
    database: Database, other: dict[str, Any]
) -> None:
    both = [replace(a_campaign("main"), **other), a_campaign("new")]
    assert greet(database, both[0], both, [], never) == []
    with database.write() as connection:
        opted_out(connection, "main")
    assert greet(database, both[1], both, ["main"], never) == []
    with database.write() as connection:
        assert told(connection, "new") == {}


def test_a_campaign_takes_nothing_over_from_itself(database: Database) -> None:
    alone = a_campaign("main")
    assert greet(database, alone, [alone], [], never) == []
    with database.write() as connection:
        opted_out(connection, "main", OUT)
        assert campaigns.note_away(connection, [], NOW) == ["main"]
    assert greet(database, alone, [alone], ["main"], never) == []
    with database.write() as connection:
        assert told(connection, "main") == {}
        assert campaigns.present(connection) == {"main"}


def test_a_worker_takes_over_once_more_after_two_minutes(
    database: Database, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    crm = World(database, tmp_path)
    crm.write(HEAD + RULES, ("one",))
    clock: Any = SimpleNamespace(now=1000.0)
    clock.monotonic = lambda: clock.now
    monkeypatch.setattr("bridge.worker.time", clock)
    with idle_worker(crm, url, monkeypatch) as (worker, _):
        worker._start_missing()
        crm.write(HEAD + RULES, ("one", "two"))
        worker._start_missing()
        with database.write() as connection:
            opted_out(connection, "one")  # taken in by another worker, which knows only the first
        seen = []
        for later in (0, ADOPT_AGAIN_S - 1, 1, ADOPT_AGAIN_S):
            clock.now += later
            worker._start_missing()
            with database.write() as connection:
                seen.append((sorted(told(connection, "two")), campaigns.present(connection)))
    assert seen == [([], {"one"})] * 2 + [([OUT], {"one", "two"})] * 2


def test_a_long_take_over_holds_up_no_other_campaign_and_shows_that_the_worker_lives(
    database: Database, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adoption, "AT_A_TIME", 1)
    crm = World(database, tmp_path)
    crm.write(HEAD + RULES, ("two",))
    clock: Any = SimpleNamespace(now=1000.0)
    clock.monotonic = lambda: clock.now
    with idle_worker(crm, url, monkeypatch) as (worker, _):
        worker._start_missing()
    with database.write() as connection:
        for number in range(5):
            opted_out(connection, "two", f"+1415555030{number}")
    crm.write(HEAD + RULES, ("one", "two"))  # the new one stands first in the file
    monkeypatch.setattr("bridge.worker.time", clock)
    slow: list[tuple[float, bool, int | None]] = []
    with idle_worker(crm, url, monkeypatch) as (worker, started):
        plain = adoption.adopt

        def adopt(connection: Connection, *given: Any, **more: Any) -> adoption.Adopted:
            clock.now += 3
            served = "opt-outs of two" in started
            slow.append((clock.now, served, workers.last_beat(connection)))
            return plain(connection, *given, **more)

        monkeypatch.setattr(adoption, "adopt", adopt)
        worker._start_missing()
    assert len(slow) == 6
    assert all(served for _, served, _ in slow)
    beats = [beat for _, _, beat in slow if beat is not None]
    assert len(beats) == len(slow)
    assert len(set(beats)) > 3, "one between any two parts that take longer than a beat"


def test_a_long_take_over_ends_when_the_database_is_no_longer_for_this_version(
    database: Database, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adoption, "AT_A_TIME", 1)
    monkeypatch.setattr("bridge.worker.BEAT_EVERY_S", 0.0)
    crm = World(database, tmp_path)
    crm.write(HEAD + RULES, ("two",))
    with idle_worker(crm, url, monkeypatch) as (worker, _):
        worker._start_missing()
    with database.write() as connection:
        for number in range(5):
            opted_out(connection, "two", f"+1415555030{number}")
    crm.write(HEAD + RULES, ("one", "two"))
    parts = []
    plain = adoption.adopt

    def adopt(connection: Connection, *given: Any, **more: Any) -> adoption.Adopted:
        parts.append(given)
        if len(parts) == 2:  # somebody upgrades meanwhile
            connection.execute(text("UPDATE compatibility SET oldest = '9998'"))
            connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
        return plain(connection, *given, **more)

    monkeypatch.setattr(adoption, "adopt", adopt)
    with idle_worker(crm, url, monkeypatch) as (worker, started):
        worker._tend()
        assert worker.bells.stopping
        with pytest.raises(SchemaError, match="9999"):
            raise worker._outgrown or AssertionError
    assert len(parts) == 2
    assert "opt-outs of one" not in started


def replaced(database: Database, *there: Campaign, account: str = "") -> None:
    """A campaign knew of an opt-out, and others stand in the file in its place."""
    with database.write() as connection:
        gone = a_campaign("spring")
        campaigns.greet(connection, gone.name, gone.called, NOW, account=account)
        opted_out(connection, gone.name)
        assert campaigns.note_away(connection, [one.name for one in there], NOW) == [gone.name]


def test_a_campaign_that_takes_the_place_of_one_that_is_gone_hears_of_its_opt_outs(
    database: Database,
) -> None:
    """In one edit, so that the two were never there together."""
    new = a_campaign("summer")
    replaced(database, new)
    assert greet(database, new, [new], [], never) == ["spring"]
    with database.write() as connection:
        assert told(connection, "summer") == {OUT: ENTRY}


@pytest.mark.parametrize(
    ("new", "other"),
    [
        ({"url": "https://api.example.com"}, {"url": "https://api.example.com"}),
        ({"tenant": "acme"}, {"tenant": "acme"}),
        ({}, {"tenant": "acme"}),
        ({}, {"token": Secret("U", ("u",))}),
    ],
    ids=["another API", "a tenant", "beside a tenant", "beside another token"],
)
def test_nobody_hears_of_the_opt_outs_of_a_campaign_that_may_have_been_of_another_account(
    database: Database, new: dict[str, Any], other: dict[str, Any]
) -> None:
    there = [replace(a_campaign("summer"), **new), replace(a_campaign("autumn"), **other)]
    replaced(database, *there)
    assert greet(database, there[0], there, [], never) == []
    with database.write() as connection:
        assert told(connection, "summer") == {}


SPRING = replace(a_campaign("spring"), tenant="acme")


@pytest.mark.parametrize(
    ("new", "taken_over"),
    [
        ({"tenant": "acme"}, True),
        ({"tenant": "acme", "token": Secret("T", ("another",))}, True),
        ({"tenant": "other"}, False),
        ({}, False),
        ({"tenant": "acme", "token": Secret("U", ("t",))}, False),
        ({"tenant": "acme", "url": "https://api.example.com"}, False),
    ],
    ids=["the same", "with another key", "another", "none", "another setting", "another API"],
)
def test_with_tenants_it_hears_of_those_of_its_account(
    database: Database, new: dict[str, Any], *, taken_over: bool
) -> None:
    summer = replace(a_campaign("summer"), **new)
    there = [summer, replace(a_campaign("autumn"), tenant="third")]
    replaced(database, *there, account=SPRING.account)
    assert greet(database, summer, there, [], never) == ["spring"] * taken_over
    with database.write() as connection:
        assert told(connection, "summer") == ({OUT: ENTRY} if taken_over else {})


@pytest.mark.parametrize("after_an_upgrade", [False, True])
def test_whose_a_campaign_is_is_noted_as_long_as_it_is_there(
    database: Database, *, after_an_upgrade: bool
) -> None:
    other = replace(a_campaign("autumn"), tenant="third")
    if after_an_upgrade:
        with database.write() as connection:
            campaigns.greet(connection, SPRING.name, Called(SPRING.id, ""), NOW)
    assert greet(database, SPRING, [SPRING, other], [], never) == []
    with database.write() as connection:
        assert campaigns.called(connection, SPRING.name) == SPRING.called
        opted_out(connection, SPRING.name)
        campaigns.note_away(connection, [other.name], NOW)
    summer = replace(a_campaign("summer"), tenant="acme")
    assert greet(database, summer, [summer, other], [], never) == ["spring"]


def test_what_goes_by_a_former_name_undoes_no_opt_out_for_good(
    database: Database, tmp_path: Path
) -> None:
    """A worker that knows older files sends an older opt-in after the opt-out was confirmed."""
    crm = World(database, tmp_path)
    before, after = (
        {name: replace(a_campaign(name, "same"), linger_ms=0)} for name in ("one", "uno")
    )
    at = 1_700_000_000_000
    heard: list[tuple[str, Any]] = []

    def told_to(campaign: Campaign, lane: Lane) -> None:
        """A batch goes out by a campaign's name, and is confirmed."""
        api = Confirming(heard)
        send(crm.worker()._equipment, campaign, lane, api.way())

    crm.write(HEAD + CONSENT, ("one",))
    old = replace(crm.mappings, campaigns=before)
    greet(database, before["one"], before.values(), [], never)
    crm.write(HEAD + CONSENT, ("uno",))
    new = replace(crm.mappings, campaigns=after)
    sisters = greet(database, after["uno"], after.values(), [], never)
    crm.mappings = new
    crm.take_in({"id": 2, "phone": OUT, "dnc": True, "at": at + 10})
    told_to(after["uno"], Lane.OPT_OUT)
    crm.mappings = old
    crm.take_in({"id": 1, "phone": OUT, "dnc": False, "at": at})
    told_to(before["one"], Lane.FIRST)
    assert [word for _, word in heard] == [True, False]
    assert adopt_again(database, after["uno"], sisters, never)
    told_to(after["uno"], Lane.OPT_OUT)
    assert [word for _, word in heard] == [True, False, True]


def test_who_greets_a_campaign_by_older_files_takes_no_opt_out_from_the_one_to_come(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It overtakes a worker that knows the new id, and the campaign before confirms once more."""
    monkeypatch.setattr(leads, "AT_A_TIME", 1)
    crm = World(database, tmp_path)
    before, after = a_campaign("main", "1"), a_campaign("main", "2")
    assert greet(database, before, [before], [], never) == []
    with database.write() as connection:
        opted_out(connection, "main")
    looks = count(1)

    def meanwhile() -> bool:
        if next(looks) == 3:  # all leads have been put up
            greet(database, before, [before], [], never)
            heard: list[tuple[str, Any]] = []
            send(crm.worker()._equipment, before, Lane.OPT_OUT, Confirming(heard).way())
            assert heard == [(OUT, True)]
        return False

    assert greet(database, after, [after], [], meanwhile) == []
    with database.write() as connection:
        assert campaigns.called(connection, "main") == after.called
        assert told(connection, "main") == {OUT: ENTRY}


def test_a_new_campaign_whose_id_is_corrected_at_once_is_told_by_the_right_one(
    database: Database, tmp_path: Path
) -> None:
    """A worker that knows the first text greets it while another, with the second, is at it."""
    crm = World(database, tmp_path)
    main, wrong, right = a_campaign("main"), a_campaign("new", "1"), a_campaign("new", "2")
    assert greet(database, main, [main], [], never) == []
    with database.write() as connection:
        opted_out(connection, "main")
    looks = count(1)

    def meanwhile() -> bool:
        if next(looks) == 4:  # all opt-outs have been taken over
            greet(database, wrong, [main, wrong], ["main"], never)
            heard: list[tuple[str, Any]] = []
            send(crm.worker()._equipment, wrong, Lane.OPT_OUT, Confirming(heard).way())
            assert heard == [(OUT, True)]
        return False

    assert greet(database, right, [main, right], ["main"], meanwhile) == ["main"]
    with database.write() as connection:
        assert campaigns.called(connection, "new") == right.called
        assert told(connection, "new") == {OUT: ENTRY}


@pytest.mark.parametrize("killed", [False, True])
def test_a_campaign_is_taken_back_from_a_worker_with_older_files_once_that_is_gone(
    database: Database, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, killed: bool
) -> None:
    """It would else be called by nobody until some worker starts, and its opt-outs wait."""
    crm = World(database, tmp_path)
    crm.write(HEAD + RULES, ("one",))
    new = crm.mappings.campaigns["one"]
    old = replace(new, id="older")
    clock = a_clock(monkeypatch)
    with idle_worker(crm, url, monkeypatch) as (worker, _):
        worker._start_missing()
        with database.write() as connection:
            lead = opted_out(connection, "one")
        shows_that_it_lives(database, "old")
        assert greet(database, old, [old], [], never, by="old") == []
        with database.write() as connection:
            confirmed = released(lead, ledger={"do_not_call": ENTRY}, opted_out=True)
            leads.release(connection, [confirmed._replace(reassert=False)])
            assert told(connection, "one") == {}
        for _ in range(3):
            clock.now += LEFT_OFF_S
            worker._start_missing()
            assert called(database) == old.called, "they would take turns"
        leaves(database, "old", killed=killed)
        worker._start_missing()
        clock.now += LEFT_OFF_S - 1
        worker._start_missing()
        assert called(database) == old.called, "it may only be starting anew"
        clock.now += 1
        worker._start_missing()
        assert called(database) == new.called
        with database.write() as connection:
            assert told(connection, "one") == {OUT: ENTRY}, "it is sent again"


@pytest.mark.parametrize("killed", [False, True])
def test_whoever_calls_it_as_a_worker_that_is_gone_did_takes_its_place(
    database: Database, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, killed: bool
) -> None:
    """And one with other files that lives does not take it from that."""
    crm = World(database, tmp_path)
    crm.write(HEAD + RULES, ("one",))
    new = crm.mappings.campaigns["one"]
    older = World(database, tmp_path)
    older.mappings = replace(crm.mappings, campaigns={"one": replace(new, id="older")})
    clock = a_clock(monkeypatch)
    with (
        idle_worker(older, url, monkeypatch) as (old, _),
        idle_worker(crm, url, monkeypatch) as (second, _),
    ):
        old._start_missing()
        shows_that_it_lives(database, "first")
        assert greet(database, new, [new], [], never, by="first") == []
        second._start_missing()
        leaves(database, "first", killed=killed)
        for _ in range(3):
            shows_that_it_lives(database, old.name)
            shows_that_it_lives(database, second.name)
            old._start_missing()
            second._start_missing()
            assert called(database) == new.called
            clock.now += LEFT_OFF_S
        leaves(database, second.name, killed=killed)
        old._start_missing()
        clock.now += LEFT_OFF_S
        old._start_missing()
        assert called(database) == replace(new, id="older").called


def test_a_campaign_that_is_not_configured_takes_nobodys_place(
    database: Database, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would keep those away who can call it by their own files."""
    crm = World(database, tmp_path)
    crm.write(HEAD + RULES, ("one",))
    one = crm.mappings.campaigns["one"]
    assert greet(database, one, [one], [], never, by="gone") == []
    with idle_worker(crm, url, monkeypatch) as (worker, _):
        worker._start_missing()
        for missing, by in ((("TOKEN",), "gone"), ((), worker.name)):
            mine = replace(one, missing=missing)
            current = replace(crm.mappings, campaigns={"one": mine})
            monkeypatch.setattr(worker, "live", SimpleNamespace(current=lambda now=current: now))
            worker._start_missing()
            with database.read() as connection:
                assert campaigns.greetings(connection)["one"] == (one.called, by)


def test_what_a_version_before_has_greeted_without_a_name_is_taken_back(
    database: Database, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The name that stands there is of this worker, which has not called it so."""
    crm = World(database, tmp_path)
    crm.write(HEAD + RULES, ("one",))
    one = crm.mappings.campaigns["one"]
    clock = a_clock(monkeypatch)
    with idle_worker(crm, url, monkeypatch) as (worker, _):
        worker._start_missing()
        with database.write() as connection:
            connection.execute(text("UPDATE campaign SET api_id = 'older'"))
        for later, expected in ((0, "older"), (LEFT_OFF_S - 1, "older"), (1, one.id)):
            clock.now += later
            shows_that_it_lives(database, worker.name)
            worker._start_missing()
            found = called(database)
            assert found is not None
            assert found.id == expected


def a_clock(monkeypatch: pytest.MonkeyPatch) -> Any:
    clock: Any = SimpleNamespace(now=1000.0)
    clock.monotonic = lambda: clock.now
    monkeypatch.setattr("bridge.worker.time", clock)
    return clock


def called(database: Database) -> Called | None:
    with database.read() as connection:
        return campaigns.called(connection, "one")


def shows_that_it_lives(database: Database, name: str, ago: int = 0) -> None:
    with database.write() as connection:
        at = database.now_ms() - ago
        workers.beat(connection, name=name, host="h", pid=1, started_at=0, version="1", now=at)


def leaves(database: Database, name: str, *, killed: bool) -> None:
    if killed:
        shows_that_it_lives(database, name, round(LEFT_OFF_S * 1000) + 1)
        return
    with database.write() as connection:
        workers.leave(connection, name)


@pytest.mark.parametrize("before", ["", "another"])
def test_whose_a_campaign_is_that_comes_back_is_noted(database: Database, before: str) -> None:
    replaced(database, account=before)
    with database.write() as connection:
        assert campaigns.present(connection) == set()
    assert greet(database, SPRING, [SPRING], [], never) == []
    with database.read() as connection:
        assert campaigns.account_of(connection, SPRING.name) == SPRING.account


def test_a_campaign_that_nobody_calls_for_now_is_left_to_who_is_at_it(
    database: Database, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    crm = World(database, tmp_path)
    crm.write(HEAD + RULES, ("one",))
    one = crm.mappings.campaigns["one"]
    assert greet(database, one, [one], [], never, by="gone") == []
    with idle_worker(crm, url, monkeypatch) as (worker, _):
        worker._start_missing()
        with database.write() as connection:
            assert campaigns.set_aside(connection, "one", one.called)
        worker._start_missing()
        with database.read() as connection:
            assert campaigns.called(connection, "one") == campaigns.ASIDE


def test_a_tenant_that_is_renamed_keeps_its_campaigns(
    database: Database, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    crm = World(database, tmp_path)
    crm.write(HEAD + RULES, ("one",))
    campaign = crm.mappings.campaigns["one"]
    with idle_worker(crm, url, monkeypatch) as (worker, _):
        for tenant in ("", "acme"):
            mine = replace(campaign, tenant=tenant)
            current = replace(crm.mappings, campaigns={"one": mine})
            monkeypatch.setattr(worker, "live", SimpleNamespace(current=lambda now=current: now))
            worker._start_missing()
            with database.read() as connection:
                assert campaigns.account_of(connection, "one") == mine.account
