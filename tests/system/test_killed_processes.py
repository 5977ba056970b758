"""``kill -9`` at random moments, under load: nothing is lost, nothing is done twice.

Over PostgreSQL there are two web processes and two workers, and one of them is killed while the
other goes on. A moment is a number of deliveries accepted, or of calls made, drawn by a seeded
generator: what proves something is the number of kills that hit work under way, and not that of
events. A web process is always killed before the last deliveries are sent; a worker is killed in
the middle of a part of its own of the story, and the test counts the kills that hit work.
"""

from __future__ import annotations

import os
import random
import signal
from concurrent.futures import Future, ThreadPoolExecutor

from bridge_process import Bridge, wait_until
from sandbox_client import Sandbox

from .conftest import MakeBridge, on_both_engines
from .oracle import Oracle
from .story import CAMPAIGNS, Story, tell

SETTINGS = {"BRIDGE_STANDING": "1 2", "BRIDGE_BACKOFF_MAX": "0.1", "BRIDGE_LEASE": "6"}
EVENTS = 1_000
KILLS = 8
TIMEOUT_S = 2
"""Of a call; a third of the lease, which the leads of a killed worker wait for."""


def calls(sandbox: Sandbox) -> int:
    """How many calls the campaign API has taken."""
    return int(sandbox.stats()["calls"])


def check(story: Story, bridge: Bridge, sandbox: Sandbox, receipts: list[str]) -> None:
    """Everything that was promised with these receipts is there and ended right."""
    on_disk = {row["receipt"] for row in bridge.deliveries()}
    assert len(set(receipts)) == len(receipts)
    assert set(receipts) <= on_disk
    oracle = Oracle(story, bridge, receipts)
    oracle.check_accounts(sent_again=True)
    oracle.check_final_state(sandbox)
    oracle.check_unknown_leads()
    oracle.check_winners()
    oracle.check_calls(sandbox.calls())


def kill_web(bridge: Bridge, draw: random.Random) -> None:
    """Kill one serving process alone, which its parent replaces, or all of a web process."""
    number = draw.randrange(bridge.processes)
    web = bridge.webs[number]
    children = web.children()
    if children and draw.random() < 0.5:
        os.kill(draw.choice(list(children)), signal.SIGKILL)
    else:
        web.kill()
        bridge.start_web(number, ready=False)


@on_both_engines
def test_a_killed_web_process_has_lost_nothing_that_it_acknowledged(
    sandbox: Sandbox, make_bridge: MakeBridge
) -> None:
    draw = random.Random(31)
    story = tell(seed=31, count=EVENTS, leads=120, mean_size=3)
    sandbox.put_campaigns(*CAMPAIGNS.values())
    story.prepare(sandbox)
    bridge = make_bridge(campaigns=CAMPAIGNS, settings=SETTINGS, timeout=TIMEOUT_S)
    bridge.start_both()
    with ThreadPoolExecutor(1) as pool:
        sending: Future[list[str]] = pool.submit(story.send, bridge, hands=8)
        total = len(story.deliveries)
        for round_ in range(6):
            moment = (round_ + draw.random()) * total / 7
            wait_until(lambda: bridge.accepted() >= moment, what="load")  # noqa: B023 - used at once
            kill_web(bridge, draw)
        receipts = sending.result()
    bridge.wait_settled()
    check(story, bridge, sandbox, receipts)


@on_both_engines
def test_a_killed_worker_leaves_nothing_undone_and_marks_nobody_twice(
    sandbox: Sandbox, make_bridge: MakeBridge
) -> None:
    draw = random.Random(32)
    story = tell(seed=32, count=EVENTS, leads=120, mean_size=5)
    sandbox.put_campaigns(*CAMPAIGNS.values())
    story.prepare(sandbox)
    sandbox.behave(default={"mode": "slow", "seconds": 0.2})
    bridge = make_bridge(campaigns=CAMPAIGNS, settings=SETTINGS, batch_size=10, timeout=TIMEOUT_S)
    bridge.start_both()
    size = len(story.deliveries) // KILLS
    receipts: list[str] = []
    busy = 0
    with ThreadPoolExecutor(1) as pool:
        for kill in range(KILLS):
            part = slice(kill * size, (kill + 1) * size if kill < KILLS - 1 else None)
            moment = calls(sandbox) + draw.randint(1, 6)
            sending = pool.submit(story.send, bridge, part, hands=2)
            wait_until(
                lambda: calls(sandbox) >= moment or (sending.done() and bridge.settled()),  # noqa: B023 - used at once
                what="calls",
            )
            busy += not bridge.settled()
            number = draw.randrange(bridge.processes)
            bridge.workers[number].kill()
            bridge.start_worker(number)
            receipts += sending.result()
    bridge.wait_settled()
    assert busy > KILLS / 2, "too few kills hit work"
    assert bridge.said("worker", "leads freed from a lost worker") > 0
    check(story, bridge, sandbox, receipts)


def test_what_a_killed_worker_had_in_flight_is_asked_again_but_no_mark(
    sandbox: Sandbox, make_bridge: MakeBridge
) -> None:
    phones = [f"+1415555{number:04d}" for number in range(3)]
    sandbox.put_leads("camp_one", [{"phone_number": p, "answered": True} for p in phones])
    slow = {"mode": "slow", "seconds": 4}
    sandbox.behave(slow, slow, campaign="camp_one")
    bridge = make_bridge(campaigns={"one": "camp_one"}, settings={"BRIDGE_LEASE": "18"}, timeout=6)
    bridge.start_both()

    def in_flight() -> int:
        return sum(call.finished_ms is None for call in sandbox.calls())

    opt_out = bridge.deliver("crm", [{"id": "a", "phone": phones[0], "dnc": True}])
    wait_until(lambda: in_flight() == 1, what="a call in flight")
    marks = bridge.deliver(
        "crm",
        [
            {"id": "b", "phone": phones[1], "again": True},
            {"id": "c", "phone": phones[2], "again": True, "details": {"first_name": "Jane"}},
        ],
    )
    wait_until(lambda: in_flight() == 2, what="a second call in flight")
    assert bridge.worker is not None
    bridge.worker.kill()
    assert in_flight() == 2
    bridge.start_worker()
    bridge.wait_settled()
    assert bridge.states(opt_out) == ["updated"]
    assert bridge.states(marks) == ["unconfirmed", "unconfirmed"]
    sent = [element for call in sandbox.calls() for element in call.elements]
    assert [e["phone_number"] for e in sent].count(phones[0]) == 2
    assert sorted(e["phone_number"] for e in sent if "mark_as_unanswered" in e) == phones[1:]
    assert [e for e in sent if e["phone_number"] == phones[2]][1:] == [
        {"phone_number": phones[2], "first_name": "Jane"}
    ]
