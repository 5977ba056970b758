"""Faults of the campaign API: what is held back, what goes on, and that all of it ends right.

Every test has a campaign of its own on one running bridge.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from itertools import pairwise
from typing import Any

import pytest
from bridge_process import Bridge, wait_until
from sandbox_client import Call, Sandbox

from bridge.store import campaigns as campaign_rows

from .conftest import bridge_over

COUNT = 30
NAMES = [f"c{number:02d}" for number in range(COUNT)]
REFUSED_MAIL = "jane@exa_mple.com"
"""Passes for an address at first sight; the API refuses the whole body for it."""


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    with Sandbox(tmp_path_factory.mktemp("sandbox")) as running:
        yield running


@pytest.fixture(scope="module")
def bridge(tmp_path_factory: pytest.TempPathFactory, sandbox: Sandbox) -> Iterator[Bridge]:
    made = bridge_over(
        tmp_path_factory.mktemp("bridge"),
        sandbox,
        campaigns={name: f"camp_{name}" for name in NAMES},
        settings={"BRIDGE_UNKNOWN_TRIES": "50", "BRIDGE_POLL": "0.3"},
        concurrency=1,
        batch_size=10,
        timeout=2,
    )
    with made:
        made.start_both()
        yield made


@pytest.fixture(scope="module")
def unused() -> Iterator[str]:
    return iter(NAMES)


class Lane:
    """One campaign of the bridge, and its leads at the API."""

    def __init__(self, name: str, bridge: Bridge, sandbox: Sandbox) -> None:
        self.name = name
        self.id = f"camp_{name}"
        self.bridge = bridge
        self.sandbox = sandbox

    def add_leads(self, count: int) -> list[str]:
        """Make the campaign and leads in it; their numbers."""
        phones = [f"+1415557{number:04d}" for number in range(count)]
        self.sandbox.put_campaigns(self.id)
        self.sandbox.put_leads(self.id, [{"phone_number": phone} for phone in phones])
        return phones

    def behave(self, *steps: dict[str, Any], default: dict[str, Any] | None = None) -> None:
        """How the API treats the next calls for this campaign."""
        self.sandbox.behave(*steps, campaign=self.id, default=default)

    def deliver(self, *events: dict[str, Any]) -> str:
        """Events for this campaign alone, in one delivery; the receipt."""
        return self.bridge.deliver("crm", [{**event, "to": [self.name]} for event in events])

    def calls(self) -> list[Call]:
        """Every call for this campaign."""
        return self.sandbox.calls(campaign=self.id)

    def ends(self, receipt: str, *states: str, timeout: float = 30) -> None:
        """Wait until the delivery's outcomes have these states, in the order of its events."""

        def seen() -> list[str]:
            rows = sorted(self.bridge.outcomes(receipt=receipt), key=lambda row: row["ordinal"])
            return [row["state"] for row in rows]

        wait_until(lambda: seen() == list(states), timeout, lambda: f"{states} instead of {seen()}")

    def condition(self) -> campaign_rows.Condition:
        """The campaign's condition as the bridge notes it."""
        with self.bridge.database.read() as connection:
            return campaign_rows.conditions(connection)[self.name]


@pytest.fixture
def lane(unused: Iterator[str], bridge: Bridge, sandbox: Sandbox) -> Lane:
    return Lane(next(unused), bridge, sandbox)


def opt_out(phone: str) -> dict[str, Any]:
    return {"phone": phone, "dnc": True}


def named(phone: str, name: str = "Jane") -> dict[str, Any]:
    return {"phone": phone, "details": {"first_name": name}}


# --------------------------------------------------------------------- busy and broken


@pytest.mark.parametrize("form", ["seconds", "date"])
def test_retry_after_is_honoured_for_that_campaign_and_no_other(
    lane: Lane, unused: Iterator[str], bridge: Bridge, sandbox: Sandbox, form: str
) -> None:
    other = Lane(next(unused), bridge, sandbox)
    phones = lane.add_leads(3)
    other.add_leads(1)
    moment = (datetime.now(UTC) + timedelta(seconds=5)).replace(microsecond=0)
    retry_after = 2 if form == "seconds" else format_datetime(moment, usegmt=True)
    lane.behave({"mode": "429", "retry_after": retry_after})
    first = lane.deliver(opt_out(phones[0]))
    wait_until(lambda: len(lane.calls()) == 1, what="the refused call")
    second = lane.deliver(opt_out(phones[1]), named(phones[2]))
    elsewhere = other.deliver(named(phones[0]))
    other.ends(elsewhere, "updated")
    assert len(lane.calls()) == 1
    lane.ends(first, "updated")
    lane.ends(second, "updated", "updated")
    refused, *rest = lane.calls()
    assert refused.finished_ms is not None
    earliest = refused.finished_ms + 2000 if form == "seconds" else moment.timestamp() * 1000
    assert rest[0].started_ms >= earliest - 5  # the two sides round their clocks


