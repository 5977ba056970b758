"""Contacts that one event named as one person: an opt-out that comes late reaches all of them.

Whatever the order of arrival, nobody may be called whom the order of time opts out.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import permutations, product
from pathlib import Path
from random import Random
from typing import Any

import pytest

from bridge.clock import now_ms
from bridge.model import ContactRef, Known, Link, State
from bridge.operate.audit import Audit
from bridge.pipeline import Pipeline
from bridge.steps.erase import erase_now, erase_people
from bridge.steps.memory import MOST_LINKS, Memory
from bridge.store import contacts, deliveries, erasures
from bridge.store.database import Connection, Database

from .replaying import CONSENT, HEAD, World
from .rows import a_delivery
from .waiting import while_open

START = 1_700_000_000_000
DAY = 86_400_000
FILE = HEAD.replace("event_id", "contacts: {ids: [contact]}\n  event_id") + CONSENT
MERGE: dict[str, Any] = {"contact": ["7", "8"], "phone": "+14155550001", "at": 10}
LATER: dict[str, Any] = {"contact": "8", "phone": "+14155550002", "at": 20}
OPT_OUT: dict[str, Any] = {"contact": "7", "phone": "+14155550001", "dnc": True, "at": 0}
SEVEN, EIGHT = ContactRef("", "7"), ContactRef("", "8")

Event = Mapping[str, Any]


@pytest.fixture
def world(database: Database, tmp_path: Path) -> World:
    folder = tmp_path / "mappings"
    folder.mkdir()
    made = World(database, folder)
    made.write(FILE, ("one",))
    return made


def tell(world: World, *events: Event) -> None:
    """Take in events, each by itself, in this order."""
    for number, event in enumerate(events):
        world.take_in({"id": f"{number} {event}", **event, "at": START + event["at"]})


def consent(world: World, phone: str) -> Any:
    """The newest word on a number's consent; at equal times an opt-out."""
    said = [
        (row["event_time"], row["fields"]["do_not_call"])
        for row in world.outcomes(phones=[phone])
        if "do_not_call" in row["fields"]
    ]
    return max(said, default=(0, None))[1]


@pytest.mark.parametrize("order", list(permutations((MERGE, LATER, OPT_OUT))))
def test_a_late_opt_out_reaches_whom_a_later_event_named_as_one_person(
    world: World, order: Sequence[Event]
) -> None:
    tell(world, *order)
    assert consent(world, LATER["phone"]) is True
    assert consent(world, MERGE["phone"]) is True
    assert Audit(world.database, standing_period=10**9, full=True).run().clean


def test_the_opt_out_of_the_other_reaches_a_number_that_comes_late(world: World) -> None:
    """In the order of time the number was both contacts' when the other opted out."""
    early = {"contact": "7", "phone": "+14155550003", "name": "Ann", "at": 0}
    tell(world, MERGE, {**OPT_OUT, "contact": "8", "at": 30}, early)
    (row,) = world.outcomes(phones=[early["phone"]])
    assert (row["fields"], row["event_time"]) == ({"do_not_call": True}, START + 30)
    assert "left out first_name" in row["message"]


def test_links_pass_on_opt_outs_alone_and_by_their_time(world: World) -> None:
    tell(world, MERGE, LATER, {**OPT_OUT, "name": "Ann"})
    (row,) = world.outcomes(phones=[LATER["phone"]])
    assert (row["fields"], row["event_time"]) == ({"do_not_call": True}, START)
    opt_in = {**OPT_OUT, "dnc": False, "at": 5, "contact": "8", "phone": "+14155550004"}
    tell(world, opt_in)
    assert consent(world, LATER["phone"]) is False  # 8 speaks for its numbers
    with world.database.read() as connection:
        known = contacts.recall(connection, "crm", [SEVEN, EIGHT])
    assert (known[SEVEN].opted_out, known[EIGHT].opted_out) == (True, False)


def test_who_was_named_together_before_an_opt_out_stays_apart(world: World) -> None:
    """As in the order of time: that they are one was said of what was known then."""
    tell(world, MERGE, LATER, {**OPT_OUT, "at": 15})
    assert consent(world, LATER["phone"]) is None


