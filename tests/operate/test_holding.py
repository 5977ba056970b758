"""What holds a lead back, and when it is called at the earliest."""

from __future__ import annotations

import pytest

from bridge.model import Lane
from bridge.operate.holding import Holding, next_call
from bridge.store.campaigns import Condition
from bridge.store.pauses import Pause
from bridge.store.schema import NEVER

NOW = 1_000_000


def paused(*, opt_outs: bool) -> Holding:
    return Holding(paused={"main": Pause(NOW, "Ada", "holidays", opt_outs)})


@pytest.mark.parametrize(
    ("lane", "opt_outs", "held"),
    [
        (Lane.OPT_OUT, True, True),
        (Lane.STANDING, True, True),
        (Lane.OPT_OUT, False, False),
        (Lane.STANDING, False, False),
        (Lane.FIRST, False, True),
        (Lane.IDLE, True, False),
    ],
)
def test_a_pause_holds_what_waits_in_its_lanes(lane: Lane, opt_outs: bool, held: bool) -> None:
    found = paused(opt_outs=opt_outs).of("main", lane)
    assert [(one["by"], one["who"], one["reason"]) for one in found] == (
        [("hand", "Ada", "holidays")] if held else []
    )
    assert next_call(5, found) == (None if held else 5)
    assert not paused(opt_outs=opt_outs).of("other", lane)


@pytest.mark.parametrize(("not_before", "earliest"), [(NOW + 7, NOW + 7), (3, 5), (NEVER, None)])
def test_a_closed_campaign_holds_everything_until_it_is_tried(
    not_before: int, earliest: int | None
) -> None:
    closed = Condition("paused", "401", NOW, not_before)
    [hold] = Holding({"main": closed}).of("main", Lane.OPT_OUT)
    assert (hold["by"], hold["condition"], hold["reason"]) == ("api", "paused", "401")
    assert next_call(5, [hold]) == earliest
    assert next_call(None, [hold]) is None
