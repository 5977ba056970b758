"""A 403 may be about one lead, which never holds up the others of its campaign."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from bridge_process import Bridge, wait_until
from firewall import Firewall
from sandbox_client import Sandbox

from bridge.store import campaigns as campaign_rows

from .conftest import on_both_engines, shared_database
from .mapping_files import write_mappings

PHONES = [f"+1415555{number:04d}" for number in range(6)]
BAD = "Robert'); DROP TABLE"


def opt_out(phone: str) -> dict[str, Any]:
    return {"phone": phone, "dnc": True}


def named(phone: str, name: str = "Jane") -> dict[str, Any]:
    return {"phone": phone, "details": {"first_name": name}}


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[Sandbox]:
    with Sandbox(tmp_path, campaigns=["camp_one"]) as running:
        running.put_leads("camp_one", [{"phone_number": phone} for phone in PHONES])
        yield running


@pytest.fixture
def firewall(sandbox: Sandbox) -> Iterator[Firewall]:
    with Firewall(sandbox.url) as running:
        yield running


@pytest.fixture
def bridge(
    tmp_path: Path,
    sandbox: Sandbox,
    firewall: Firewall,
    engine: str,
    request: pytest.FixtureRequest,
) -> Iterator[Bridge]:
    """A bridge with the pauses that are set by default."""
    with shared_database(engine, request) as over:
        made = Bridge(
            tmp_path,
            mappings=write_mappings(
                tmp_path / "mappings", {"one": "camp_one"}, concurrency=1, timeout=45
            ),
            api_url=firewall.url,
            api_token=sandbox.token,
            **over,
            settings={
                "BRIDGE_LEASE": "150",
                "BRIDGE_UNKNOWN_TRIES": "2",
                "BRIDGE_BACKOFF": "0.5",
                "BRIDGE_BACKOFF_MAX": "300",
                "BRIDGE_PAUSE_PROBE": "300",
            },
        )
        with made:
            made.start_both()
            yield made


def condition(bridge: Bridge) -> campaign_rows.Condition:
    """The condition of the campaign; open until the worker has greeted it."""
    with bridge.database.read() as connection:
        return campaign_rows.condition(connection, "one") or campaign_rows.Condition()


def ends(bridge: Bridge, receipt: str, *states: str) -> None:
    def seen() -> list[str]:
        rows = sorted(bridge.outcomes(receipt=receipt), key=lambda row: row["ordinal"])
        return [row["state"] for row in rows]

    wait_until(lambda: seen() == list(states), 30, lambda: f"{states} instead of {seen()}")


def is_held_back(bridge: Bridge) -> None:
    """After the first refusal: from here on nothing goes out but to try the campaign."""
    wait_until(lambda: condition(bridge).condition == "backoff", what="the first refusal")


def refused(firewall: Firewall) -> int:
    return sum(call.status == 403 for call in firewall.calls)


@on_both_engines
def test_a_lead_that_alone_is_refused_does_not_hold_up_an_opt_out(
    bridge: Bridge, firewall: Firewall, sandbox: Sandbox
) -> None:
    firewall.refused = [BAD]
    bad = bridge.deliver("crm", [named(PHONES[0], BAD)])
    is_held_back(bridge)
    for good in PHONES[1:]:
        ends(bridge, bridge.deliver("crm", [opt_out(good)]), "updated")
        assert sandbox.leads("camp_one")[good].do_not_call
        with suppress(AssertionError):  # where two workers called at once, the next one tells
            wait_until(lambda: bridge.states(bad) == ["rejected"], 3)
            break
    assert bridge.states(bad) == ["rejected"]
    assert condition(bridge).condition == "open"


def test_a_refused_opt_out_stands_and_lets_the_others_go_before_it(
    bridge: Bridge, firewall: Firewall, sandbox: Sandbox
) -> None:
    firewall.refused = [PHONES[0]]
    bad = bridge.deliver("crm", [opt_out(PHONES[0])])
    is_held_back(bridge)
    good = bridge.deliver("crm", [named(PHONES[1])])
    ends(bridge, good, "updated")
    ends(bridge, bad, "standing")
    before = condition(bridge)
    assert before.condition == "open"
    calls = len(firewall.calls)
    bridge.deliver("crm", [opt_out(PHONES[0])])  # it is known by now, and closes nothing
    wait_until(lambda: len(firewall.calls) > calls, what="one more try")
    ends(bridge, bridge.deliver("crm", [opt_out(PHONES[2])]), "updated")
    assert condition(bridge) == before, "not closed, and so not opened again"


def test_an_opt_out_is_not_lost_with_a_value_that_the_firewall_refuses(
    bridge: Bridge, firewall: Firewall, sandbox: Sandbox
) -> None:
    firewall.refused = [BAD]
    both = bridge.deliver("crm", [{**opt_out(PHONES[0]), "details": {"first_name": BAD}}])
    ends(bridge, both, "updated")
    assert sandbox.leads("camp_one")[PHONES[0]].do_not_call


def test_opt_outs_with_values_that_are_refused_do_not_keep_each_other_from_going_alone(
    bridge: Bridge, firewall: Firewall, sandbox: Sandbox
) -> None:
    """Nobody else has anything to send, so nobody can show whose the refusal is."""
    firewall.refused = [BAD]
    details = {"details": {"first_name": BAD}}
    both = bridge.deliver("crm", [{**opt_out(phone), **details} for phone in PHONES[:2]])
    wait_until(lambda: condition(bridge).condition == "paused", what="the pause")
    bridge.call("campaigns", "resume", "one")
    ends(bridge, both, "updated", "updated")
    assert sandbox.leads("camp_one")[PHONES[1]].do_not_call


def test_a_right_that_was_taken_away_pauses_the_campaign_also_for_one_lead_alone(
    bridge: Bridge, firewall: Firewall, sandbox: Sandbox
) -> None:
    ends(bridge, bridge.deliver("crm", [named(PHONES[0])]), "updated")
    firewall.refused = [""]
    receipt = bridge.deliver("crm", [named(PHONES[1])])
    wait_until(lambda: condition(bridge).condition == "paused", 60, what="the pause")
    assert condition(bridge).status == 403
    ends(bridge, receipt, "waiting")
    firewall.refused = []
    bridge.call("campaigns", "resume", "one")
    ends(bridge, receipt, "updated")


def test_the_probe_of_a_paused_campaign_finds_out_which_lead_is_to_blame(
    bridge: Bridge, firewall: Firewall, sandbox: Sandbox
) -> None:
    firewall.refused = [""]
    receipt = bridge.deliver("crm", [named(PHONES[0], BAD), named(PHONES[1]), named(PHONES[2])])
    wait_until(lambda: condition(bridge).condition == "paused", what="the pause")
    firewall.refused = [BAD]
    bridge.call("campaigns", "resume", "one")
    ends(bridge, receipt, "rejected", "updated", "updated")
    assert condition(bridge).condition == "open"


@on_both_engines
def test_two_refused_leads_in_the_halves_of_a_batch_hold_nobody_up(
    bridge: Bridge, firewall: Firewall, sandbox: Sandbox
) -> None:
    firewall.refused = [BAD]
    names = (BAD, "Jane", "Jane", BAD)
    receipt = bridge.deliver("crm", [named(PHONES[n], name) for n, name in enumerate(names)])
    ends(bridge, receipt, "rejected", "updated", "updated", "rejected")
    assert condition(bridge).condition == "open"


def test_two_refused_opt_outs_stand_and_pause_nothing_from_then_on(
    bridge: Bridge, firewall: Firewall, sandbox: Sandbox
) -> None:
    firewall.refused = PHONES[:2]
    bad = bridge.deliver("crm", [opt_out(phone) for phone in PHONES[:2]])
    wait_until(lambda: condition(bridge).condition == "paused", what="the pause")
    good = bridge.deliver("crm", [named(PHONES[2])])
    bridge.call("campaigns", "resume", "one")
    ends(bridge, good, "updated")
    ends(bridge, bad, "standing", "standing")
    assert condition(bridge).condition == "open"
    changes = condition(bridge).changes
    calls = len(firewall.calls)
    bridge.deliver("crm", [opt_out(phone) for phone in PHONES[:2]])  # as their schedule has it
    wait_until(lambda: len(firewall.calls) > calls, what="one more try")
    ends(bridge, bridge.deliver("crm", [opt_out(PHONES[3])]), "updated")
    assert condition(bridge).changes == changes


def test_opt_outs_do_not_wait_for_others_whose_call_is_slow(
    bridge: Bridge, firewall: Firewall, sandbox: Sandbox
) -> None:
    firewall.refused, firewall.slow = [PHONES[0]], ["Slow"]
    slow = bridge.deliver("crm", [named(PHONES[3], "Slow")])
    wait_until(lambda: firewall.waiting == 1, what="the slow call")
    try:
        bad = bridge.deliver("crm", [opt_out(PHONES[0])])
        is_held_back(bridge)
        good = bridge.deliver("crm", [opt_out(PHONES[1])])
        ends(bridge, good, "updated")
        ends(bridge, bad, "standing")
        assert firewall.waiting == 1
    finally:
        firewall.let_go.set()
    ends(bridge, slow, "updated")


@pytest.mark.parametrize(("status", "state"), [(422, "rejected"), (200, "unconfirmed")])
def test_a_lead_that_the_api_answered_for_is_not_to_blame_for_the_next_403(
    bridge: Bridge, firewall: Firewall, sandbox: Sandbox, status: int, state: str
) -> None:
    firewall.refused, firewall.unfit, firewall.unfit_status = [""], ["Odd"], status
    odd = bridge.deliver("crm", [named(PHONES[0], "Odd")])
    wait_until(lambda: refused(firewall) == 1, what="the first refusal")
    firewall.refused = []
    ends(bridge, odd, state)  # by the API, in the very call that opens the campaign again
    waits_for_its_right(bridge, firewall)


def test_a_lead_that_was_to_blame_is_not_for_another_update(
    bridge: Bridge, firewall: Firewall, sandbox: Sandbox
) -> None:
    firewall.refused = [BAD]
    bad = bridge.deliver("crm", [named(PHONES[0], BAD)])
    is_held_back(bridge)
    ends(bridge, bridge.deliver("crm", [opt_out(PHONES[1])]), "updated")
    ends(bridge, bad, "rejected")
    waits_for_its_right(bridge, firewall)


def waits_for_its_right(bridge: Bridge, firewall: Firewall) -> None:
    """A campaign whose right is taken away and given back keeps what the first lead was to be."""
    before = refused(firewall)
    firewall.refused = [""]
    receipt = bridge.deliver("crm", [named(PHONES[0])])
    wait_until(lambda: refused(firewall) > before, what="a refusal that is the campaign's")
    firewall.refused = []
    ends(bridge, receipt, "updated")
