"""Whose turn it is among the lanes of a campaign."""

from __future__ import annotations

import pytest

from bridge.model import Lane
from bridge.steps.turns import Turns

ALL = dict.fromkeys((Lane.FIRST, Lane.RETRY, Lane.STANDING), 0)


@pytest.mark.parametrize("waits", [0, 1, 2, 3])
def test_every_lane_has_its_turn_however_often_its_call_has_to_wait(waits: int) -> None:
    turns = Turns(0, only_opt_outs=False)
    served = []
    for _ in range(6):
        chosen = {turns.choose(ALL, 1) for _ in range(waits + 1)}
        (lane,) = chosen
        assert lane is not None
        turns.served(lane)
        served.append(lane)
    assert served == [*ALL, *ALL]


def test_an_opt_out_goes_first_and_takes_nobodys_turn() -> None:
    turns = Turns(0, only_opt_outs=False)
    turns.served(Lane.FIRST)
    assert turns.choose(ALL | {Lane.OPT_OUT: 0}, 1) is Lane.OPT_OUT
    turns.served(Lane.OPT_OUT)
    assert turns.choose(ALL, 1) is Lane.RETRY


def test_what_is_not_due_yet_and_replays_beside_what_is_new_are_passed_over() -> None:
    turns = Turns(3, only_opt_outs=False)
    assert turns.choose({Lane.REPLAY: 0, Lane.FIRST: 2}, 1) is Lane.REPLAY
    assert turns.choose({Lane.REPLAY: 0, Lane.FIRST: 1}, 1) is Lane.FIRST
    assert turns.choose({Lane.STANDING: 2}, 1) is None
