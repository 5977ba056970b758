"""A lone opt-out wakes the one thread that has nothing else to do."""

from __future__ import annotations

import pytest

from bridge.model import Campaign, State
from bridge.steps.waking import bells_for, opt_outs_of
from bridge.store.outcomes import NewOutcome

OPT_OUTS = opt_outs_of("main")


def row(*, opts_out: bool, campaign: str = "main") -> NewOutcome:
    made = NewOutcome(1, 1, "r", "crm", State.WAITING, 0, "k", "v", 0, campaign, "+14155550100")
    return made._replace(opts_out=opts_out)


@pytest.mark.parametrize(
    ("rows", "rung"),
    [
        ([], set()),
        ([row(opts_out=False, campaign="")], set()),
        ([row(opts_out=True)], {OPT_OUTS}),
        ([row(opts_out=True)] * 3, {OPT_OUTS}),
        ([row(opts_out=True)] * 4, {"main"}),
        ([row(opts_out=False)], {"main"}),
        ([row(opts_out=True), row(opts_out=False)], {"main"}),
        ([row(opts_out=True), row(opts_out=False, campaign="two")], {OPT_OUTS, "two"}),
    ],
)
def test_all_senders_are_woken_where_there_is_work_for_them(
    rows: list[NewOutcome], rung: set[str]
) -> None:
    named = {name: campaign(name) for name in ("main", "two")}
    assert bells_for(rows, named) == rung


def campaign(name: str) -> Campaign:
    return Campaign(name=name, id="c", url="http://api.example", token=None, batch_size=3)