def test_an_opt_in_before_two_became_one_ends_what_was_said_before(world: World) -> None:
    tell(world, {**OPT_OUT, "dnc": False, "at": 5}, MERGE, LATER, OPT_OUT)
    assert consent(world, LATER["phone"]) is None


@pytest.mark.parametrize("order", list(permutations((MERGE, LATER, {**OPT_OUT, "at": 10}))))
def test_at_the_time_of_a_link_an_opt_out_goes_over_it(
    world: World, order: Sequence[Event]
) -> None:
    """Which of the two was first nobody can tell, so the opt-out stands."""
    tell(world, *order)
    assert consent(world, LATER["phone"]) is True


def merged(one: str, other: str, at: int) -> Event:
    return {"contact": [one, other], "at": at}


def test_of_several_ways_over_links_the_earliest_counts(world: World) -> None:
    """A newer link of the same two, and a shorter way that is newer, take nothing from it."""
    last = {**LATER, "contact": "10", "at": 100}
    tell(world, merged("7", "8", 10), merged("8", "9", 15), merged("9", "10", 30))
    tell(world, merged("7", "9", 50), merged("7", "8", 90), last, OPT_OUT)
    assert consent(world, last["phone"]) is True


def test_an_opt_out_goes_on_over_no_link_that_is_older_than_the_one_before(world: World) -> None:
    """By the time the opt-out came to the one between, nobody named it with the last again."""
    last = {**LATER, "contact": "9"}
    tell(world, merged("8", "9", 5), merged("7", "8", 10), last, OPT_OUT)
    assert consent(world, last["phone"]) is None


def test_of_several_opt_outs_over_links_the_newest_counts(world: World) -> None:
    """An opt-in from between the two does not lift it."""
    early = {"contact": "7", "phone": "+14155550003", "name": "Ann", "at": 0}
    eight, nine = ({"contact": one, "dnc": True, "at": at} for one, at in (("8", 30), ("9", 40)))
    tell(world, merged("7", "8", 10), merged("7", "9", 11), eight, nine, early)
    (row,) = world.outcomes(phones=[early["phone"]])
    assert (row["fields"], row["event_time"]) == ({"do_not_call": True}, START + 40)


def test_what_links_two_late_brings_the_numbers_of_both_to_whom_they_were_one_with_since(
    world: World,
) -> None:
    """In the order of time the number was the last one's, too, when that opted out."""
    number: Event = {"contact": "7", "phone": "+14155550003", "name": "Ann", "at": 0}
    opt_out = {"contact": "9", "dnc": True, "at": 30}
    tell(world, number, merged("8", "9", 20), opt_out, merged("7", "8", 10))
    assert consent(world, number["phone"]) is True


def test_an_event_links_nobody_whom_it_would_not_opt_out_with_another(world: World) -> None:
    """Several people in one event, of whom its mapping says nothing together."""
    alone = "when: _known.opted_out && type(contact) == 'string'"
    world.write(FILE.replace("when: _known.opted_out", alone), ("one",))
    tell(world, MERGE, LATER, OPT_OUT)
    assert consent(world, LATER["phone"]) is None
    with world.database.read() as connection:
        assert contacts.recall(connection, "crm", [SEVEN])[SEVEN].links == ()


def test_a_contact_has_so_many_links_and_both_know_of_each(world: World) -> None:
    tell(world, *({**MERGE, "contact": ["7", f"a{n}"], "at": n} for n in range(MOST_LINKS + 2)))
    refs = [SEVEN, *(ContactRef("", f"a{n}") for n in range(MOST_LINKS + 2))]
    with world.database.read() as connection:
        known = contacts.recall(connection, "crm", refs)
    linked = [ref.id for ref in refs[1:] if known[ref].links]
    assert len(linked) == MOST_LINKS
    assert [one.id for one in known[SEVEN].links] == linked
    tell(world, {**MERGE, "contact": ["7", "a1"], "at": 90})  # one that is kept goes on
    with world.database.read() as connection:
        links = contacts.recall(connection, "crm", [SEVEN])[SEVEN].links
    assert Link("a1", START + 1, START + 90) in links


def events_of(names: Sequence[str]) -> list[dict[str, Any]]:
    """What may be said of two contacts and two numbers."""
    named = [*names, [names[0], names[1]], *([[names[1], names[2]]] if len(names) > 2 else [])]
    return [
        {"contact": contact} | ({"phone": phone} if phone else {}) | ({"dnc": True} if dnc else {})
        for contact, phone, dnc in product(named, (0, 1, 2), (False, True))
        if phone or dnc or not isinstance(contact, str)
    ]


