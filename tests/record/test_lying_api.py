"""Whatever a campaign's API answers for a while: who is not to blame gets through afterwards.

Workers as they are, over a clock of the test (``simulated``). What is held at every moment: no
call goes while its worker was told to wait, nothing is confirmed that no reply named, no older
value is sent after a newer one, and nothing that is open is without a next turn.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import groupby, pairwise
from random import Random
from typing import Any

import pytest

from bridge.model import State
from bridge.record.gate import GatePolicy
from bridge.store import campaigns
from bridge.store.outcomes import OpenUpdate

from .simulated import BAD, CRASH, KINDS, ODD, Api, Window, Worker, World

PROBE = 60_000
CALM = 200_000
"""From here on (ms) the API is well, but for the leads and values that it refuses."""

OPT_OUT = {"do_not_call": True}
NAMED = {"first_name": "Ann"}

SEEN = (27, 68, 81, 130, 131, 157, 1159)
"""Seeds that have shown something: somebody who waited for good, for parts that were not asked
about, for a probe that did not open, or for a 413 that did, which also had an update rejected."""

OVERLAPPING = (17, 30, 35, 50, 217, 239, 258)
"""Seeds in which a lead that is to blame was in doubt once more: who got through was not recorded
yet, or a worker probed what another had opened. Those that four divide have one worker."""

Deed = tuple[float, int, Any]
"""When (ms), for which lead, and what; -1: for a worker, which is stopped or killed."""


def windows_of(random: Random) -> list[Window]:
    """Troubles one after the other, each once at most."""
    found: list[Window] = []
    at = random.choice([0.0, random.uniform(0, 20_000)])
    for kind in random.sample(KINDS, random.randint(0, 3)):
        end = min(at + random.choice([2_000, 20_000, 100_000]), CALM)
        if at < end:
            found.append(Window(at, end, kind))
        at = end + random.choice([0, 5_000, 30_000])
    return found


def deeds_of(random: Random, leads: int) -> list[Deed]:
    """For each lead an opt-out, a name or both, at once or one after the other; and restarts."""
    found: list[Deed] = []
    for number in range(leads):
        at = random.choice([0.0, 0.0, random.uniform(0, CALM + 2 * PROBE)])
        name = {"first_name": random.choice(["Ann"] * 6 + [BAD, BAD, ODD, CRASH])}
        ways: list[list[dict[str, Any]]] = [
            [OPT_OUT],
            [name],
            [OPT_OUT, name],
            [name, OPT_OUT],
            [OPT_OUT | name],
        ]
        for fields in random.choice(ways):
            found.append((at, number, fields))
            at += random.choice([0, 5_000])
    restarts = random.choice([0, 0, 1, 3])
    found += [
        (random.uniform(0, CALM), -1, random.choice(["stop", "kill"])) for _ in range(restarts)
    ]
    return sorted(found, key=lambda deed: deed[:2])


def lives_through(world: World, workers: int, deeds: list[Deed]) -> None:
    there = [Worker(world) for _ in range(workers)]
    try:
        for at, number, what in deeds:
            world.clock.run(at)
            if number < 0:
                old = there.pop(0)
                old.stopping, old.dead = True, what == "kill"
                there.append(Worker(world))
            else:
                world.arrive(number, what)
        world.clock.run(max(world.clock.now, CALM) + 8 * PROBE)
    finally:
        world.clock.end()


def at_fault(row: OpenUpdate) -> bool:
    return row.fields.get("first_name") in (BAD, ODD)


def judge(world: World) -> None:
    # one by one, whoever is refused may be asked before
    faulty = {
        n for n, lead in world.leads.items() for one in lead.updates.values() if at_fault(one)
    }
    ahead = len(faulty | world.api.refused) if world.campaign.batch_size == 1 else 0
    for (number, update), at in world.born.items():
        row = world.leads[number].updates[update]
        if row.state is State.REJECTED:
            assert at_fault(row), f"{number}: for no fault of its own"
        # whoever is refused keeps what else there is of him behind, until somebody gets through
        if number not in world.api.refused and not at_fault(row):
            assert row.state.final, f"{number}: {row.state}"
            wait = world.ended[number, update] - max(at, CALM)
            # of what is no opt-out each lane may begin with somebody who is refused
            probes = (3 if row.opts_out else 5) + ahead
            assert wait <= probes * PROBE, f"{number} waited for {wait} ms"


@pytest.mark.parametrize("seed", [*range(20), *SEEN])
def test_who_is_not_to_blame_gets_through_and_nobody_else_is_rejected(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(seed, monkeypatch)


@pytest.mark.parametrize("seed", range(20))
def test_neither_does_a_busy_database_keep_them_back(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(seed, monkeypatch, busy=busy(seed))


def busy(seed: int) -> Callable[[], float]:
    """Before whatever is written: mostly nothing, now and then longer than a call takes."""
    return partial(Random(seed).choice, [0.0, 0.0, 5.0, 30.0, 300.0])


@pytest.mark.parametrize("seed", [*range(0, 40, 4), *OVERLAPPING])
def test_a_lead_that_is_refused_ends_once_another_got_through(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a 403 is noted while who gets through is out, it may be the next that tells: those are
    other seeds."""
    random = Random(seed)
    one_worker = seed % 4 == 0
    api = Api(random, set(), 99, [], (0.005, 0.05), 0.0)
    world = World(
        monkeypatch,
        random,
        api,
        policy=GatePolicy(500, 5 * PROBE, 5 * PROBE),
        size=100,
        concurrency=1,
        rate=random.choice([10.0, 1_000.0]),
        one_worker=one_worker,
        busy=busy(seed),
    )
    for _ in range(1 if one_worker else 2):
        Worker(world)
    try:
        world.arrive(0, {"first_name": BAD})
        while world.condition().condition == campaigns.OPEN:
            world.clock.run(world.clock.now + 10)
        world.clock.run(world.clock.now + random.uniform(0, 800))
        world.arrive(1, OPT_OUT)
        world.clock.run(world.clock.now + 30_000)
    finally:
        world.clock.end()
    assert {number: lead.updates[1].state for number, lead in world.leads.items()} == {
        0: State.REJECTED,
        1: State.UPDATED,
    }
    assert world.condition().condition == campaigns.OPEN


