"""Opt-outs among deliveries that wait: they are taken in before what came earlier."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from structlog.testing import capture_logs

from bridge.clock import now_ms
from bridge.errors import StoreBusy
from bridge.steps import take_in
from bridge.steps.erase import erase_people
from bridge.steps.scout import Scout
from bridge.steps.take_in import AHEAD
from bridge.store import deliveries
from bridge.store.database import Database

from .replaying import BOUNDS, CONSENT, HEAD, LOOK_UP, World
from .rows import a_delivery

BATCH = 10


class Narrow(World):
    """A worker that takes in ten events at a time."""

    bounds = replace(BOUNDS, batch=BATCH)


@pytest.fixture
def world(database: Database, tmp_path: Path) -> World:
    folder = tmp_path / "mappings"
    folder.mkdir()
    world = Narrow(database, folder)
    world.write(HEAD + CONSENT)
    return world


def phone(number: int) -> str:
    return f"+1415555{number:04d}"


_ids = itertools.count(1)


def event(number: int, **more: Any) -> dict[str, Any]:
    return {"id": next(_ids), "phone": phone(number), "name": "A", "at": now_ms()} | more


def taken(world: World) -> list[str]:
    """The numbers of the leads in the order in which they were taken in."""
    return list(dict.fromkeys(row["phone"] for row in world.outcomes()))


def wait_in_line(world: World, numbers: range) -> None:
    """Store ordinary deliveries of these leads, one event each."""
    with world.database.write() as connection:
        rows = [a_delivery(source="crm", body=json.dumps(event(n)).encode()) for n in numbers]
        deliveries.add(connection, rows)


def has_been_taken(world: World, receipt: str) -> bool:
    with world.database.read() as connection:
        delivery = deliveries.by_receipt(connection, receipt)
        assert delivery is not None
        return deliveries.heads(connection, [delivery.id])[delivery.id].taken


def turns_until(world: World, number: int) -> int:
    """How many turns a worker takes in before a lead has its outcome."""
    for turn in itertools.count(1):
        assert world.worker().take_in(), "it was never taken in"
        if world.outcomes(phones=[phone(number)]):
            return turn
    raise AssertionError


@pytest.mark.parametrize("size", [1, 5], ids=["single events", "five in a delivery"])
def test_an_opt_out_behind_a_backlog_is_taken_in_within_two_turns(world: World, size: int) -> None:
    for first in range(0, 200, size):
        events = [event(number) for number in range(first, first + size)]
        world.receive(events if size > 1 else events[0])
    world.receive(event(900, dnc=True))
    assert turns_until(world, 900) == 2
    while world.worker().take_in():
        pass
    assert len(taken(world)) == 201


def test_what_goes_ahead_goes_in_its_order_and_leaves_room_for_the_oldest(world: World) -> None:
    wait_in_line(world, range(100))
    for number in range(900, 950):
        world.receive(event(number, dnc=True))
    for _ in range(4):
        world.worker().take_in()
    urgent, rest = iter(range(900, 950)), iter(range(BATCH, 100))
    wanted = [phone(n) for n in range(BATCH)]  # nobody has looked ahead yet
    for _ in range(3):
        wanted += [phone(n) for n in islice(urgent, BATCH * AHEAD // 100)]
        wanted += [phone(n) for n in islice(rest, BATCH - BATCH * AHEAD // 100)]
    assert taken(world) == wanted


def test_what_could_not_be_stored_goes_ahead_again(
    opened: Callable[..., Database], tmp_path: Path
) -> None:
    (tmp_path / "mappings").mkdir()
    other = opened()
    world = Narrow(opened(busy_timeout_s=0.2, statement_timeout_s=0.5), tmp_path / "mappings")
    wait_in_line(world, range(100))
    world.receive(event(900, dnc=True))
    world.worker().take_in()
    with other.write() as connection:  # on SQLite this alone keeps others from writing
        if not other.is_sqlite:
            connection.execute(text("LOCK TABLE event IN ACCESS EXCLUSIVE MODE"))
        with pytest.raises(StoreBusy):
            world.worker().take_in()
    assert turns_until(world, 900) == 1


def test_what_another_worker_took_in_meanwhile_is_not_waited_for(world: World) -> None:
    wait_in_line(world, range(100))
    for number in range(900, 916):
        world.receive(event(number, dnc=True))
    for worker in ("w1", "w2", "w1", "w2"):
        world.worker(worker).take_in()
    opted_out = dict.fromkeys(row["phone"] for row in world.outcomes() if row["opts_out"])
    assert list(opted_out) == [phone(n) for n in range(900, 916)]


@pytest.mark.parametrize(
    ("told", "goes_ahead"),
    [
        ({"dnc": True}, True),
        ({"dnc": "yes"}, True),
        ({"dnc": False}, False),
        ({"dnc": "nonsense"}, True),  # nobody can tell, so it is looked at soon
        ({"contact": "7"}, True),  # its record may opt out
        ({"text": "stop"}, True),
        ({"text": "hello"}, False),
    ],
    ids=str,
)
def test_only_what_may_opt_out_goes_ahead(
    world: World, told: dict[str, Any], *, goes_ahead: bool
) -> None:
    by_record = """
  - name: by its record
    when: contact
    channel: voice
    lead: {phone_number: phone, do_not_call: {from: record.dnc, to: boolean}}
  - name: said so
    when: text == 'stop'
    channel: sms
    counts_as: voice
    lead: {phone_number: phone, do_not_call: {value: true}}
