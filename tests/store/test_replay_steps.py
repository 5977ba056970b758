"""The steps of a replay over both engines: each event once, by the mapping that was chosen."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from enrich.rest import Api, Says

from bridge.clock import now_ms
from bridge.model import Lane, State
from bridge.settings import Environment
from bridge.steps import replay as replay_step
from bridge.steps import replay_control as control
from bridge.steps import replay_lookups
from bridge.steps.events import events_of
from bridge.steps.replay_choice import Choice
from bridge.steps.replay_lookups import Desk
from bridge.steps.replay_plan import Planner, Wish
from bridge.steps.replay_select import CURRENT, Selection
from bridge.steps.versions import keep
from bridge.store import counters, leads, mapping_versions, replays
from bridge.store.counters import Counted
from bridge.store.database import Connection, Database
from bridge.store.replays import Item, ReplayState

from . import replaying
from .replaying import BOUNDS, HEAD, LOOK_UP, RULES, World
from .rows import a_delivery, stored

PHONE = "+14155550123"


@pytest.fixture
def world(database: Database, tmp_path: Path) -> World:
    folder = tmp_path / "mappings"
    folder.mkdir()
    return World(database, folder)


def event(number: Any, **more: Any) -> dict[str, Any]:
    return {"id": number, "phone": PHONE, "at": 1_700_000_000_000, **more}


def due_at_once(world: World) -> None:
    """Have a replay that paused go on."""
    with world.database.write() as connection:
        connection.exec_driver_sql("UPDATE replay SET next_at = 0")


def lanes(world: World, campaign: str = "one") -> dict[Lane, int]:
    with world.database.read() as connection:
        return leads.next_due(connection, campaign)


def test_every_outcome_names_a_version_that_is_kept(world: World) -> None:
    (receipt,) = world.take_in(event(1, name="Jane"))
    row = world.outcomes(receipt=receipt)[0]
    with world.database.read() as connection:
        kept = mapping_versions.find(connection, row["version"])
    assert kept is not None
    assert kept.text == HEAD + RULES


def test_an_opt_out_stands_in_its_own_lane_and_all_else_behind(world: World) -> None:
    world.write(HEAD + RULES, ("one",))
    details, opt_out = (world.take_in(event(n, **m)) for n, m in ((1, {"name": "J"}), (2, {})))
    with world.database.write() as connection:
        connection.exec_driver_sql("DELETE FROM lead")
    world.replay(receipt=details[0])
    assert list(lanes(world)) == [Lane.REPLAY]
    (out,) = world.take_in(event(3, dnc=True))
    with world.database.write() as connection:
        connection.exec_driver_sql("DELETE FROM lead")
    world.replay(receipt=out)
    assert list(lanes(world)) == [Lane.OPT_OUT]
    assert opt_out


def test_the_old_outcomes_stay_and_the_new_ones_tell_when_it_came(world: World) -> None:
    (receipt,) = world.take_in(event(1, name="Jane"))
    first = world.outcomes(receipt=receipt)
    number = world.replay(receipt=receipt)
    rows = world.outcomes(receipt=receipt)
    assert rows[:2] == first
    assert [(row["replay_id"], row["campaign"]) for row in rows[2:]] == [
        (number, "one"),
        (number, "two"),
    ]
    assert all(row["received_at"] == first[0]["accepted_at"] for row in rows[2:])
    assert all(row["accepted_at"] >= row["received_at"] for row in rows[2:])


def test_a_body_that_could_not_be_read_turns_out_to_be_several_events(world: World) -> None:
    world.write(HEAD.replace("receive:", "receive:\n  decode: xml") + RULES)
    lost, later = world.take_in(
        [event(1, name="A"), event(2, name="B")], [event(2, name="B"), event(3, name="C")]
    )
    assert [state for _, state, _ in world.brief(lost)] == ["dead"]
    world.write(HEAD + RULES)
    (again,) = world.take_in([event(2, name="B")])
    number = world.replay(states=(State.DEAD,))
    states = {r: [s for _, s, _ in world.brief(r, number)] for r in (lost, later)}
    # event 2 came again meanwhile, and counts once
    assert sorted(states[lost]) == ["duplicate", "waiting", "waiting"]
    assert sorted(states[later]) == ["duplicate", "waiting", "waiting"]
    assert [state for _, state, _ in world.brief(again)] == ["waiting", "waiting"]
    # and what has turned up is known from now on
    (copy,) = world.take_in([event(1, name="A"), event(3, name="C")])
    assert [state for _, state, _ in world.brief(copy)] == ["duplicate", "duplicate"]
    assert world.plan(states=(State.DEAD,)).deliveries == 0


def test_only_the_selected_events_of_a_delivery_are_replayed(world: World) -> None:
    (receipt,) = world.take_in([event(1, name="A"), event(2), event(3, name="C")])
    number = world.replay(states=(State.SKIPPED,))
    assert [state for _, state, _ in world.brief(receipt, number)] == ["skipped"]
    assert control.report_of(world.database, number).replay.deliveries == 1


def test_every_page_of_every_state_is_selected_and_nothing_from_another_time(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bridge.steps.replay_select.PAGE", 2)
    at = now_ms() - 10_000
    lost = {"phone": "none", "name": "A"}
    receipts = [
        world.receive(event(n, **(lost if n % 2 else {})), received_at=at + n) for n in range(10)
    ]
    world.take_in()
    number = world.make(states=(State.DEAD, State.SKIPPED), since=at + 1, until=at + 9)
    with world.database.read() as connection:
        left = replays.items(connection, number, 100)
    assert [item.receipt for item in left] == receipts[8:0:-1]


def test_a_replay_of_one_campaign_sends_to_no_other(world: World) -> None:
    (receipt,) = world.take_in(event(1, name="A"))
    number = world.replay(campaign="two")
    assert [campaign for campaign, _, _ in world.brief(receipt, number)] == ["two"]


def test_an_opt_in_that_was_confirmed_is_not_said_again(world: World) -> None:
    rules = RULES.replace("value: true", "from: dnc, to: boolean", 1).replace(
        'when: "dnc == `true`"', 'when: "dnc != `null`"\n    allow_opt_in: true'
    )
    world.write(HEAD + rules)
    confirmed, lost = world.take_in(event(1, dnc=False), event(2, dnc=False, name="A"))
    with world.database.write() as connection:
        connection.exec_driver_sql("UPDATE outcome SET state = 'updated' WHERE event_id = 1")
        connection.exec_driver_sql("UPDATE outcome SET state = 'rejected' WHERE event_id = 2")
    number = world.replay(receipt=confirmed)
    assert [state for _, state, _ in world.brief(confirmed, number)] == ["skipped"]
    number = world.replay(receipt=lost)
    assert [fields for _, _, fields in world.brief(lost, number)] == [
        {"do_not_call": False, "first_name": "A"},
        {"do_not_call": False, "first_name": "A"},
    ]


def test_a_campaign_that_is_gone_is_named_and_breaks_nothing(world: World) -> None:
    (receipt,) = world.take_in(event(1, name="A"))
    version = world.outcomes(receipt=receipt)[0]["version"]
    world.write(HEAD + RULES, ("two", "three"))
    number = world.replay(mapping=version)
    (row,) = [row for row in world.outcomes(receipt=receipt) if row["replay_id"] == number]
    assert (row["campaign"], row["state"], row["version"]) == ("two", "waiting", version)
    assert "no longer has campaign one" in row["message"]
    current = world.replay(receipt=receipt)
    assert [campaign for campaign, _, _ in world.brief(receipt, current)] == ["two", "three"]


def test_deliveries_whose_source_has_no_mapping_are_taken_in_by_a_kept_one(world: World) -> None:
    (first,) = world.take_in(event(1, name="A"))
    version = world.outcomes(receipt=first)[0]["version"]
    world.write(None)
    lost = world.receive(event(2, name="B"))
    world.worker().take_in()
    for mapping in ("current", "original"):  # it may still be taken in by itself
        world.replay(mapping=mapping, receipt=lost)
    assert world.outcomes(receipt=lost) == []
    world.replay(mapping=version, receipt=lost)
    assert [(c, s) for c, s, _ in world.brief(lost)] == [("one", "waiting"), ("two", "waiting")]
    with world.database.read() as connection:
        counted = counters.read(connection)
    for what in (Counted.RECEIVED, Counted.EVENT):
        assert counted.by_name(what) == {"crm": 2}, "a count of metrics never falls"
    # with a mapping in force, the worker takes in by itself what nobody has
    world.write(HEAD + RULES)
    fresh = world.receive(event(3, name="C"))
    assert world.plan(mapping=version, receipt=fresh).passed_over == 1
    world.replay(mapping=version, receipt=fresh)
    assert world.brief(fresh) == []


def test_a_mapping_whose_settings_have_no_value_maps_nothing(world: World) -> None:
    needy = HEAD + RULES.replace("first_name: name", 'first_name: "${NOBODY_SETS_THIS}"')
    (receipt,) = world.take_in(event(1, name="A"))
    world.write(needy)
    number = world.replay(receipt=receipt)
    (row,) = [row for row in world.outcomes(receipt=receipt) if row["replay_id"] == number]
    assert (row["state"], "set NOBODY_SETS_THIS" in row["message"]) == ("dead", True)
    waiting = world.receive(event(2, name="B"))
    world.replay(receipt=waiting)
    assert world.outcomes(receipt=waiting) == []


def test_without_a_mapping_a_replay_says_so_and_can_be_repeated(world: World) -> None:
    (receipt,) = world.take_in(event(1, name="A"))
    world.write(None)
    number = world.replay(receipt=receipt)
    ((campaign, state, _),) = world.brief(receipt, number)
    assert (campaign, state) == ("", "dead")
    world.write(HEAD + RULES)
    number = world.replay(states=(State.DEAD,))
    assert [state for _, state, _ in world.brief(receipt, number)] == ["waiting", "waiting"]


def test_a_look_up_that_fails_ends_as_dead_after_some_rounds_and_is_replayable(
    world: World,
) -> None:
    world.write(HEAD + LOOK_UP + RULES)
    (receipt,) = world.take_in({"id": 1, "contact": "7", "name": "A", "phone": PHONE})
    with world.database.write() as connection:
        connection.exec_driver_sql("UPDATE event SET state = 'done'")
    assert world.plan(receipt=receipt).look_ups == 1
    number = world.make(receipt=receipt)
    for tries in range(1, replay_step.LOOKUP_TRIES):
        due_at_once(world)
        assert world.worker().replay(world.tools)
        replay = control.report_of(world.database, number).replay
        assert (replay.tries, replay.deliveries_done) == (tries, 0)
        assert "look-ups fail" in replay.trouble
    due_at_once(world)
    world.work(number)
    ((_, state, _),) = world.brief(receipt, number)
    assert state == "dead"
    world.write(HEAD + RULES)
    number = world.replay(states=(State.DEAD,), error="look-up failed")
    assert [state for _, state, _ in world.brief(receipt, number)] == ["waiting", "waiting"]


def test_a_plan_that_asks_crms_holds_no_transaction_meanwhile(world: World) -> None:
    world.write(HEAD + LOOK_UP + RULES)
    (receipt,) = world.take_in({"id": 1, "contact": "7", "name": "A", "phone": PHONE})
    with world.database.write() as connection:
        connection.exec_driver_sql("UPDATE event SET state = 'done'")
    open_now, met = [0], []

    class Watched(Database):
        @contextmanager
        def read(self) -> Iterator[Connection]:
            with super().read() as connection:
                open_now[0] += 1
                yield connection
                open_now[0] -= 1

    class Asked(Desk):
        def ask(self, wanting: Any) -> Any:
            met.append(open_now[0])
            return super().ask(wanting)

    database, desk = Watched(world.database.url), Asked(lambda _seconds: True)
    planner = Planner(database, world.mappings, Choice(world.compile), BOUNDS, desk=desk)
    try:
        made = planner.plan(Selection(receipt=receipt), Wish(CURRENT))
    finally:
        desk.close()
        database.close()
    assert (made.deliveries, made.look_ups, met) == (1, 1, [0])


def test_what_is_kept_of_mapping_versions_that_were_asked_does_not_grow_with_edits(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker lives for months, and each edit makes another version."""
    monkeypatch.setattr(replay_lookups, "OPEN_MOST", 2)
    (delivery,) = stored(world.database, a_delivery(source="crm", body=b'{"id": 1}'))
    desk, opened = Desk(lambda _seconds: True), []
    for name in ("first", "second", "first", "third", "first"):
        world.write(HEAD + LOOK_UP + RULES.replace("details", name))
        mapping = world.mappings.mappings["crm"]
        (event,) = events_of(delivery, mapping, BOUNDS)
        assert desk.ask([(delivery, event, mapping)]) == [{}]
        opened.append(desk._open["crm", mapping.version])
    assert opened[0] is opened[2] is opened[4]
    assert list(desk._open.values()) == [opened[3], opened[0]]
    desk.close()