def test_a_pause_holds_while_an_older_slow_call_ends_well(lane: Lane) -> None:
    phones = lane.add_leads(2)
    lane.behave({"mode": "slow", "seconds": 1.5}, {"mode": "429", "retry_after": 4})
    slow = lane.deliver(named(phones[0]))
    wait_until(lambda: len(lane.calls()) == 1, what="the slow call")
    busy = lane.deliver(opt_out(phones[1]))
    lane.ends(slow, "updated")
    lane.ends(busy, "updated")
    well, refused, *rest = lane.calls()
    assert (well.status, refused.status) == (200, 429)
    assert well.finished_ms is not None
    assert refused.finished_ms is not None
    assert refused.finished_ms < well.finished_ms
    assert rest[0].started_ms >= refused.finished_ms + 4000 - 5


def test_after_errors_and_broken_connections_everything_is_sent_again(lane: Lane) -> None:
    phones = lane.add_leads(2)
    lane.behave(
        *({"mode": "status", "status": status} for status in (500, 502, 503, 504)),
        {"mode": "close"},
        {"mode": "close_after"},
        {"mode": "truncated"},
    )
    receipt = lane.deliver(opt_out(phones[0]), named(phones[1]))
    lane.ends(receipt, "updated", "updated")
    leads = lane.sandbox.leads(lane.id)
    assert leads[phones[0]].do_not_call
    assert leads[phones[1]].first_name == "Jane"
    assert len(lane.calls()) >= 8


def test_an_answer_that_comes_too_late_confirms_nothing(lane: Lane) -> None:
    [phone] = lane.add_leads(1)
    lane.behave({"mode": "slow", "seconds": 3})
    receipt = lane.deliver(opt_out(phone))
    lane.ends(receipt, "updated")
    assert [call.mode for call in lane.calls()] == ["slow", "ok"]


def test_a_mark_is_not_sent_again_after_an_answer_that_did_not_come(lane: Lane) -> None:
    phones = lane.add_leads(2)
    lane.sandbox.put_leads(lane.id, [{"phone_number": p, "answered": True} for p in phones])
    lane.behave({"mode": "close_after"})
    receipt = lane.deliver(
        {"phone": phones[0], "again": True},
        {"phone": phones[1], "again": True, "details": {"first_name": "Jane"}},
    )
    lane.ends(receipt, "unconfirmed", "unconfirmed")
    marks = [e for call in lane.calls() for e in call.elements if "mark_as_unanswered" in e]
    assert len(marks) == 2
    leads = lane.sandbox.leads(lane.id)
    assert [leads[phone].requeued for phone in phones] == [1, 1]
    assert leads[phones[1]].first_name == "Jane"


# --------------------------------------------------------------------- refused as a whole


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_refusal_pauses_the_campaign_until_a_probe_gets_through(lane: Lane, status: int) -> None:
    phones = lane.add_leads(12)
    lane.behave(default={"mode": "status", "status": status})
    receipt = lane.deliver(*map(named, phones[:11]), opt_out(phones[11]))
    wait_until(lambda: lane.condition().condition == "paused", what="the pause")
    assert f"HTTP {status}" in lane.condition().reason
    seen = len(lane.calls())

    def probes(*, opt_outs: bool) -> list[int]:
        """Calls with the opt-out, or with all others: a 403 has parts of their batch asked too."""
        calls = [
            (c.started_ms, any("do_not_call" in e for e in c.elements), len(c.elements))
            for c in lane.calls()[seen:]
        ]
        return [at for at, told, size in calls if told is opt_outs and (told or size == 11)]

    wait_until(lambda: len(probes(opt_outs=True)) >= 5, what="probes")
    assert set(lane.bridge.states(receipt)) <= {"waiting", "in_flight"}
    for opt_outs in (True, False):
        gaps = [after - before for before, after in pairwise(probes(opt_outs=opt_outs))]
        # two calls may have been on their way when the first was refused
        assert all(gap >= 290 for gap in gaps[1:])
    listed = json.loads(lane.bridge.call("campaigns", "--json").stdout)
    [row] = [row for row in listed if row["name"] == lane.name]
    assert row["condition"] == "paused"
    assert f"HTTP {status}" in row["reason"]
    lane.behave()
    lane.ends(receipt, *["updated"] * 12)
    assert lane.condition().condition == "open"


def test_a_campaign_that_does_not_exist_yet_gets_its_updates_once_it_does(lane: Lane) -> None:
    receipt = lane.deliver(opt_out("+14155570000"))
    wait_until(lambda: lane.calls() and lane.condition().condition == "paused", what="the pause")
    assert "404" in lane.condition().reason
    lane.add_leads(1)
    lane.ends(receipt, "updated")