"""
    world.write(HEAD + LOOK_UP.replace("  contact:", "  record:") + CONSENT + by_record)
    wait_in_line(world, range(100))
    receipt = world.receive(event(900) | told)
    world.worker().take_in()
    world.worker().take_in()
    assert has_been_taken(world, receipt) is goes_ahead


def test_a_body_that_cannot_be_read_waits_for_its_turn_and_stops_nobody(world: World) -> None:
    wait_in_line(world, range(100))
    broken = world.receive(b"{")
    world.receive(event(900, dnc=True))
    assert turns_until(world, 900) == 2
    assert not has_been_taken(world, broken)
    while world.worker().take_in():
        pass
    assert [row["state"] for row in world.outcomes(receipt=broken)] == ["dead"]


def test_where_the_words_of_opt_outs_cannot_be_read_every_body_is_decoded(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise ValueError("no words")

    monkeypatch.setattr("bridge.map.mapping.opt_out_words", fails)
    wait_in_line(world, range(100))
    world.receive(event(500, dnc=True))
    with capture_logs() as told:
        assert turns_until(world, 500) == 2
    assert 1 <= len(told) <= 2, "once for each look, not for each body"


def test_a_large_backlog_is_looked_at_from_its_end(world: World) -> None:
    world.scout = partial(Scout, 20)
    wait_in_line(world, range(200))
    world.receive(event(901, dnc=True))
    wait_in_line(world, range(200, 300))
    world.worker().take_in()
    world.receive(event(902, dnc=True))
    assert turns_until(world, 902) == 1
    world.receive(event(903, dnc=True))
    assert turns_until(world, 903) == 1
    assert turns_until(world, 901) < 6  # it stands before a hundred others


def test_what_was_to_be_taken_in_soon_is_looked_at_when_that_turns_out_to_take_long(
    world: World,
) -> None:
    wait_in_line(world, range(25))
    for _ in range(2):
        world.worker().take_in()
    for first in range(100, 300, BATCH):  # each of them is a turn by itself
        world.receive([event(number) for number in range(first, first + BATCH)])
    world.receive(event(900, dnc=True))
    wait_in_line(world, range(500, 540))
    assert turns_until(world, 900) <= 3


def test_what_was_there_before_is_looked_at_however_fast_new_ones_come(world: World) -> None:
    world.scout = partial(Scout, 20)
    wait_in_line(world, range(200))
    world.receive(event(900, dnc=True))
    wait_in_line(world, range(200, 205))
    world.worker().take_in()
    for turn in range(8):
        wait_in_line(world, range(1000 + 40 * turn, 1040 + 40 * turn))
        world.worker().take_in()
    assert phone(900) in taken(world), "it stands behind twenty turns"


def test_the_next_backlog_is_looked_at_from_its_end_too(world: World) -> None:
    world.scout = partial(Scout, 20)
    for first in (0, 300):
        wait_in_line(world, range(first, first + 200))
        world.receive(event(900 + first, dnc=True))
        assert turns_until(world, 900 + first) == 2
        while world.worker().take_in():
            pass


def test_an_edit_makes_it_look_again(world: World) -> None:
    wait_in_line(world, range(100))
    world.receive(event(900, note="never"))
    world.worker().take_in()
    world.worker().take_in()
    rule = """
  - name: noted
    when: note == 'never'
    channel: voice
    lead: {phone_number: phone, do_not_call: {value: true}}