@pytest.fixture
def crm(monkeypatch: pytest.MonkeyPatch) -> Iterator[Api]:
    api = Api(lambda _asked: Says(200, {"phone": PHONE}))
    settings = Environment({**replaying.ENVIRONMENT, "CRM_URL": api.url})
    monkeypatch.setattr(World, "environment", settings)
    yield api
    api.stop()


def test_what_a_crm_said_before_a_delivery_came_is_not_taken_for_its_answer(
    world: World, crm: Api
) -> None:
    """A worker's desk for replays lives for months, and the record may be an opt-out by now."""
    asks = """
enrich:
  contact: {url: "${CRM_URL}/people/{id}", token: "${CRM_TOKEN}", ids: contact}
"""
    world.write(HEAD + asks + RULES)
    mapping = world.mappings.mappings["crm"]
    now = now_ms()
    desk, calls = Desk(wall=lambda: now), []
    for received_at in (now - 60_000, now - 60_000, now):
        body = b'{"id": 1, "contact": "7"}'
        row = a_delivery(source="crm", body=body, received_at=received_at)
        (delivery,) = stored(world.database, row)
        (read,) = events_of(delivery, mapping, BOUNDS)
        desk.ask([(delivery, read, mapping)])
        calls.append(len(crm.asked))
    desk.close()
    assert calls == [1, 1, 2]


