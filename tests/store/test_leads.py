"""Leads: the queue, the lease and its fence."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.model import Lane
from bridge.store import leads
from bridge.store.database import Connection, Database
from bridge.store.leads import Claimable
from bridge.store.schema import NEVER

from .rows import NOW, a_lead, cell, due, released
from .waiting import while_open

PHONE = "+14155550123"


def claim(connection: Connection, row: Claimable, until: int = NOW + 30_000) -> None:
    leads.claim(connection, [(row.id, row.ledger, False)], owner="w1", until=until)


def claimed(database: Database, lane: Lane = Lane.FIRST, now: int = NOW) -> Claimable:
    """Claim the one lead that is due."""
    with database.write() as connection:
        (row,) = leads.claimable(connection, "main", lane, now, 10)
        claim(connection, row)
    return row


def test_a_lead_is_made_once_per_campaign_and_phone(database: Database) -> None:
    with database.write() as connection:
        ids = leads.schedule(connection, [due(), due(campaign="other"), due("+14155550124")])
        again = leads.schedule(connection, [due(), due()])
    assert len(set(ids.values())) == 3
    assert again == {("main", PHONE): ids["main", PHONE]}


def test_a_lead_moves_only_forward(database: Database) -> None:
    with database.write() as connection:
        number = a_lead(connection, lane=Lane.FIRST, due_at=NOW)
        a_lead(connection, lane=Lane.REPLAY, due_at=NOW + 5_000, waiting_since=NOW + 9)
        assert leads.next_due(connection, "main") == {Lane.FIRST: NOW}
        a_lead(connection, lane=Lane.OPT_OUT, due_at=NOW + 7_000)
        assert leads.next_due(connection, "main") == {Lane.OPT_OUT: NOW}
        a_lead(connection, lane=Lane.RETRY, due_at=NOW - 7_000)
        assert leads.next_due(connection, "main") == {Lane.OPT_OUT: NOW - 7_000}
    assert cell(database, "waiting_since", "lead", number) == NOW


def test_what_comes_for_a_standing_opt_out_goes_along_with_it_at_once(database: Database) -> None:
    with database.write() as connection:
        a_lead(connection, lane=Lane.STANDING, due_at=NOW + 86_400_000)
        a_lead(connection, lane=Lane.FIRST, due_at=NOW)
        assert leads.next_due(connection, "main") == {Lane.STANDING: NOW}
        a_lead(connection, lane=Lane.OPT_OUT, due_at=NOW + 5)
        assert leads.next_due(connection, "main") == {Lane.OPT_OUT: NOW}


def test_arrivals_of_one_statement_count_together(database: Database) -> None:
    with database.write() as connection:
        leads.schedule(
            connection,
            [
                due(lane=Lane.FIRST, due_at=NOW + 50),
                due(lane=Lane.OPT_OUT, due_at=NOW + 90),
                due(lane=Lane.REPLAY, due_at=NOW + 70, waiting_since=NOW - 3),
            ],
        )
        assert leads.next_due(connection, "main") == {Lane.OPT_OUT: NOW + 50}
        assert leads.backlog(connection, "main") == {Lane.OPT_OUT: (1, NOW - 3)}
        assert leads.next_due(connection, "other") == {}


def test_leads_are_claimed_in_the_order_in_which_they_are_due(database: Database) -> None:
    with database.write() as connection:
        for n, when in enumerate((NOW, NOW - 10, NOW + 10, NOW - 5)):
            a_lead(connection, f"+1415555000{n}", due_at=when)
        a_lead(connection, "+14155550009", campaign="other", due_at=NOW - 99)
        rows = leads.claimable(connection, "main", Lane.FIRST, NOW, 2)
        assert [row.phone[-1] for row in rows] == ["1", "3"]
        assert leads.claimable(connection, "main", Lane.RETRY, NOW, 2) == []


def test_a_claimed_lead_is_out_of_reach_until_it_is_released(database: Database) -> None:
    with database.write() as connection:
        number = a_lead(connection)
    row = claimed(database)
    with database.write() as connection:
        assert leads.next_due(connection, "main") == {}
        a_lead(connection, lane=Lane.OPT_OUT)
        assert leads.next_due(connection, "main") == {}
        assert leads.claimable(connection, "main", Lane.OPT_OUT, NOW, 9) == []
        held = leads.held(connection, {number: row.fence + 1})
        assert held == {number: (Lane.OPT_OUT, NOW)}, "what arrived meanwhile is not lost"
        ledger = {"first_name": ["Zoë", 1, "k", False]}
        step = released(number, lane=Lane.OPT_OUT, due_at=NOW, ledger=ledger, opted_out=True)
        leads.release(connection, [step._replace(tries=2, standing_tries=4, bare=True)])
        assert leads.held(connection, {number: row.fence + 1}) == {}, "nor is it recorded twice"
        (back,) = leads.claimable(connection, "main", Lane.OPT_OUT, NOW, 9)
        assert leads.backlog(connection, "main") == {Lane.OPT_OUT: (1, NOW)}, "it waits as long"
    assert (back.ledger, back.tries, back.bare) == (ledger, 2, True)
    assert back.standing_tries == 4
    assert back.fence == row.fence + 1


def test_a_lead_that_rests_keeps_what_its_claim_has_stored(database: Database) -> None:
    ledger = {"do_not_call": [True, 1, "k", False]}
    with database.write() as connection:
        number = a_lead(connection)
        leads.claim(connection, [(number, ledger, True)], owner="w1", until=NOW + 30_000)
        leads.release(connection, [released(number, ledger=None, opted_out=None, tries=3)])
    assert cell(database, "opted_out", "lead", number)
    assert json.loads(cell(database, "ledger", "lead", number)) == ledger
    with database.write() as connection:
        leads.claim(connection, [(number, ledger, True)], owner="w1", until=NOW + 30_000)
        leads.rest(connection, [(number, 2)])
    found = {
        name: cell(database, name, "lead", number)
        for name in ("lease_until", "lane", "due_at", "waiting_since", "tries", "standing_tries")
    }
    assert found == {
        "lease_until": 0,
        "lane": Lane.IDLE,
        "due_at": NEVER,
        "waiting_since": None,
        "tries": 0,
        "standing_tries": 2,
    }
    assert cell(database, "opted_out", "lead", number)
    assert json.loads(cell(database, "ledger", "lead", number)) == ledger
    with database.write() as connection:
        a_lead(connection)
        (back,) = leads.claimable(connection, "main", Lane.FIRST, NOW, 9)
    assert back.fence == 2


def test_of_two_transactions_at_once_exactly_one_claims_a_lead(
    database: Database, opened: Callable[..., Database]
) -> None:
    with database.write() as connection:
        a_lead(connection)
        a_lead(connection, "+14155550124", due_at=NOW + 1)
    other = opened()

    def take(connection: Connection) -> list[str]:
        rows = leads.claimable(connection, "main", Lane.FIRST, NOW + 1, 1)
        for row in rows:
            claim(connection, row)
        return [row.phone for row in rows]

    def take_too() -> list[str]:
        with other.write() as connection:
            return take(connection)

    mine, theirs = while_open(database, take, take_too)
    assert sorted(mine + theirs) == [PHONE, "+14155550124"], "and the other takes the next"


def test_an_arrival_during_a_claim_is_seen_at_the_release(
    database: Database, opened: Callable[..., Database]
) -> None:
    with database.write() as connection:
        number = a_lead(connection)
    other = opened()

    def settle(connection: Connection) -> int:
        leads.claimable(connection, "main", Lane.FIRST, NOW, 1)
        leads.release(connection, [released(number)])
        return 0

    def arrive() -> int:
        with other.write() as connection:
            return a_lead(connection, lane=Lane.OPT_OUT, due_at=NOW + 1)

    assert while_open(database, settle, arrive) == (0, number)
    with database.read() as connection:
        assert leads.next_due(connection, "main") == {Lane.OPT_OUT: NOW + 1}


def test_who_has_lost_the_lease_holds_nothing(database: Database) -> None:
    with database.write() as connection:
        number = a_lead(connection)
    first = claimed(database)
    with database.write() as connection:
        assert leads.recover(connection, expired_before=NOW + 30_000, now=NOW) == []
        assert leads.recover(connection, expired_before=NOW + 30_001, now=NOW) == [number]
        assert leads.held(connection, {number: first.fence + 1}) == {}
    second = claimed(database, Lane.RETRY)
    with database.write() as connection:
        assert leads.held(connection, {number: first.fence + 1}) == {}
        assert leads.held(connection, {number: second.fence + 1}) == {number: (Lane.IDLE, NEVER)}
        assert leads.held(connection, {}) == {}


def test_a_lead_whose_result_is_just_being_recorded_is_not_recovered(
    database: Database, opened: Callable[..., Database]
) -> None:
    """Else it would be taken from whoever claims it next."""
    with database.write() as connection:
        number = a_lead(connection)
    row = claimed(database)
    other = opened()

    def record(connection: Connection) -> list[int]:
        assert leads.held(connection, {number: row.fence + 1})
        leads.release(connection, [released(number)])
        return []

    def recover() -> list[int]:
        with other.write() as connection:
            return leads.recover(connection, expired_before=NEVER, now=NOW)

    assert while_open(database, record, recover) == ([], [])
    assert cell(database, "fence", "lead", number) == row.fence + 1


def test_a_recovered_lead_is_due_at_once_and_keeps_what_arrived(database: Database) -> None:
    with database.write() as connection:
        a_lead(connection)
    claimed(database)
    with database.write() as connection:
        a_lead(connection, lane=Lane.OPT_OUT, due_at=NOW + 60_000)
        leads.recover(connection, expired_before=NEVER, now=NOW + 5)
        assert leads.next_due(connection, "main") == {Lane.OPT_OUT: NOW + 5}
        assert leads.recover(connection, expired_before=NEVER, now=NOW + 6) == []


def test_a_recovered_lead_that_is_opted_out_asserts_that_and_any_other_is_tried_again(
    database: Database,
) -> None:
    with database.write() as connection:
        for n, opted_out in enumerate((True, False)):
            number = a_lead(connection, f"+1415555000{n}")
            leads.claim(connection, [(number, {}, opted_out)], owner="w1", until=NOW + n)
        assert len(leads.recover(connection, expired_before=NOW + 9, now=NOW)) == 2
        assert leads.next_due(connection, "main") == {Lane.STANDING: NOW, Lane.RETRY: NOW}


def test_a_recovered_lead_whose_opt_out_is_to_go_again_says_that_first(database: Database) -> None:
    with database.write() as connection:
        number = a_lead(connection)
        leads.release(connection, [released(number, opted_out=True)])
        assert leads.assert_opt_outs_again(connection, [number], NOW) == 1
        leads.claim(connection, [(number, {}, True)], owner="w1", until=NOW)
        assert leads.recover(connection, expired_before=NOW + 9, now=NOW) == [number]
        assert leads.next_due(connection, "main") == {Lane.OPT_OUT: NOW}


def test_a_lead_that_has_nothing_left_no_longer_waits(database: Database) -> None:
    with database.write() as connection:
        number = a_lead(connection)
        leads.release(connection, [released(number)])
        assert leads.next_due(connection, "main") == {}
        assert leads.backlog(connection, "main") == {}
    assert cell(database, "waiting_since", "lead", number) is None
    with database.write() as connection:
        a_lead(connection, waiting_since=NOW + 77)
        assert leads.backlog(connection, "main") == {Lane.FIRST: (1, NOW + 77)}


def test_opt_outs_are_asserted_again_at_another_campaign(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leads, "AT_A_TIME", 2)
    with database.write() as connection:
        ids = [a_lead(connection, f"+1415555000{n}") for n in range(5)]
        elsewhere = a_lead(connection, "+14155550009", campaign="other")
        out = {ids[n] for n in (0, 1, 3)}
        leads.release(
            connection, [released(n, opted_out=n in {*out, elsewhere}) for n in (*ids, elsewhere)]
        )
        after: str | None = ""
        counts = []
        while after is not None:
            count, after = leads.assert_all_again(connection, "main", NOW, after=after)
            counts.append(count)
        assert counts == [2, 1, 0]
        found = leads.claimable(connection, "main", Lane.OPT_OUT, NOW, 9)
        assert {(row.id, row.reassert) for row in found} == {(number, True) for number in out}
        assert leads.assert_opt_outs_again(connection, ids, NOW) == 3


def test_an_opt_out_to_be_asserted_again_while_its_lead_is_held_is_not_forgotten(
    database: Database,
) -> None:
    with database.write() as connection:
        number = a_lead(connection)
        leads.release(connection, [released(number, lane=Lane.FIRST, due_at=NOW, opted_out=True)])
        (row,) = leads.claimable(connection, "main", Lane.FIRST, NOW, 1)
        leads.claim(connection, [(row.id, row.ledger, True)], owner="w1", until=NOW + 30_000)
        assert leads.assert_opt_outs_again(connection, [number], NOW) == 1
        ((lane, due_at),) = leads.held(connection, {number: row.fence + 1}).values()
        leads.release(connection, [released(number, lane=lane, due_at=due_at, opted_out=True)])
        (again,) = leads.claimable(connection, "main", Lane.OPT_OUT, NOW, 1)
        assert again.reassert is True
        leads.release(connection, [released(number, reassert=False)])
    assert not cell(database, "reassert", "lead", number)


def test_an_opt_out_whose_worker_is_lost_waits_in_no_lane_that_a_pause_by_hand_holds(
    database: Database,
) -> None:
    """Something else came for the lead while its standing opt-out was on its way."""
    with database.write() as connection:
        number = a_lead(connection, lane=Lane.STANDING)
        (row,) = leads.claimable(connection, "main", Lane.STANDING, NOW, 1)
        leads.claim(connection, [(row.id, row.ledger, True)], owner="w1", until=NOW)
        a_lead(connection, lane=Lane.FIRST)
        assert leads.recover(connection, expired_before=NOW + 1, now=NOW) == [number]
        assert list(leads.next_due(connection, "main")) == [Lane.STANDING]


def test_leads_are_promoted_but_never_put_back_nor_taken_from_their_holder(
    database: Database,
) -> None:
    with database.write() as connection:
        low = a_lead(connection, "+14155550001", lane=Lane.RETRY, due_at=NOW + 99)
        high = a_lead(connection, "+14155550002", lane=Lane.OPT_OUT, due_at=NOW + 99)
        gone = a_lead(connection, "+14155550003")
        (row,) = leads.claimable(connection, "main", Lane.FIRST, NOW, 9)
        claim(connection, row)
        leads.promote(connection, [low, high, gone], Lane.OPT_OUT, NOW)
        assert [r.id for r in leads.claimable(connection, "main", Lane.OPT_OUT, NOW, 9)] == [low]


@given(
    st.lists(
        st.tuples(
            st.sampled_from([lane for lane in Lane if lane is not Lane.IDLE]), st.integers(0, 9)
        ),
        min_size=1,
        max_size=8,
    )
)
def test_the_soonest_of_all_arrivals_counts(
    sqlite_store: Database, arrivals: list[tuple[Lane, int]]
) -> None:
    with sqlite_store.write() as connection:
        connection.exec_driver_sql("DELETE FROM lead")
        for lane, when in arrivals:
            a_lead(connection, lane=lane, due_at=when)
        lane = Lane.IDLE
        for arrived, _ in arrivals:
            stays = lane is Lane.STANDING and arrived is not Lane.OPT_OUT
            lane = lane if stays else min(lane, arrived)
        assert leads.next_due(connection, "main") == {lane: min(when for _, when in arrivals)}
