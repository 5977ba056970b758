"""One event that comes a hundred times at once has one effect, whoever takes it in."""

from __future__ import annotations

import json
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sandbox_client import Sandbox
from system.conftest import MakeBridge

TIMES = 100
CAMPAIGNS = {"one": "camp_one", "two": "c2FtcGxl/Y2FtcGFpZ24="}
PHONE = "+14155550123"
EVENT = {"id": "again and again", "at": 1_790_000_000_000, "phone": PHONE, "again": True}


def body(number: int) -> bytes:
    """The event in a delivery of its own or among others, in ever another spelling."""
    keys = list(EVENT)
    turned = keys[number % len(keys) :] + keys[: number % len(keys)]
    event: dict[str, Any] = {key: EVENT[key] for key in turned}
    other = {
        "id": f"other {number}",
        "phone": f"+1415556{number:04d}",
        "details": {"first_name": "X"},
    }
    events: Any = [[event], event, [other, event], [event, other], [event, event]][number % 5]
    return json.dumps(events, indent=number % 3 or None).encode()


@pytest.mark.parametrize("engine", ["sqlite", "postgresql"])
def test_the_same_event_posted_a_hundred_times_at_once_has_one_effect(
    sandbox: Sandbox, make_bridge: MakeBridge, engine: str
) -> None:
    for campaign in CAMPAIGNS.values():
        sandbox.put_leads(campaign, [{"phone_number": PHONE, "answered": True}])
    processes = {} if engine == "sqlite" else {"processes": 3}
    bridge = make_bridge(campaigns=CAMPAIGNS, **processes)
    bridge.start_both()
    with ThreadPoolExecutor(TIMES) as pool:
        receipts = list(pool.map(lambda n: bridge.deliver("crm", body(n)), range(TIMES)))
    assert len(set(receipts)) == TIMES
    bridge.wait_settled()

    rows = [row for row in bridge.final_outcomes() if not row["phone"].startswith("+1415556")]
    copies = sum(2 if number % 5 == 4 else 1 for number in range(TIMES))
    states = Counter((row["state"], row["campaign"], row["phone"]) for row in rows)
    assert states == {
        ("updated", "one", PHONE): 1,
        ("updated", "two", PHONE): 1,
        ("duplicate", "", ""): copies - 1,
    }
    assert len({row["event_id"] for row in rows if row["state"] == "updated"}) == 1
    sent = Counter(
        call.campaign
        for call in sandbox.calls()
        for element in call.elements
        if element["phone_number"] == PHONE
    )
    assert sent == dict.fromkeys(CAMPAIGNS.values(), 1)
    assert [sandbox.leads(id_)[PHONE].requeued for id_ in CAMPAIGNS.values()] == [1, 1]