def test_an_opt_out_whose_look_up_fails_goes_to_the_numbers_that_are_remembered(
    world: World,
) -> None:
    head = HEAD.replace("event_id", "contacts: {ids: [contact]}\n  event_id")
    remembered = 'phone_number: {first: [phone, "_known.phones[0]"]}'
    rules = RULES.replace("phone_number: phone", remembered)
    world.write(head + LOOK_UP.replace("when: contact", "when: ask") + rules)
    world.take_in({"id": 1, "contact": "7", "phone": PHONE, "name": "A"})
    (lost,) = world.take_in({"id": 2, "contact": "7", "ask": True, "dnc": True, "name": "B"})
    with world.database.write() as connection:
        connection.exec_driver_sql("UPDATE event SET state = 'done'")
    number = world.make(receipt=lost)
    while control.report_of(world.database, number).replay.state is ReplayState.RUNNING:
        due_at_once(world)
        world.worker().replay(world.tools)
    rows = [row for row in world.outcomes(receipt=lost) if row["replay_id"] == number]
    assert [(row["campaign"], row["phone"], row["opts_out"]) for row in rows] == [
        ("one", PHONE, True),
        ("two", PHONE, True),
    ]
    assert all("look-up failed" in row["message"] for row in rows)


def test_events_that_wait_for_a_look_up_of_their_own_are_left_alone(world: World) -> None:
    world.write(HEAD + LOOK_UP + RULES)
    (receipt,) = world.take_in({"id": 1, "contact": "7", "name": "A", "phone": PHONE})
    assert world.plan(receipt=receipt).passed_over == 1
    number = world.replay(receipt=receipt)
    assert world.brief(receipt, number) == []


