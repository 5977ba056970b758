"""A worker stands back for webhooks, but not with an opt-out."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from bridge.model import Found, Wanted
from bridge.store import leads
from bridge.store.counters import Counted
from bridge.store.database import Database
from bridge.store.right_of_way import LONGEST_REST_S, LOOK_AGAIN_S, MOST_REST_S

from .flood import Webhooks, flooding
from .idle_worker import idle_worker
from .replaying import BOUNDS, CONSENT, HEAD, LOOK_UP, World

SHARE = 0.01
"""So little that a worker rests for as long as it ever does."""

BATCH = 8


class Few(World):
    """A worker that takes in few events at a time."""

    bounds = replace(BOUNDS, batch=BATCH)


ASKS = """
rules:
  - name: opt-out
    when: dnc
    channel: voice
    lead: {phone_number: contact.phone, do_not_call: {value: true}}
  - name: details
    when: name
    lead: {phone_number: contact.phone, first_name: name}
"""


class Fifths(World):
    """A worker of whose turns in a flood, of ten events, two are the part of the oldest."""

    bounds = replace(BOUNDS, batch=40)


def phone(number: int) -> str:
    return f"+1415555{number:04d}"


def receive(world: World, numbers: range, **more: Any) -> None:
    """Store an event of each of these leads; nobody has worked on it yet."""
    for number in numbers:
        world.receive({"id": number, "phone": phone(number), "name": "Jo", "at": 1} | more)


def with_consent(world: World) -> World:
    """The rules for consent are in force, and lead 0 is there."""
    world.write(HEAD + CONSENT)
    world.take_in({"id": 0, "phone": phone(0), "name": "Jo", "at": 1})
    return world


def test_a_worker_hears_of_the_webhooks_of_a_web_process(
    database: Database, opened: Callable[..., Database]
) -> None:
    with flooding(database, opened(share=SHARE)):
        pass


def test_what_is_urgent_goes_before_what_stands_back(
    database: Database, opened: Callable[..., Database], tmp_path: Path
) -> None:
    worker = opened(share=SHARE)
    webhooks = Webhooks(tmp_path, worker, SHARE)
    done: list[str] = []

    def write() -> None:
        with worker.write():
            done.append("other")

    thread = threading.Thread(target=write, daemon=True)
    with webhooks.flood(owing=True):
        thread.start()
        assert webhooks.stood_back.wait(30)
        with worker.write(urgent=True):
            done.append("urgent")
    thread.join(30)
    assert done == ["urgent", "other"]


def test_many_who_stand_back_all_get_their_turn(
    database: Database, opened: Callable[..., Database], tmp_path: Path
) -> None:
    worker = opened(share=0.5, busy_timeout_s=30.0)
    webhooks = Webhooks(tmp_path, worker, 0.5, passing=True)
    done: list[int] = []

    def write(number: int) -> None:
        for _ in range(3):
            with worker.write() as connection:
                leads.next_due(connection, "main")
                done.append(number)

    with webhooks.flood(owing=True):
        threads = [threading.Thread(target=write, args=(n,), daemon=True) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert webhooks.stood_back.is_set()
        assert sorted(done) == sorted(list(range(8)) * 3)


def test_nobody_stands_back_for_good_because_others_go_on(
    database: Database, opened: Callable[..., Database], tmp_path: Path
) -> None:
    """Opt-outs that are sent all the time owe all the time, for a whole process."""
    worker = opened(share=SHARE)
    world = Few(worker, tmp_path)
    world.receive({"id": 1, "phone": "+14155550001", "name": "Jo", "at": 1})
    done: list[str] = []

    def write() -> None:
        with worker.write():
            done.append("answer recorded")

    def take_in() -> None:
        world.worker().take_in()
        done.append("taken in")

    threads = [threading.Thread(target=work, daemon=True) for work in (write, take_in)]
    with flooding(database, worker, owing=True):
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert sorted(done) == ["answer recorded", "taken in"]


def test_a_worker_takes_in_less_at_once_while_it_stands_back(
    database: Database, opened: Callable[..., Database], tmp_path: Path
) -> None:
    worker = opened(share=0.2)
    world = Few(worker, tmp_path)
    for number in range(2 * BATCH):
        world.receive({"id": number, "phone": f"+1415555{number:04d}", "name": "Jo", "at": 1})
    webhooks = Webhooks(tmp_path, worker, 0.2, passing=True)
    with webhooks.flood():
        assert world.worker().take_in() == BATCH // 4
    webhooks.come()
    assert not worker.right_of_way.flood
    assert world.worker().take_in() == BATCH // 4, "it may become one"
    webhooks.go_by(0.5)
    assert world.worker().take_in() == BATCH, "it was none"


def test_an_opt_out_is_taken_in_while_everything_else_rests(
    database: Database, opened: Callable[..., Database], tmp_path: Path
) -> None:
    worker = opened(share=SHARE)
    world = with_consent(Fifths(worker, tmp_path))
    receive(world, range(1, 30))
    receive(world, range(900, 901), dnc=True)
    webhooks = Webhooks(tmp_path, worker, SHARE, passing=True)
    with webhooks.flood(owing=True):
        began = webhooks.now
        assert world.worker().take_in() == 3, "the opt-out and, beside it, the two oldest"
        assert webhooks.now - began == pytest.approx(LOOK_AGAIN_S, abs=0.01)
        assert {row["phone"] for row in world.outcomes()} == {
            phone(number) for number in (0, 1, 2, 900)
        }
        assert world.worker().take_in() == 10, "what it may take in after its rest"
        assert webhooks.now - began >= MOST_REST_S


def test_what_waits_comes_on_however_many_opt_outs_flood_in(
    database: Database, opened: Callable[..., Database], tmp_path: Path
) -> None:
    worker = opened(share=SHARE)
    world = with_consent(Few(worker, tmp_path))
    receive(world, range(1, 20))
    receive(world, range(900, 920), dnc=True)
    webhooks = Webhooks(tmp_path, worker, SHARE, passing=True)
    with webhooks.flood(owing=True):
        for _ in range(10):
            world.worker().take_in()
    waited = [row["phone"] for row in world.outcomes() if not row["opts_out"]]
    assert set(waited) >= {phone(number) for number in range(10)}


def test_one_opt_out_after_the_other_does_not_put_off_a_turn_of_all(
    database: Database, opened: Callable[..., Database], tmp_path: Path
) -> None:
    """Each goes ahead with the part of those that wait, which are many more."""
    worker = opened(share=SHARE)
    web = Fifths(database, tmp_path)
    world = with_consent(Fifths(worker, tmp_path))
    receive(world, range(1, 60))
    webhooks = Webhooks(tmp_path, worker, SHARE, passing=True)
    taken: list[int] = []
    with webhooks.flood(owing=True):
        began = webhooks.now
        while webhooks.now - began < LONGEST_REST_S + LOOK_AGAIN_S:
            web.receive({"id": 900 + len(taken), "phone": phone(900), "dnc": True, "at": 1})
            taken.append(world.worker().take_in())
            worker.right_of_way.held(10.0)
    assert taken[0] == 1 + 2
    assert max(taken) == Fifths.bounds.batch // 4


def test_what_is_looked_up_for_others_comes_on_however_many_opt_outs_come(
    database: Database, opened: Callable[..., Database], tmp_path: Path
) -> None:
    worker = opened(share=SHARE)
    world, web = Few(worker, tmp_path), Few(database, tmp_path)
    for one in (world, web):
        one.write(HEAD + LOOK_UP + ASKS)
    world.take_in({"id": 1, "contact": "7", "name": "Jo", "at": 1})
    webhooks = Webhooks(tmp_path, worker, SHARE, passing=True)
    crm: Any = Crm({}, lambda: None)
    looked_up: list[int] = []
    with webhooks.flood(owing=True):
        began = webhooks.now
        while webhooks.now - began < LONGEST_REST_S + LOOK_AGAIN_S:
            number = 900 + len(looked_up)
            web.take_in({"id": number, "contact": str(number), "dnc": True, "at": 1})
            looked_up.append(world.worker().look_up("crm", crm))
            worker.right_of_way.held(10.0)
    assert sorted(looked_up)[-2:] == [1, 2], "once an opt-out, and then what has waited"
    assert {row["opts_out"] for row in world.outcomes()} == {True, False}


def test_also_without_a_flood_opt_outs_do_not_put_off_what_is_looked_up_for_others(
    database: Database, tmp_path: Path
) -> None:
    world = Few(database, tmp_path)
    world.write(HEAD + LOOK_UP + ASKS)
    world.take_in({"id": 1, "contact": "7", "name": "Jo", "at": 1})
    webhooks = Webhooks(tmp_path, database, SHARE)
    crm: Any = Crm({}, lambda: None)
    looked_up: list[int] = []
    for number in (2, 3, 4):
        world.take_in({"id": number, "contact": str(number), "dnc": True, "at": 1})
        looked_up.append(world.worker().look_up("crm", crm))
        if number == 3:
            webhooks.end()  # long after
    assert looked_up == [1, 1, 2]


def test_the_look_up_of_an_opt_out_goes_on_while_the_others_rest(
    database: Database, opened: Callable[..., Database], tmp_path: Path
) -> None:
    worker = opened(share=SHARE)
    world = Few(worker, tmp_path)
    world.write(HEAD + LOOK_UP + ASKS)
    world.take_in(
        {"id": 1, "contact": "7", "name": "Jo", "at": 1},
        {"id": 2, "contact": "8", "dnc": True, "at": 1},
    )
    webhooks = Webhooks(tmp_path, worker, SHARE, passing=True)
    crm: Any = Crm({}, lambda: None)
    with webhooks.flood(owing=True):
        began = webhooks.now
        assert world.worker().look_up("crm", crm) == 1
        assert webhooks.now - began == pytest.approx(LOOK_AGAIN_S, abs=0.01)
        assert {row["opts_out"] for row in world.outcomes()} == {True}
        assert world.worker().look_up("crm", crm) == 1
        assert webhooks.now - began >= MOST_REST_S


RECORDS = """
rules:
  - name: opt-out
    when: contact.dnc
    channel: voice
    lead: {phone_number: contact.phone, do_not_call: {value: true}}
  - name: details
    when: contact
    lead: {phone_number: contact.phone, first_name: contact.name}