"""
    world.write(HEAD + CONSENT + rule)
    assert turns_until(world, 900) == 1


def test_a_source_that_is_configured_later_is_looked_at_then(world: World) -> None:
    wait_in_line(world, range(150))
    world.receive(event(900, dnc=True), source="later")
    wait_in_line(world, range(150, 200))
    world.worker().take_in()
    world.worker().take_in()
    world.worker().take_in()
    assert not world.outcomes(phones=[phone(900)])
    late = (HEAD + CONSENT).replace("source: crm", "source: later")
    (world.folder / "later.yaml").write_text(late)
    world.write(HEAD + CONSENT)
    assert turns_until(world, 900) == 1


def test_an_edit_that_takes_a_source_away_stops_nobody(world: World) -> None:
    """What was found of it waits for its return, also where so much was found that nobody looks."""
    world.scout = partial(Scout, 20)
    wait_in_line(world, range(100))
    for number in range(900, 930):
        world.receive(event(number, dnc=True))
    world.worker().take_in()
    world.worker().take_in()
    world.write(None)
    receipt = world.receive(event(100), source="other")
    assert world.worker().take_in() == 1
    assert has_been_taken(world, receipt)
    left = [n for n in range(900, 930) if phone(n) not in taken(world)]
    world.write(HEAD + CONSENT)
    assert turns_until(world, left[0]) < 6


ACME = (
    HEAD
    + """\
  contacts: {ids: [contact]}
rules:
  - name: opt-out
    when: dnc
    channel: voice
    lead: {phone_number: {all: [phone, _known.phones]}, do_not_call: {value: true}}
  - name: details
    when: name
    lead: {phone_number: phone, first_name: name}
"""
)


def test_an_opt_out_waits_for_what_brings_its_number_where_no_rule_repeats_it(
    world: World,
) -> None:
    world.write(ACME)
    wait_in_line(world, range(100))
    world.receive(event(900, contact="7", at=now_ms() - 1_000))
    world.receive({"id": "out", "contact": "7", "dnc": True, "at": now_ms()})
    while world.worker().take_in():
        pass
    told = [row["fields"] for row in world.outcomes(campaign="one", phones=[phone(900)])]
    assert {"do_not_call": True} in told


def test_what_goes_ahead_is_held_in_memory_a_few_bodies_at_a_time(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    wait_in_line(world, range(100))
    for number in range(900, 916):
        world.receive(event(number, dnc=True, note="x" * 1_000))
    monkeypatch.setattr(take_in, "MOST_BYTES", 3_000)
    for taken_before in (0, 2, 4):
        world.worker().take_in()
        ahead = [one for one in taken(world) if one >= phone(900)]
        assert ahead == [phone(n) for n in range(900, 900 + taken_before)]
    while world.worker().take_in():
        pass
    assert len(taken(world)) == 116


def test_a_person_is_erased_to_the_end_once_what_stood_before_the_request_is_taken_in(
    world: World,
) -> None:
    contacts = "  contacts: {ids: [contact]}\n"
    gone = """
  - name: gone
    when: gone
    channel: voice
    erase: true
    lead: {phone_number: {all: [_known.phones]}, do_not_call: {value: true}}
"""
    world.write(HEAD + contacts + CONSENT + gone)
    wait_in_line(world, range(100))
    first = world.receive(event(900, contact="7", at=now_ms() - 1_000))
    last = world.receive({"id": "gone", "contact": "7", "gone": True, "at": now_ms()})
    while not has_been_taken(world, last):
        assert world.worker().take_in()
    assert not has_been_taken(world, first)

    def erased() -> list[bool]:
        with world.database.write() as connection:
            connection.execute(text("UPDATE erasure SET due_at = 0"))
        while erase_people(world.database):
            pass
        with world.database.read() as connection:
            found = connection.execute(text("SELECT done_at FROM erasure")).scalars()
            return [when is not None for when in found]

    assert erased() == [False]
    while world.worker().take_in():
        pass
    told = [row["fields"] for row in world.outcomes(campaign="one", phones=[phone(900)])]
    assert told == [{"do_not_call": True}]
    with world.database.write() as connection:
        connection.execute(text("UPDATE outcome SET state = 'updated', decided_at = 1"))
        connection.execute(text("UPDATE lead SET lane = 9, due_at = 9000000000000000"))
    assert erased() == [True]
    with world.database.read() as connection:
        left = deliveries.by_receipt(connection, first)
        assert left is not None
        assert left.body == b""


def test_a_backlog_of_large_bodies_is_looked_at_too(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(40):
        world.receive(event(number, note="x" * 1_000))
    world.receive(event(900, dnc=True))
    monkeypatch.setattr(take_in, "MOST_BYTES", 3_000)
    assert turns_until(world, 900) == 2
