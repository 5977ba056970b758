"""A lone opt-out wakes the one thread that has nothing else to do."""

from __future__ import annotations

import pytest

from bridge.model import Campaign, State
from bridge.record.outcome_lines import Line
from bridge.steps.waking import bells_for, opt_outs_of

OPT_OUTS = opt_outs_of("main")


def line(*, opts_out: bool, campaign: str = "main") -> Line:
    return Line(State.WAITING, "r", "crm", campaign, "+14155550100", (), "", opts_out, 0)


@pytest.mark.parametrize(
    ("lines", "rung"),
    [
        ([], set()),
        ([line(opts_out=False, campaign="")], set()),
        ([line(opts_out=True)], {OPT_OUTS}),
        ([line(opts_out=True)] * 3, {OPT_OUTS}),
        ([line(opts_out=True)] * 4, {"main"}),
        ([line(opts_out=False)], {"main"}),
        ([line(opts_out=True), line(opts_out=False)], {"main"}),
        ([line(opts_out=True), line(opts_out=False, campaign="two")], {OPT_OUTS, "two"}),
    ],
)
def test_all_senders_are_woken_where_there_is_work_for_them(
    lines: list[Line], rung: set[str]
) -> None:
    named = {name: campaign(name) for name in ("main", "two")}
    assert bells_for(lines, named) == rung


def campaign(name: str) -> Campaign:
    return Campaign(name=name, id="c", url="http://api.example", token=None, batch_size=3)