def lost(world: World, sets: Sequence[Sequence[Event]], *, together: bool = False) -> list[Any]:
    """The orders of arrival of these sets of events that opt out less than the order of time.

    ``together``: all that is said of somebody is taken in at once.
    """
    orders = [(number, order) for number, of in enumerate(sets) for order in permutations(of)]
    told = []
    for place, (_, order) in enumerate(orders):
        numbers = {1: f"+1415{2_000_000 + 2 * place}", 2: f"+1415{2_000_001 + 2 * place}"}
        mine = []
        for event in order:
            ids = event["contact"]
            ids = f"{ids} {place}" if isinstance(ids, str) else [f"{one} {place}" for one in ids]
            phone = {"phone": numbers[event["phone"]]} if "phone" in event else {}
            at = START + event["at"]
            mine.append({**event, "contact": ids, **phone, "id": f"{at} {place}", "at": at})
        told.append((numbers, mine))
    if together:
        world.take_in(*(event for _, mine in told for event in mine))
    else:
        for step in range(len(sets[0])):
            world.take_in(*(mine[step] for _, mine in told))
    out = everybody_out(world)
    reached: dict[int, set[int]] = {}
    for (number, order), (numbers, _) in zip(orders, told, strict=True):
        if list(order) == sorted(order, key=lambda event: event["at"]):
            reached[number] = {name for name, phone in numbers.items() if phone in out}
    return [
        order
        for (number, order), (numbers, _) in zip(orders, told, strict=True)
        if not reached[number] <= {name for name, phone in numbers.items() if phone in out}
    ]


def everybody_out(world: World) -> set[str]:
    """Every number that an event opts out; no event opts in here."""
    with world.database.read() as connection:
        rows = connection.exec_driver_sql("SELECT phone FROM outcome WHERE opts_out")
        return {row[0] for row in rows}


def named(event: Event) -> set[str]:
    return {event["contact"]} if isinstance(event["contact"], str) else set(event["contact"])


def needs_a_link(said: Sequence[Event]) -> bool:
    """Whether an opt-out could come to a number over links alone, which is so in few sets.

    The number was given with another contact, and other events name both contacts as one person.
    """
    for out in (event for event in said if "dnc" in event):
        reach = named(out)
        for event in [one for one in said if "dnc" not in one] * len(said):
            if reach & named(event):
                reach |= named(event)
        for event in said:
            number = event.get("phone", out.get("phone"))
            if (
                number != out.get("phone")
                and reach & named(event)
                and not named(out) & named(event)
            ):
                return True
    return False


def chosen(
    sets: Iterable[list[dict[str, Any]]], needing: int, others: int
) -> list[Sequence[Event]]:
    """So many sets that need a link, and so many others, in the order of time."""
    left = {True: needing, False: others}
    found: list[Sequence[Event]] = []
    for one in sets:
        kind = needs_a_link(one)
        if left[kind]:
            left[kind] -= 1
            found.append([{**event, "at": 10 * place} for place, event in enumerate(one)])
        if not any(left.values()):
            break
    assert left == {True: 0, False: 0}
    return found


def test_no_order_of_three_events_of_two_contacts_loses_an_opt_out(world: World) -> None:
    sets = [
        list(three)
        for three in product(events_of(("a", "b")), repeat=3)
        if any("dnc" in event for event in three)
        and any(not isinstance(event["contact"], str) and "dnc" not in event for event in three)
    ]
    Random(44).shuffle(sets)
    assert lost(world, chosen(sets, needing=80, others=20)) == []


def of_three(choice: Random) -> Iterator[list[dict[str, Any]]]:
    events = events_of(("a", "b", "c"))
    merges = [one for one in events if not isinstance(one["contact"], str) and "dnc" not in one]
    while True:
        four = [*choice.sample(merges, 2), *choice.sample(events, 2)]
        choice.shuffle(four)
        yield four


@pytest.mark.parametrize("together", [False, True])
def test_no_order_of_events_of_three_contacts_loses_an_opt_out(
    world: World, together: bool
) -> None:
    sets = chosen(of_three(Random(44)), needing=24, others=4)
    assert lost(world, sets, together=together) == []