def test_one_refused_lead_stands_alone_and_its_neighbours_are_updated(lane: Lane) -> None:
    phones = lane.add_leads(9)
    events = [named(phone) for phone in phones]
    events[4] = {"phone": phones[4], "details": {"email": REFUSED_MAIL}}
    receipt = lane.deliver(*events)
    lane.ends(receipt, *["updated"] * 4, "rejected", *["updated"] * 4)
    sizes = [(len(call.elements), call.status) for call in lane.calls()]
    assert sizes[0] == (9, 422)
    assert (1, 422) in sizes
    names = {phone: lead.first_name for phone, lead in lane.sandbox.leads(lane.id).items()}
    assert names == {phone: None if phone == phones[4] else "Jane" for phone in phones}
    confirmed = [e["phone_number"] for c in lane.calls() if c.status == 200 for e in c.elements]
    assert sorted(confirmed) == sorted(set(phones) - {phones[4]})


def test_an_opt_out_is_not_lost_with_a_field_that_the_api_refuses(lane: Lane) -> None:
    [phone] = lane.add_leads(1)
    receipt = lane.deliver({**opt_out(phone), "details": {"email": REFUSED_MAIL}})
    lane.ends(receipt, "updated")
    [row] = lane.bridge.outcomes(receipt=receipt)
    assert "email left out" in row["message"]
    assert lane.sandbox.leads(lane.id)[phone].do_not_call
    assert lane.calls()[-1].elements == [{"phone_number": phone, "do_not_call": True}]


@pytest.mark.parametrize("status", [413, 400])
def test_a_batch_that_is_refused_for_its_size_is_halved(lane: Lane, status: int) -> None:
    phones = lane.add_leads(8)
    refused = {"mode": "status", "status": status}
    lane.behave(refused, refused)
    receipt = lane.deliver(*map(named, phones))
    lane.ends(receipt, *["updated"] * 8)
    assert [len(call.elements) for call in lane.calls()] == [8, 4, 2, 2, 4]


# --------------------------------------------------------------------- answers that lie

LIES = {
    "empty": 0,
    "short": 1,
    "reordered": 0,
    "crossed": 0,
    "foreign": 1,
    "duplicated": 0,
    "no_results": 0,
    "not_json": 0,
    "overall_error": 0,
    "success_without_rows": 0,
}
"""Of two leads in one call, how many the answer still names truly: the first."""


@pytest.mark.parametrize("mode", LIES)
def test_nothing_is_updated_on_the_strength_of_a_lie(lane: Lane, mode: str) -> None:
    phones = lane.add_leads(4)
    lane.behave(default={"mode": mode})
    receipt = lane.deliver(*map(opt_out, phones[:2]), *map(named, phones[2:]))
    wait_until(lambda: len(lane.calls()) >= 6, what="calls answered by lies")
    rows = lane.bridge.outcomes(receipt=receipt)
    # of one row alone there is no wrong order: such a call tells the truth
    alone = {
        call.elements[0]["phone_number"]
        for call in lane.calls()
        if mode in ("reordered", "crossed") and len(call.elements) == 1
    }
    believed = {0: LIES[mode], 2: LIES[mode]}
    for row in rows:
        first = row["ordinal"] in believed and believed[row["ordinal"]]
        assert (row["state"] == "updated") <= (bool(first) or row["phone"] in alone), row
        assert row["state"] in {"updated", "waiting", "in_flight"}
    lane.behave()
    lane.ends(receipt, *["updated"] * 4)
    leads = lane.sandbox.leads(lane.id)
    assert [leads[phone].do_not_call for phone in phones] == [True, True, False, False]
    assert [leads[phone].first_name for phone in phones] == [None, None, "Jane", "Jane"]


# --------------------------------------------------------------------- who goes first


def test_opt_outs_go_ahead_of_everything_that_waits(lane: Lane) -> None:
    phones = lane.add_leads(60)
    lane.behave({"mode": "429", "retry_after": 12})
    backlog = lane.deliver(*map(named, phones[:50]))
    wait_until(lambda: len(lane.calls()) == 1, what=lambda: f"one call, not {lane.calls()}")
    urgent = lane.deliver(*map(opt_out, phones[50:]))
    wait_until(lambda: len(lane.bridge.outcomes(receipt=urgent)) == 10, what="opt-outs taken in")
    assert len(lane.calls()) == 1
    lane.ends(urgent, *["updated"] * 10)
    lane.ends(backlog, *["updated"] * 50)
    after = [element for call in lane.calls()[1:] for element in call.elements]
    assert {element["phone_number"] for element in after[:10]} == set(phones[50:])
    assert all(element["do_not_call"] for element in after[:10])