def test_a_worker_that_lost_a_replay_stores_nothing_over_its_successor(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    receipts = world.take_in(*(event(n, name=f"N{n}") for n in range(5)))
    number = world.make(source="crm")

    def paused(database: Database, kept: Any) -> None:
        """The first worker sleeps between mapping and storing; a second one takes over."""
        monkeypatch.setattr(replay_step, "keep", keep)
        with world.database.write() as connection:
            connection.exec_driver_sql("UPDATE replay SET held_until = 0")
        world.work(number, "w2")
        keep(database, kept)

    monkeypatch.setattr(replay_step, "keep", paused)
    assert world.worker("w1").replay(world.tools)
    report = control.report_of(world.database, number)
    assert report.replay.state is ReplayState.DONE
    assert report.replay.deliveries_done == 5
    assert all(len(world.brief(receipt, number)) == 2 for receipt in receipts)


def test_a_cancel_between_mapping_and_storing_stores_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    (receipt,) = world.take_in(event(1, name="A"))
    number = world.make(receipt=receipt)

    def cancelled(database: Database, kept: Any) -> None:
        control.cancel(world.database, number)
        keep(database, kept)

    monkeypatch.setattr(replay_step, "keep", cancelled)
    world.worker().replay(world.tools)
    assert world.brief(receipt, number) == []
    monkeypatch.setattr(replay_step, "keep", keep)
    assert control.resume(world.database, number) is ReplayState.RUNNING
    world.work(number)
    assert len(world.brief(receipt, number)) == 2


def test_a_replay_goes_from_the_newest_delivery_to_the_oldest(world: World) -> None:
    at = now_ms() - 10_000
    receipts = [world.receive(event(n, name="A"), received_at=at + n) for n in range(4)]
    world.take_in()
    number = world.make(source="crm")
    with world.database.read() as connection:
        left = replays.items(connection, number, 10)
    assert [item.receipt for item in left] == receipts[::-1]


def test_a_preparation_that_broke_off_goes_on_where_it_was(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bridge.steps.replay_select.PAGE", 2)
    at = now_ms() - 10_000
    receipts = [world.receive(event(n, name="A"), received_at=at + n) for n in range(7)]
    world.take_in()
    selection = Selection(source="crm")
    number = control.create(world.database, selection, Wish("current"), 100, actor="Ada")

    class Killed(Exception):  # noqa: N818 - what ends the process in this test
        pass

    def kill(_share: float, chosen: int) -> None:
        if chosen >= 4:
            raise Killed

    with pytest.raises(Killed):
        control.prepare(world.database, number, kill)
    world.worker().replay(world.tools)  # nothing is begun before all is selected
    assert control.report_of(world.database, number).states == {}
    world.receive(event(99, name="late"))
    world.take_in()
    assert control.resume(world.database, number) is ReplayState.PREPARING
    assert control.prepare(world.database, number)
    with world.database.read() as connection:
        left = replays.items(connection, number, 100)
    assert sorted(item.receipt for item in left) == receipts


def test_two_pages_that_bring_the_same_delivery_add_its_events_up(world: World) -> None:
    number = control.create(
        world.database, Selection(source="crm"), Wish("current"), 100, actor="Ada"
    )
    for ordinals in (frozenset({0, 3}), frozenset({1, 3})):
        with world.database.write() as connection:
            assert replays.add_items(connection, number, [Item("r", 1, ordinals)], {})
    with world.database.write() as connection:
        assert replays.items(connection, number, 9) == [Item("r", 1, frozenset({0, 1, 3}))]
        assert replays.add_items(connection, number, [Item("r", 1, None)], {})
        assert replays.items(connection, number, 9) == [Item("r", 1, None)]


def test_a_replay_waits_while_enough_of_it_is_on_its_way(world: World) -> None:
    world.take_in(*(event(n, name="A") for n in range(3)))
    number = world.make(source="crm")
    world.tools = replay_step.Tools(world.tools.choice, world.tools.desk, 1)
    with world.database.write() as connection:
        connection.exec_driver_sql("UPDATE replay SET rate = 1")  # one delivery at a time
    assert world.worker().replay(world.tools)
    assert control.report_of(world.database, number).replay.deliveries_done == 1
    due_at_once(world)
    assert world.worker().replay(world.tools)
    replay = control.report_of(world.database, number).replay
    assert (replay.deliveries_done, "on their way" in replay.trouble) == (1, True)
