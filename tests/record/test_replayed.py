"""What a replay may change of a lead: what its own event said, and nothing that is newer."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from bridge.model import State
from bridge.record import ledger as ledgers
from bridge.record.ledger import MARK, Plan


@dataclass(frozen=True)
class Told:
    """An open update."""

    id: int
    fields: dict[str, Any]
    event_time: int
    key: str = "k"
    replay_id: int = 0
    accepted_at: int = 10_000
    received_at: int | None = None
    doubtful: bool = False
    state: State = State.WAITING


def plan(stored: dict[str, Any], *updates: Told) -> tuple[Plan, dict[str, Any]]:
    """The plan, and the ledger as it is stored behind it."""
    rows = sorted(updates, key=lambda u: (u.event_time, u.key, u.id))
    made = ledgers.plan(stored, rows, all_known=False, alone=False)
    written: dict[str, Any] = json.loads(json.dumps(ledgers.write(made.ledger)))
    return made, written


def test_a_replay_corrects_what_its_event_said_before() -> None:
    _, stored = plan({}, Told(1, {"first_name": "WRONG"}, 5))
    made, stored = plan(stored, Told(2, {"first_name": "Jane"}, 5, replay_id=1))
    assert (made.payload, made.carried) == ({"first_name": "Jane"}, (2,))
    made, _ = plan(stored, Told(3, {"first_name": "Old"}, 5, replay_id=0))
    assert made.settled[3][0] is State.SUPERSEDED


def test_what_still_waits_of_the_event_gives_way_to_its_replay() -> None:
    first, again = Told(1, {"first_name": "WRONG"}, 5), Told(2, {"first_name": "J"}, 5, replay_id=1)
    made, _ = plan({}, first, again)
    assert (made.payload, made.carried) == ({"first_name": "J"}, (2,))
    state, why = made.settled[1]
    assert (state, "replay of this event" in why) == (State.SUPERSEDED, True)


def test_a_replay_yields_to_what_is_newer() -> None:
    _, stored = plan({}, Told(1, {"first_name": "New", "do_not_call": True}, 6, "z"))
    opt_in = {"first_name": "Old", "do_not_call": False}
    made, after = plan(stored, Told(2, opt_in, 5, "a", replay_id=9))
    assert (made.payload, made.settled[2][0]) == ({}, State.SUPERSEDED)
    assert after == stored


def test_a_corrected_mapping_cannot_take_an_opt_out_back() -> None:
    _, stored = plan({}, Told(1, {"do_not_call": True}, 5))
    made, after = plan(stored, Told(2, {"do_not_call": False}, 5, replay_id=1))
    assert (made.settled[2][0], after) == (State.SUPERSEDED, stored)
    made, _ = plan({}, Told(1, {"do_not_call": False}, 5))
    made, _ = plan(stored, Told(3, {"do_not_call": True}, 5, replay_id=1))
    assert made.payload == {"do_not_call": True}


def test_an_opt_in_is_never_newer_than_its_receipt_however_late_it_is_replayed() -> None:
    _, stored = plan({}, Told(1, {"do_not_call": True}, 120))
    ahead = Told(
        2, {"do_not_call": False}, 300, "z", replay_id=1, accepted_at=9_000, received_at=100
    )
    made, after = plan(stored, ahead)
    assert made.settled[2][0] is State.SUPERSEDED
    assert after == stored, "and the lead is opted out as before"


def test_an_opt_out_that_was_taken_over_replaces_an_opt_in_that_may_be_on_its_way() -> None:
    stored = {"do_not_call": [True, 6, "k", False]}
    lost = Told(1, {"do_not_call": False}, 5, doubtful=True)
    made = ledgers.plan(stored, [lost], all_known=False, alone=False, reassert=True)
    assert (made.payload, made.echoes) == ({"do_not_call": True}, True)


def test_a_wish_to_be_called_is_never_newer_than_its_receipt() -> None:
    both = {"do_not_call": False, MARK: True}
    made, stored = plan({}, Told(1, both, 120))
    assert made.payload == both, "it may come with the opt-in itself"
    ahead = Told(2, {MARK: True}, 300, "z", accepted_at=100)
    made, after = plan(stored, ahead)
    assert (made.settled[2][0], after) == (State.SUPERSEDED, stored)
    made, _ = plan({"do_not_call": stored["do_not_call"]}, ahead)
    assert made.settled[2][0] is State.SUPERSEDED, "the consent is newer"


said: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {
        "event_time": st.integers(1, 4),
        "key": st.sampled_from("abc"),
        "replay_id": st.integers(0, 3),
        "fields": st.fixed_dictionaries(
            {}, optional={"first_name": st.sampled_from("xyz"), "do_not_call": st.booleans()}
        ),
    }
)


@given(st.lists(said, max_size=8), st.randoms(use_true_random=False))
def test_first_ways_and_replays_give_the_same_in_every_order_and_company(
    given_: list[dict[str, Any]], draw: Any
) -> None:
    # an event says one thing in each of its replays
    distinct = {(one["event_time"], one["key"], one["replay_id"]): one for one in given_}
    rows = [Told(number, **one) for number, one in enumerate(distinct.values())]
    draw.shuffle(rows)
    stored: dict[str, Any] = {}
    left = list(rows)
    while left:
        count = draw.randint(1, len(left))
        some, left = left[:count], left[count:]
        _, stored = plan(stored, *some)
    for name in ("first_name", "do_not_call"):
        saying = [row for row in rows if name in row.fields]
        if saying:
            best = max(
                saying,
                key=lambda r: (
                    r.event_time,
                    name == "do_not_call" and r.fields[name] is True,
                    r.key,
                    r.replay_id,
                ),
            )
            assert stored[name][0] == best.fields[name]
        else:
            assert name not in stored