def test_an_erased_contact_is_in_no_link_any_more(world: World) -> None:
    tell(world, MERGE, {**MERGE, "contact": ["8", "9"]}, LATER)
    wanted = erasures.Wanted("crm", (SEVEN,))
    with world.database.write() as connection:
        connection.exec_driver_sql("UPDATE lead SET lane = 9, due_at = 0")
        connection.exec_driver_sql("UPDATE outcome SET state = 'updated'")
        number = erasures.add(connection, wanted, now_ms())
        while erasures.purge(connection, number, now_ms()).more:
            pass
        known = contacts.recall(connection, "crm", [SEVEN, EIGHT])
    assert SEVEN not in known
    assert [one.id for one in known[EIGHT].links] == ["9"]
    tell(world, OPT_OUT)  # of somebody of whom nothing is known
    with world.database.read() as connection:
        assert contacts.recall(connection, "crm", [EIGHT])[EIGHT].opted_out is False


def test_an_erased_contact_that_is_opted_out_keeps_no_link(world: World) -> None:
    tell(world, MERGE, OPT_OUT)
    with world.database.write() as connection:
        assert erasures._forget(connection, "crm", [SEVEN], set(), []) == 1
        known = contacts.recall(connection, "crm", [SEVEN, EIGHT])
    assert (known[SEVEN], known[SEVEN].links) == (Known((), opted_out=True), ())
    assert known[EIGHT].links == ()


def settle(world: World) -> None:
    """All that was told has been confirmed."""
    with world.database.write() as connection:
        connection.exec_driver_sql("UPDATE lead SET lane = 9, due_at = 0")
        connection.exec_driver_sql("UPDATE outcome SET state = 'updated'")


def erase(world: World, *refs: ContactRef) -> None:
    """Erase contacts once all that was told has been confirmed."""
    settle(world)
    _, _, waiting = erase_now(world.database, erasures.Wanted("crm", refs))
    assert waiting == 0


def rows_of_contacts(world: World) -> str:
    with world.database.read() as connection:
        return str(connection.exec_driver_sql("SELECT * FROM contact").all())


def test_an_erased_contact_takes_its_numbers_from_whom_it_was_linked_with(world: World) -> None:
    """Over links of links too, as far as the number went."""
    nine = ContactRef("", "9")
    tell(world, MERGE, {"contact": ["8", "9"], "phone": "+14155550003", "at": 15}, LATER)
    tell(world, {"contact": "7", "phone": "+14155550004", "name": "Ann", "at": 5})
    with world.database.read() as connection:
        assert "+14155550004" in contacts.recall(connection, "crm", [nine])[nine].phones
    erase(world, SEVEN)
    with world.database.read() as connection:
        known = contacts.recall(connection, "crm", [SEVEN, EIGHT, nine])
    assert SEVEN not in known
    assert known[EIGHT].phones == (LATER["phone"], "+14155550003")
    assert known[nine].phones == ("+14155550003",)


def test_of_an_erased_contact_that_is_opted_out_the_number_stays_with_its_leads_alone(
    world: World,
) -> None:
    tell(world, MERGE, LATER, OPT_OUT)
    with world.database.write() as connection:
        connection.exec_driver_sql("UPDATE lead SET opted_out = TRUE")
    erase(world, SEVEN)
    assert OPT_OUT["phone"] not in rows_of_contacts(world)
    with world.database.read() as connection:
        known = contacts.recall(connection, "crm", [SEVEN, EIGHT])
        leads = connection.exec_driver_sql("SELECT phone, opted_out FROM lead").all()
    assert known[SEVEN] == Known((), opted_out=True)
    assert (known[EIGHT].phones, known[EIGHT].opted_out) == ((LATER["phone"],), True)
    assert {(phone, bool(out)) for phone, out in leads} == {
        (OPT_OUT["phone"], True),
        (LATER["phone"], True),
    }
    # whoever brings the number again, and the other contact with what it has left, stays out
    tell(world, {**LATER, "phone": OPT_OUT["phone"], "at": 50}, {**OPT_OUT, "dnc": None, "at": 51})
    assert [row["fields"] for row in world.outcomes(phones=[OPT_OUT["phone"]])[-2:]] == [
        {"do_not_call": True}
    ] * 2