"""


class Crm:
    """A CRM that gives a record for whatever is asked. ``asked``: hears that it was."""

    def __init__(self, record: dict[str, Any], asked: Callable[[], None]) -> None:
        self._found = Found(({"phone": "+14155550001", "name": "Jo"} | record,))
        self._asked = asked

    def replace(self, _lookups: object) -> None:
        """What is declared makes no difference here."""

    def resolve(self, wanted: Sequence[Wanted], _now: object) -> list[Found]:
        self._asked()
        return [self._found for _ in wanted]


def test_what_was_looked_up_is_stored_without_standing_back(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = Few(database, tmp_path)
    world.write(HEAD + LOOK_UP + RECORDS)
    world.take_in({"id": 1, "contact": "7", "at": 1})
    rested: list[str] = []
    monkeypatch.setattr(database.right_of_way, "give_way", lambda *_: rested.append("rested"))
    crm: Any = Crm({"dnc": True}, lambda: rested.append("asked"))
    assert world.worker().look_up("crm", crm) == 1
    assert rested == ["rested", "asked"]
    assert {row["opts_out"] for row in world.outcomes()} == {True}


def test_what_comes_while_a_look_up_stands_back_is_looked_up_with_the_others(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = Few(database, tmp_path)
    world.write(HEAD + LOOK_UP + RECORDS)
    world.take_in({"id": 1, "contact": "7", "at": 1})
    come = iter([{"id": 2, "contact": "8", "at": 1}])

    def meanwhile(*_: object) -> None:
        for event in come:
            world.take_in(event)

    monkeypatch.setattr(database.right_of_way, "give_way", meanwhile)
    crm: Any = Crm({"dnc": True}, lambda: None)
    assert world.worker().look_up("crm", crm) == 2


def test_taking_in_stands_back_before_it_looks(
    database: Database, opened: Callable[..., Database], tmp_path: Path
) -> None:
    """What comes while it stands back is taken in right after."""
    worker = opened(share=SHARE)
    world, web = Few(worker, tmp_path), Few(database, tmp_path)
    webhooks = Webhooks(tmp_path, worker, SHARE)
    taken: list[int] = []
    taking = world.worker()
    taking.take_in()  # which stores the mapping, and would stand back for that as well
    thread = threading.Thread(target=lambda: taken.append(taking.take_in()), daemon=True)
    with webhooks.flood(owing=True):
        thread.start()
        assert webhooks.stood_back.wait(30)
        web.receive({"id": 1, "phone": "+14155550001", "name": "Jo", "at": 1})
        assert not taken
    thread.join(30)
    assert taken == [1]


def test_what_was_looked_through_is_stored_without_standing_back(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = Few(database, tmp_path)
    for number in (1, 2):
        world.receive({"id": number, "phone": f"+1415555000{number}", "name": "Jo", "at": 1})
        rested: list[str] = []
        give_way = partial(rested.append, "rested")
        monkeypatch.setattr(database.right_of_way, "give_way", lambda *_, rest=give_way: rest())
        assert world.worker().take_in() == 1
    assert rested == ["rested"], "the mapping was stored with the first"


def test_showing_that_a_worker_lives_does_not_stand_back(
    database: Database, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor what its thread does besides, time and again: health tells of a worker that is silent,
    and what it looks up is held for no longer than a lease."""
    world = World(database, tmp_path)
    with idle_worker(world, url, monkeypatch) as (worker, _):
        worker._tend()  # also meets the campaigns, and looks for what is old
        rested: list[str] = []
        way = worker.database.right_of_way
        monkeypatch.setattr(way, "give_way", lambda *_: rested.append("rested"))
        worker.counts.add(Counted.LOOKED_UP, "crm")
        with worker.pipeline._equipment.holds.during([1], 0):
            worker._tend()
        assert not rested
