"""A replay beside what else goes on: contacts learned, people erased, files edited, pauses."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from structlog.testing import capture_logs

from bridge.clock import now_ms
from bridge.errors import StoreBusy
from bridge.model import ContactRef, Known, Lane
from bridge.steps import replay as replay_step
from bridge.steps import replay_control as control
from bridge.steps import replay_store
from bridge.steps.erase import erase_now, erase_people
from bridge.steps.versions import keep
from bridge.store import contacts, digest, erasing, leads
from bridge.store.database import Database
from bridge.store.erasures import Wanted
from bridge.store.replays import ReplayState

from .replaying import HEAD, RULES, World

PHONE, OTHER = "+14155550123", "+14155550124"
KNOWING = HEAD.replace("event_id", "contacts: {ids: [contact]}\n  event_id")
EVERY_NUMBER = RULES.replace("phone_number: phone", "phone_number: {all: [phone, _known.phones]}")
ERASING = """
  - name: gone
    when: gone
    erase: true
    channel: voice
    lead: {phone_number: phone, do_not_call: {value: true}}
"""


@pytest.fixture
def world(database: Database, tmp_path: Path) -> World:
    folder = tmp_path / "mappings"
    folder.mkdir()
    return World(database, folder)


def event(number: Any, **more: Any) -> dict[str, Any]:
    return {"id": number, "phone": PHONE, "at": 1_700_000_000_000, **more}


def execute(world: World, statement: str) -> None:
    with world.database.write() as connection:
        connection.execute(text(statement))


def finish(world: World) -> None:
    """Everything that was on its way has been confirmed."""
    execute(world, "UPDATE outcome SET state = 'updated', decided_at = 1 WHERE campaign <> ''")
    execute(world, f"UPDATE lead SET lane = {int(Lane.IDLE)}, opted_out = false")


def between_mapping_and_storing(
    monkeypatch: pytest.MonkeyPatch, meanwhile: Callable[[], object]
) -> None:
    """Have something happen in the next step of a replay, once it has mapped what it will store."""

    def then(database: Database, kept: Any) -> None:
        monkeypatch.setattr(replay_step, "keep", keep)
        meanwhile()
        keep(database, kept)

    monkeypatch.setattr(replay_step, "keep", then)


def done(world: World, number: int) -> int:
    return control.report_of(world.database, number).replay.deliveries_done


def replayed(world: World, receipt: str, number: int) -> list[tuple[str, str, str]]:
    return [
        (row["campaign"], row["state"], row["phone"])
        for row in world.outcomes(receipt=receipt)
        if row["replay_id"] == number
    ]


@pytest.mark.parametrize("together", [True, False])
def test_what_others_learn_of_its_contacts_has_a_replay_map_again(
    world: World,
    monkeypatch: pytest.MonkeyPatch,
    together: bool,
) -> None:
    world.write(KNOWING + EVERY_NUMBER, ("one",))
    (receipt,) = world.take_in(event(1, contact="7", dnc=True))
    number = world.make(receipt=receipt)

    def learn() -> None:
        with world.database.write() as connection:
            seen = {ContactRef("", "7"): ((OTHER,), None, 1)}
            contacts.remember(connection, "crm", seen, 1)

    between_mapping_and_storing(monkeypatch, learn)
    if not together:  # a fault has the deliveries stored one by one

        def fault(*_: Any) -> None:
            monkeypatch.undo()
            learn()
            raise ValueError("a fault of the first try")

        monkeypatch.setattr(replay_step, "store", fault)
    with capture_logs() as lines:
        assert world.worker().replay(world.tools)
    assert replayed(world, receipt, number) == []
    assert any(line["log_level"] == "error" for line in lines) is not together
    world.work(number)
    assert sorted(replayed(world, receipt, number)) == [
        ("one", "waiting", PHONE),
        ("one", "waiting", OTHER),
    ]


def test_a_delivery_whose_replay_finds_the_database_busy_is_not_dead(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    (receipt,) = world.take_in(event(1, name="A"))
    number = world.make(receipt=receipt)

    faults = iter([ValueError("a fault of the first try"), StoreBusy("locked")])
    plain = replay_store.store

    def store(*given: Any) -> Any:
        error = next(faults, None)
        if error is not None:
            raise error
        return plain(*given)

    monkeypatch.setattr(replay_step, "store", store)
    monkeypatch.setattr(replay_store, "store", store)
    with pytest.raises(StoreBusy):
        world.worker().replay(world.tools)
    world.work(number)
    assert [state for _, state, _ in world.brief(receipt, number)] == ["waiting", "waiting"]


def test_mapping_files_that_are_edited_during_a_step_count_from_the_next_on(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = now_ms() - 10_000
    older, newer = (world.receive(event(n, name="AB"[n]), received_at=at + n) for n in range(2))
    world.take_in()
    number = world.make(source="crm")
    execute(world, "UPDATE replay SET rate = 1")  # one delivery at a time
    edited = HEAD + RULES.replace("first_name: name", "last_name: name")
    between_mapping_and_storing(monkeypatch, lambda: world.write(edited, ("two", "three")))
    world.worker().replay(world.tools)
    execute(world, "UPDATE replay SET next_at = 0, rate = 1000")
    world.work(number)
    assert [(c, f) for c, _, f in world.brief(newer, number)] == [
        ("one", {"first_name": "B"}),
        ("two", {"first_name": "B"}),
    ]
    assert [(c, f) for c, _, f in world.brief(older, number)] == [
        ("two", {"last_name": "A"}),
        ("three", {"last_name": "A"}),
    ]


def test_what_was_erased_is_passed_over_and_counted(world: World) -> None:
    lost, kept = world.take_in([event(1, name="A"), event(2, name="B")], event(3, name="C"))
    finish(world)
    with world.database.write() as connection:
        assert erasing.bodies(connection, digest.load(connection), [1], now_ms()) == [1]
    plan = world.plan(source="crm")
    assert (plan.deliveries, plan.passed_over, plan.events) == (2, 2, {"updates": 1})
    number = world.replay(source="crm")
    assert done(world, number) == 2
    assert replayed(world, lost, number) == []
    assert len(replayed(world, kept, number)) == 2


def test_a_person_who_is_erased_while_a_replay_runs_is_not_brought_back(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.write(HEAD + RULES, ("one",))
    lost, kept = world.take_in(event(1, name="A"), event(2, name="B", phone=OTHER))
    finish(world)
    number = world.make(source="crm")
    between_mapping_and_storing(
        monkeypatch, lambda: erase_now(world.database, Wanted("", phones=(PHONE,)))
    )
    world.work(number)
    assert done(world, number) == 2
    assert replayed(world, lost, number) == []
    assert replayed(world, kept, number) == [("one", "waiting", OTHER)]
    assert world.outcomes(phones=[PHONE])[0]["phone"] != PHONE
    with world.database.read() as connection:
        assert connection.execute(text("SELECT phone FROM lead ORDER BY id")).scalars().all()[
            1:
        ] == [OTHER]


def test_a_contact_who_is_erased_while_a_replay_runs_is_not_remembered_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.write(KNOWING + RULES, ("one",))
    seven, eight = ContactRef("", "7"), ContactRef("", "8")
    lost, kept = world.take_in(
        event(1, name="A", contact="7"), event(2, name="B", phone=OTHER, contact="8")
    )
    finish(world)
    number = world.make(source="crm")
    between_mapping_and_storing(
        monkeypatch, lambda: erase_now(world.database, Wanted("crm", (seven,)))
    )
    world.work(number)
    assert done(world, number) == 2
    assert replayed(world, lost, number) == []
    assert replayed(world, kept, number) == [("one", "waiting", OTHER)]
    with world.database.read() as connection:
        assert contacts.recall(connection, "crm", [seven, eight]) == {eight: Known((OTHER,))}


def test_a_replay_whose_mapping_has_learned_to_erase_asks_for_it(world: World) -> None:
    world.write(KNOWING + RULES, ("one",))
    (receipt,) = world.take_in(event(1, name="A", contact="7", gone=True))
    finish(world)
    world.write(KNOWING + RULES + ERASING, ("one",))
    number = world.replay(receipt=receipt)
    assert replayed(world, receipt, number) == [("one", "waiting", PHONE)]
    execute(world, "UPDATE erasure SET due_at = 0")
    assert erase_people(world.database)  # it waits for the opt-out to be confirmed
    assert world.outcomes(phones=[PHONE])[0]["phone"] == PHONE
    finish(world)
    execute(world, "UPDATE erasure SET due_at = 0")
    while erase_people(world.database):
        pass
    with world.database.read() as connection:
        assert connection.execute(text("SELECT done_at FROM erasure")).scalar()
        left = contacts.recall(connection, "crm", [ContactRef("", "7")])
        assert left == {ContactRef("", "7"): Known((), opted_out=True)}
        assert not connection.execute(text(f"SELECT 1 FROM outcome WHERE phone = '{PHONE}'")).all()


def test_a_step_takes_no_first_ways_beside_second_ones(world: World) -> None:
    """Both schedule leads, each in order; in one transaction that would be two orders."""
    known = world.receive(event(1, name="A"), received_at=now_ms() - 10_000)
    world.take_in()
    version = world.outcomes(receipt=known)[0]["version"]
    world.write(None)
    new = world.receive(event(2, name="B", phone=OTHER))
    number = world.make(mapping=version, source="crm")
    for count, receipts in ((1, [new]), (2, [new, known])):
        assert world.worker().replay(world.tools)
        assert done(world, number) == count
        execute(world, "UPDATE replay SET next_at = 0")
        later = [row for row in world.outcomes() if row["id"] > 2]
        assert list(dict.fromkeys(row["receipt"] for row in later)) == receipts


def test_where_it_is_erased_what_was_sent_nobody_is_called_once_more(world: World) -> None:
    opting_in = RULES.replace(
        'when: "dnc == `true`"', 'when: "dnc != `null`"\n    allow_opt_in: true'
    ).replace("{value: true}", "{from: dnc, to: boolean}", 1)
    world.write(HEAD + opting_in, ("one",))
    asked = ({"again": True}, {"dnc": False}, {"again": True}, {"dnc": False}, {"dnc": True})
    receipts = world.take_in(*(event(n, name="A", **more) for n, more in enumerate(asked)))
    finish(world)
    execute(world, "UPDATE outcome SET state = 'rejected'")
    with world.database.write() as connection:
        assert erasing.outcomes(connection, digest.load(connection), [3, 4, 5], now_ms()) == [
            3,
            4,
            5,
        ]
    number = world.make(source="crm", marks=True)
    world.work(number)
    fields = [fields for one in receipts for _, _, fields in world.brief(one, number)]
    assert fields == [
        {"first_name": "A", "mark_as_unanswered": True},
        {"first_name": "A", "do_not_call": False},
        {"first_name": "A"},
        {"first_name": "A"},
        {"first_name": "A", "do_not_call": True},
    ]
    reasons = [world.outcomes(receipt=one)[-1]["message"] for one in receipts]
    assert ["sent before is erased" in why for why in reasons] == [False, False, True, True, False]


def test_what_may_have_been_sent_puts_nobody_into_the_queue_once_more(world: World) -> None:
    world.write(HEAD + RULES, ("one",))
    sent = ["waiting", "in_flight", "standing", "updated", "unconfirmed"]
    # of the last but one the wish went out without a trustworthy answer, its name later to no lead
    became = [*((state, False) for state in sent), ("not_found", True), ("not_found", False)]
    receipts = world.take_in(*(event(n, name="A", again=True) for n in range(len(became))))
    (copy,) = world.take_in(event(0, name="A", again=True))
    finish(world)
    with world.database.write() as connection:
        for receipt, (state, doubtful) in zip(receipts, became, strict=True):
            to = text("UPDATE outcome SET state = :s, doubtful = :d WHERE receipt = :receipt")
            connection.execute(to, {"s": state, "d": doubtful, "receipt": receipt})
    number = world.replay(source="crm")  # nobody has asked for wishes
    assert [f for one in receipts for _, _, f in world.brief(one, number)] == [
        {"first_name": "A"}
    ] * len(became)
    number = world.make(source="crm", marks=True)
    world.work(number)
    fields = [fields for one in receipts for _, _, fields in world.brief(one, number)]
    assert fields[:-1] == [{"first_name": "A"}] * 6
    assert fields[-1] == {"first_name": "A", "mark_as_unanswered": True}
    assert [state for _, state, _ in world.brief(copy, number)] == ["duplicate"]


def test_a_replay_whose_updates_are_held_by_a_pause_looks_ever_less_often(world: World) -> None:
    world.take_in(*(event(n, name="A") for n in range(3)))
    number = world.make(source="crm")
    world.tools = replay_step.Tools(world.tools.choice, world.tools.desk, 1)
    execute(world, "UPDATE replay SET rate = 1")  # one delivery at a time
    assert world.worker().replay(world.tools)
    pauses = []
    for _ in range(2):
        execute(world, "UPDATE replay SET next_at = 0")
        before = world.database.now_ms()
        assert world.worker().replay(world.tools)
        pauses.append(control.report_of(world.database, number).replay.next_at - before)
    assert pauses[0] >= replay_step.BREATH_MS
    assert pauses[1] >= replay_step.LONGER_BREATH_MS > replay_step.BREATH_MS
    # once what was held has gone out, it goes on at its pace
    finish(world)
    execute(world, "UPDATE replay SET next_at = 0, rate = 1000")
    assert world.worker().replay(world.tools)
    assert control.report_of(world.database, number).replay.trouble == ""
    with world.database.read() as connection:
        assert Lane.REPLAY in leads.next_due(connection, "one")
    world.tools = replay_step.Tools(world.tools.choice, world.tools.desk, 1000)
    execute(world, "UPDATE replay SET next_at = 0")
    world.work(number)
    assert control.report_of(world.database, number).replay.state is ReplayState.DONE