def test_a_number_of_another_who_is_not_linked_stays(world: World) -> None:
    """A number that two people share is forgotten of who asks for it, and of their links."""
    tell(world, MERGE, {"contact": "5", "phone": MERGE["phone"], "name": "Eve", "at": 20})
    erase(world, SEVEN)
    with world.database.read() as connection:
        five = contacts.recall(connection, "crm", [ContactRef("", "5")])
    assert [known.phones for known in five.values()] == [(MERGE["phone"],)]


def stands_before_an_erasure(world: World, *, by_hand: bool) -> None:
    """An opt-out that names no number stands in a backlog, behind it an erasure is asked for."""
    tell(world, MERGE)
    settle(world)
    world.receive({"id": "gone", "contact": "7", "dnc": True, "at": START + 20})
    receipt = "" if by_hand else world.receive({"id": "erases", "contact": "7", "at": START + 21})
    wanted = erasures.Wanted("crm", (SEVEN,), receipt=receipt)
    assert erase_now(world.database, wanted)[2] > 0


def step_of_erasure(
    world: World, age_ms: int, taken_in: Collection[str] | None
) -> tuple[bool, bool]:
    """A step of the erasure, so long after it was asked for: whether it is done then, and whether
    the numbers are gone."""
    with world.database.write() as connection:
        row = connection.exec_driver_sql("SELECT id, requested_at FROM erasure").one()
        erasures.purge(connection, row.id, row.requested_at + age_ms, taken_in=taken_in)
        done = connection.exec_driver_sql("SELECT done_at FROM erasure").scalar()
        known = contacts.recall(connection, "crm", [SEVEN])
        return done is not None, {one.phones for one in known.values()} in (set(), {()})


@pytest.mark.parametrize("by_hand", [True, False])
def test_numbers_do_not_stay_for_good_for_what_nobody_takes_in(world: World, by_hand: bool) -> None:
    stands_before_an_erasure(world, by_hand=by_hand)
    found = 30 * DAY  # no worker had looked for so long
    assert step_of_erasure(world, found, ()) == (False, False)
    assert step_of_erasure(world, found + erasures.UNREAD_MS - 1, {"other"}) == (False, False)
    # once the source has its settings again, the days begin anew
    assert step_of_erasure(world, found + erasures.UNREAD_MS, {"crm"}) == (False, False)
    again = found + 30 * DAY
    assert step_of_erasure(world, again, ()) == (False, False)
    assert step_of_erasure(world, again + erasures.UNREAD_MS - 1, ()) == (False, False)
    assert step_of_erasure(world, again + erasures.UNREAD_MS, ()) == (by_hand, True)


@pytest.mark.parametrize("by_hand", [True, False])
@pytest.mark.parametrize("taken_in", [{"crm"}, None])
def test_however_long_no_worker_ran_a_backlog_is_taken_in_before_numbers_go(
    world: World, by_hand: bool, taken_in: Collection[str] | None
) -> None:
    """Whoever comes first may be a worker, or a command, which knows of no workers."""
    stands_before_an_erasure(world, by_hand=by_hand)
    for days in (8, 400, 4_000):
        assert step_of_erasure(world, days * DAY, taken_in) == (False, False)
    world.take_in()
    assert consent(world, MERGE["phone"]) is True
    settle(world)
    while not step_of_erasure(world, 4_001 * DAY, taken_in)[0]:
        pass
    assert MERGE["phone"] not in rows_of_contacts(world)


def test_what_comes_after_an_erasure_that_is_still_open_is_remembered(world: World) -> None:
    """It waits for an update that is on its way, as long as a campaign is paused perhaps."""
    told = {"contact": "7", "phone": MERGE["phone"], "name": "Ann"}
    tell(world, {**told, "at": 0})
    assert erase_now(world.database, erasures.Wanted("crm", (SEVEN,)))[2] > 0
    assert MERGE["phone"] not in rows_of_contacts(world)
    tell(world, {**told, "at": 20})
    with world.database.write() as connection:
        connection.exec_driver_sql("UPDATE erasure SET due_at = 0")
    while erase_people(world.database, {"crm"}):
        pass
    tell(world, {"contact": "7", "dnc": True, "at": 40})
    assert consent(world, MERGE["phone"]) is True