def run(seed: int, patch: pytest.MonkeyPatch, *, busy: Callable[[], float] = lambda: 0.0) -> World:
    random = Random(seed)
    leads = random.randint(2, 25)
    api = Api(
        random,
        set(random.sample(range(leads), min(leads, random.choice([0, 0, 1, 3])))),
        random.choice([3, 99, 99, 99]),
        windows_of(random),
        random.choice([(0.01, 0.1), (0.01, 0.1), (0.01, 2.0), (1.0, 9.0)]),
        CALM,
    )
    workers = random.choice([1, 2, 2])
    world = World(
        patch,
        random,
        api,
        policy=GatePolicy(1_000, PROBE, PROBE),
        size=random.choice([1, 3, 25]),
        concurrency=random.choice([1, 2]),
        one_worker=workers == 1 and random.random() < 0.5,
        busy=busy,
    )
    lives_through(world, workers, deeds_of(random, leads))
    judge(world)
    assert len(api.calls) < 40 * leads
    return world


def test_a_slow_api_and_an_opt_out_that_it_refuses_do_not_hold_everybody_else_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its 403 comes while the probe of the others waits for its answer, each time anew."""
    random = Random(1)
    api = Api(random, {0}, 99, [], (6.0, 8.0), 0.0)
    policy = GatePolicy(1_000, 5 * PROBE, 5 * PROBE)
    world = World(monkeypatch, random, api, policy=policy, size=25, concurrency=1, one_worker=True)
    names = [(number * 20_000.0, number, NAMED) for number in range(1, 41)]
    lives_through(world, 1, [(0.0, 0, OPT_OUT), *names])
    after_the_first_probe = [number for at, number, _ in names if at > 6 * PROBE]
    waits = [world.ended[number, 1] - world.born[number, 1] for number in after_the_first_probe]
    assert max(waits) < 30_000


def test_a_probe_that_asks_about_its_parts_is_one_workers_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    api = Api(Random(1), set(), 99, [Window(0.0, 1e9, "403")], (4.0, 4.5), 0.0)
    policy = GatePolicy(1_000, PROBE, PROBE)
    world = World(monkeypatch, Random(1), api, policy=policy, size=6, concurrency=1)
    lives_through(world, 2, [(0.0, number, NAMED) for number in range(12)])
    probes = [span for span in world.spans if span[0] >= PROBE]
    assert len({worker for _, _, worker in probes}) == 2
    for earlier, later in pairwise(sorted(probes, key=lambda span: span[0])):
        assert earlier[2] is later[2] or earlier[1] <= later[0]
    longest = max(len(list(calls)) for _, calls in groupby(probes, key=lambda span: span[2]))
    assert longest > 3