def test_what_was_given_up_and_is_taken_in_after_all_brings_no_number_back(world: World) -> None:
    world.receive({"id": "stands", "contact": "7", "phone": MERGE["phone"], "at": START})
    receipt = world.receive({"id": "erases", "contact": "7", "at": START + 21})
    erase_now(world.database, erasures.Wanted("crm", (SEVEN,), receipt=receipt))
    assert step_of_erasure(world, DAY, ()) == (False, True)
    assert step_of_erasure(world, DAY + erasures.UNREAD_MS, ()) == (False, True)
    world.take_in()
    assert MERGE["phone"] in rows_of_contacts(world)
    while not step_of_erasure(world, 30 * DAY, {"crm"})[0]:
        pass
    assert MERGE["phone"] not in rows_of_contacts(world)


def test_a_clock_that_was_ahead_keeps_no_number_for_longer(world: World) -> None:
    stands_before_an_erasure(world, by_hand=True)
    assert step_of_erasure(world, 4_000 * DAY, ()) == (False, False)
    assert step_of_erasure(world, DAY, ()) == (False, False)
    assert step_of_erasure(world, DAY + erasures.UNREAD_MS, ()) == (True, True)


@pytest.mark.parametrize("by_hand", [True, False])
@pytest.mark.parametrize("who", ["7", "8"])
def test_an_opt_out_that_came_before_an_erasure_still_finds_the_number(
    world: World, who: str, by_hand: bool
) -> None:
    """It is taken in later, from a backlog; its contact may be one that was merged with the other.

    Such as a deletion in the CRM, which names no number, and after which none can be looked up.
    """
    tell(world, MERGE)
    settle(world)
    world.receive({"id": "gone", "contact": who, "dnc": True, "at": START + 20})
    receipt = "" if by_hand else world.receive({"id": "erases", "contact": "7", "at": START + 21})
    wanted = erasures.Wanted("crm", (SEVEN,), receipt=receipt)
    assert erase_now(world.database, wanted)[2] > 0
    world.take_in()
    assert consent(world, MERGE["phone"]) is True
    settle(world)
    with world.database.write() as connection:
        connection.exec_driver_sql("UPDATE erasure SET due_at = 0")
    while erase_people(world.database):
        pass
    with world.database.read() as connection:
        known = contacts.recall(connection, "crm", [SEVEN, EIGHT])
        done = connection.exec_driver_sql("SELECT done_at FROM erasure").scalar()
    assert {one.phones for one in known.values()} == {()}
    assert done is not None


@pytest.mark.parametrize("engine", ["postgresql"])  # on SQLite ids go by the order of commits
def test_an_opt_out_whose_commit_is_late_still_finds_the_number(
    world: World, opened: Callable[..., Database]
) -> None:
    """It has its place before the deletion, whose commit was quicker, and is not seen yet."""
    erasing = """
  - name: gone
    when: gone
    erase: true
    skip: nothing is said of calls
"""
    world.write(FILE + erasing, ("one",))
    tell(world, MERGE)
    settle(world)
    opt_out = json.dumps({"id": "out", "contact": "7", "dnc": True, "at": START + 20}).encode()
    with opened().write() as late:
        deliveries.add(late, [a_delivery(source="crm", body=opt_out, received_at=now_ms())])
        world.take_in({"id": "gone", "contact": "7", "gone": True, "at": START + 21})
        while erase_people(world.database, {"crm"}):
            pass
    world.take_in()
    assert consent(world, MERGE["phone"]) is True
    settle(world)
    with world.database.write() as connection:
        connection.exec_driver_sql("UPDATE erasure SET due_at = 0")
    while erase_people(world.database, {"crm"}):
        pass
    assert MERGE["phone"] not in rows_of_contacts(world)


@pytest.mark.parametrize("engine", ["postgresql"])  # on SQLite there is one machine
def test_whoever_erases_by_a_clock_that_is_behind_forgets_nothing_that_is_needed(
    world: World, opened: Callable[..., Database], monkeypatch: pytest.MonkeyPatch
) -> None:
    tell(world, MERGE)
    settle(world)
    world.receive({"id": "gone", "contact": "7", "dnc": True, "at": START + 20})
    real, command = time.time_ns, opened()
    monkeypatch.setattr(time, "time_ns", lambda: real() - 3_600_000_000_000)
    assert erase_now(command, erasures.Wanted("crm", (SEVEN,)))[2] > 0
    monkeypatch.undo()
    world.take_in()
    assert consent(world, MERGE["phone"]) is True


def test_an_erasure_takes_out_a_link_too_that_another_worker_is_storing(
    world: World, opened: Callable[..., Database]
) -> None:
    tell(world, MERGE)
    other = opened()
    nine = ContactRef("", "9")

    def link(connection: Connection) -> None:
        merge = ((), None, 0)
        links = {
            SEVEN: (Link("9", START, START),),
            nine: (Link("7", START, START),),
        }
        contacts.remember(connection, "crm", {SEVEN: merge, nine: merge}, 1, links=links)

    def forget() -> None:
        with other.write() as connection:
            erasures._forget(connection, "crm", [SEVEN], set(), ())

    while_open(world.database, link, forget)
    with world.database.read() as connection:
        known = contacts.recall(connection, "crm", [SEVEN, EIGHT, nine])
    assert SEVEN not in known
    assert (known[EIGHT].links, known[nine].links) == ((), ())


def test_a_replay_of_what_linked_two_links_them_again_and_says_nothing_new(world: World) -> None:
    tell(world, MERGE, LATER, OPT_OUT)
    with world.database.read() as connection:
        before = contacts.recall(connection, "crm", [SEVEN, EIGHT])
    world.replay()
    with world.database.read() as connection:
        after = contacts.recall(connection, "crm", [SEVEN, EIGHT])
    assert [one.links for one in after.values()] == [one.links for one in before.values()]
    assert {row["state"] for row in world.outcomes()} <= {State.WAITING, State.SKIPPED}


def test_a_link_that_another_worker_stores_meanwhile_is_followed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    tell(world, LATER)
    recall = Memory.recall
    raced: list[bool] = []

    def recall_and_lose_time(connection: Connection, seen: Iterable[tuple[str, Any]]) -> Memory:
        found = recall(connection, seen)
        if not raced:
            raced.append(True)
            merge = ((MERGE["phone"],), None, 0)
            links = {
                SEVEN: (Link("8", START + 10, START + 10),),
                EIGHT: (Link("7", START + 10, START + 10),),
            }
            with world.database.write() as other:
                contacts.remember(other, "crm", {SEVEN: merge, EIGHT: merge}, 1, links=links)
        return found

    monkeypatch.setattr(Memory, "recall", staticmethod(recall_and_lose_time))
    tell(world, OPT_OUT)
    assert raced
    assert consent(world, LATER["phone"]) is True


def of_turn(event: Event, turn: int) -> dict[str, Any]:
    """The same event of somebody else."""
    named = event["contact"]
    ids = f"{named} {turn}" if isinstance(named, str) else [f"{one} {turn}" for one in named]
    phone = f"{event['phone'][:-3]}{turn:02d}{event['phone'][-1]}"
    at = START + event["at"]
    return {**event, "contact": ids, "phone": phone, "id": f"{at} {turn}", "at": at}


@pytest.mark.parametrize("pair", [(MERGE, OPT_OUT), (LATER, OPT_OUT), (MERGE, LATER)])
def test_two_workers_that_take_in_a_merge_and_a_late_opt_out_at_once(
    world: World, pair: tuple[Event, Event]
) -> None:
    """Each has mapped by what it recalled; whoever stores second maps again, without a deadlock."""
    workers = [world.worker(name) for name in ("one", "two")]
    for turn in range(10):
        first, *both = sorted(
            (of_turn(one, turn) for one in (MERGE, LATER, OPT_OUT)),
            key=lambda event: event["at"] in {START + one["at"] for one in pair},
        )
        world.take_in(first)
        ready = threading.Barrier(2)

        def work(worker: Pipeline, ready: threading.Barrier = ready) -> None:
            ready.wait(10)
            while worker.take_in():
                pass

        for one in both:
            world.receive(one)
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(work, workers))
        while workers[0].take_in():
            pass
        phones = [of_turn(one, turn)["phone"] for one in (MERGE, LATER)]
        assert [consent(world, phone) for phone in phones] == [True, True]
