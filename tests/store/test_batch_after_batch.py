"""A batch is recorded and the next one claimed in one transaction: what goes, and what if not."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
from sqlalchemy import event, text

from bridge.errors import StoreError
from bridge.forward.client import CampaignClient
from bridge.model import Answered, Campaign, Lane, Result, Secret, Sent, Trouble, Verdict
from bridge.record.gate import Gate, GatePolicy
from bridge.steps.conditions import monotonic_ms
from bridge.steps.greet import greet
from bridge.steps.send import Next, Way
from bridge.steps.turns import Turns
from bridge.store import leads, tally
from bridge.store.database import Connection, Database

from .flood import Webhooks, flooding
from .replaying import BOUNDS, World

PHONES = [f"+1415555010{number}" for number in range(10)]


class Api:
    """Confirms all, and notes each call; ``meanwhile`` is done while a call is out."""

    def __init__(self) -> None:
        self.calls: list[list[str]] = []
        self.meanwhile: Callable[[], object] = lambda: None
        self.trouble: Trouble | None = None

    def update_leads(
        self, _campaign: Campaign, batch: Sequence[Sent], _heard: Callable[[Answered], None]
    ) -> Answered:
        self.calls.append([sent.phone for sent in batch])
        self.meanwhile()
        verdict = Verdict.CONFIRMED if self.trouble is None else Verdict.NOT_SENT
        return Answered(tuple(Result(verdict) for _ in batch), 200, self.trouble)


class Sender:
    """A thread that sends the leads of a campaign, two at a time."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.api = Api()
        self.gate = Gate(GatePolicy(1, 1, 1), 1e6, lambda: 0.0)
        self.turns = Turns(0, only_opt_outs=False)
        self.campaign = replace(world.mappings.campaigns["one"], batch_size=2)
        self.way = Way(
            cast(CampaignClient, self.api),
            self.gate,
            lambda _lane, _deadline: True,
            lambda *_: None,
            self.go_on,
        )

    def go_on(self) -> Next | None:
        return self.next

    def next(self, connection: Connection) -> Lane | None:
        now = self.world.database.now_ms()
        lane = self.turns.choose(leads.next_due(connection, "one"), now)
        if lane is None or self.gate.try_pass(monotonic_ms()):
            return None
        self.turns.served(lane)
        return lane

    def send(self, lane: Lane = Lane.FIRST) -> int:
        assert not self.gate.try_pass(monotonic_ms())
        return self.world.worker().send(self.campaign, lane, self.way)

    def calls_taken(self) -> int:
        """How many calls the gate has let through and not got back."""
        return len(self.gate._pace._taken)


@pytest.fixture
def sender(database: Database, tmp_path: Path) -> Sender:
    folder = tmp_path / "mappings"
    folder.mkdir()
    world = World(database, folder)
    for number in range(5):
        world.take_in({"id": number, "phone": PHONES[number], "name": "A", "at": 1_000 + number})
    with database.write() as connection:  # they wait for company no longer
        connection.execute(text("UPDATE lead SET due_at = id"))
    return Sender(world)


def states(sender: Sender) -> list[str]:
    return [row["state"] for row in sender.world.outcomes() if row["campaign"] == "one"]


def test_a_backlog_is_sent_with_one_transaction_a_batch(sender: Sender) -> None:
    commits: list[object] = []

    def note(connection: Connection) -> None:
        if connection.info["write"]:
            commits.append(connection)

    event.listen(sender.world.database.engine, "commit", note)
    assert sender.send() == 5
    assert sender.api.calls == [PHONES[:2], PHONES[2:4], PHONES[4:5]]
    assert set(states(sender)) == {"updated"}
    # the first claim, and a record for each batch; the last batch was not full
    assert len(commits) == 4
    assert sender.calls_taken() == 3


def test_an_opt_out_that_came_meanwhile_goes_before_the_rest(sender: Sender) -> None:
    def opt_out() -> None:
        sender.api.meanwhile = lambda: None
        sender.world.take_in({"id": 9, "phone": PHONES[9], "dnc": True, "at": 2_000})

    sender.api.meanwhile = opt_out
    sender.send()
    assert sender.api.calls[:2] == [PHONES[:2], PHONES[9:]]
    # its batch was not full, so what is left has its turn like every other
    assert len(sender.api.calls) == 2
    sender.send()
    assert sorted(phone for call in sender.api.calls for phone in call) == [*PHONES[:5], PHONES[9]]


def test_only_an_opt_out_is_sent_and_recorded_while_a_worker_stands_back(
    sender: Sender, tmp_path: Path
) -> None:
    sender.world.take_in({"id": 9, "phone": PHONES[9], "dnc": True, "at": 2_000})
    webhooks = Webhooks(tmp_path, sender.world.database, 0.01, passing=True)
    with webhooks.flood(owing=True):
        assert sender.send(Lane.OPT_OUT) == 1
        assert sender.api.calls == [PHONES[9:]]
        assert not webhooks.stood_back.is_set()
        sender.send()
        assert webhooks.stood_back.is_set()


def test_an_answer_is_recorded_while_its_lease_lasts_however_long_a_worker_stands_back(
    database: Database, opened: Callable[..., Database], sender: Sender
) -> None:
    """Another worker frees what is held for longer than the lease."""
    sender.world.bounds = replace(BOUNDS, lease=1_500)
    sender.world.pipelines.clear()
    sender.way = replace(sender.way, go_on=lambda: None)
    worker = sender.world.database = opened(share=0.01)

    def recover() -> None:
        world = World(database, sender.world.folder)
        while not ended.wait(0.1):
            world.worker().recover()

    ended = threading.Event()
    other = threading.Thread(target=recover, daemon=True)
    other.start()
    try:
        with flooding(database, worker, owing=True):
            assert sender.send() == 2
    finally:
        ended.set()
        other.join(30)
    assert sender.api.calls == [PHONES[:2]]
    assert states(sender).count("updated") == 2


NEXT_CLAIM = "NEW.lease_owner <> '' AND (SELECT count(*) FROM batch) = 1"
"""Leads are claimed, and one batch has been recorded."""


def refuse(database: Database, when: str, words: str, condition: str = "1 = 1") -> None:
    """From now on the database itself fails with these words."""
    if database.is_sqlite:
        fails = f"SELECT RAISE(ABORT, '{words}') WHERE {condition};"
        statements = [f"CREATE TRIGGER refused BEFORE {when} BEGIN {fails} END"]
    else:
        fails = f"IF {condition} THEN RAISE EXCEPTION '{words}'; END IF; RETURN NEW;"
        statements = [
            f"CREATE FUNCTION refuse() RETURNS trigger AS $$BEGIN {fails} END$$ LANGUAGE plpgsql",
            f"CREATE TRIGGER refused BEFORE {when} FOR EACH ROW EXECUTE FUNCTION refuse()",
        ]
    with database.write() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)


def refuse_no_longer(database: Database) -> None:
    with database.write() as connection:
        of = "" if database.is_sqlite else " ON lead"
        connection.exec_driver_sql(f"DROP TRIGGER refused{of}")


@pytest.mark.parametrize("words", ["no space left", "a bad row"], ids=["busy", "refused"])
def test_an_answer_is_recorded_also_where_the_next_batch_cannot_be_claimed(
    sender: Sender, words: str
) -> None:
    refuse(sender.world.database, "UPDATE ON lead", words, NEXT_CLAIM)
    assert sender.send() == 2
    assert sorted(states(sender)) == ["updated"] * 2 + ["waiting"] * 3
    assert sender.calls_taken() == 1
    refuse_no_longer(sender.world.database)
    assert sender.send() == 3
    assert sender.api.calls == [PHONES[:2], PHONES[2:4], PHONES[4:5]]
    with sender.world.database.read() as connection:
        assert tally.totals(connection)["one"] == {"waiting": 0, "updated": 5}
        assert connection.execute(text("SELECT count(*) FROM batch")).scalar() == 3


def test_an_answer_that_cannot_be_recorded_is_no_success(sender: Sender) -> None:
    refuse(sender.world.database, "INSERT ON batch", "a bad row")
    with pytest.raises(StoreError, match="a bad row"):
        sender.send()
    assert set(states(sender)) == {"in_flight", "waiting"}


@pytest.mark.parametrize("answered", [True, False])
def test_nothing_is_claimed_for_a_campaign_that_has_another_id_or_failed(
    sender: Sender, answered: bool
) -> None:
    sender.api.trouble = None if answered else Trouble.SERVER

    def rename() -> None:
        after = replace(sender.campaign, id="another")
        greet(sender.world.database, after, [after], ["one"], lambda: False)

    if answered:
        sender.api.meanwhile = rename
    assert sender.send() == 2
    assert len(sender.api.calls) == 1
    assert sender.calls_taken() == 1
    assert states(sender).count("waiting") == (3 if answered else 5)


def test_a_worker_that_dies_holds_what_was_claimed_last_and_nothing_else(sender: Sender) -> None:
    class Killed(BaseException):
        pass

    def kill() -> None:
        if len(sender.api.calls) == 2:
            raise Killed

    sender.api.meanwhile = kill
    with pytest.raises(Killed):
        sender.send()
    assert sorted(states(sender)) == ["in_flight", "in_flight", "updated", "updated", "waiting"]
    assert sender.world.worker().recover(all_of_them=True) == 2
    doubtful = [row["phone"] for row in sender.world.outcomes() if row["doubtful"]]
    assert sorted(doubtful) == PHONES[2:4]


def test_a_pause_for_the_gate_ends_the_row(sender: Sender) -> None:
    sender.gate.set_rate(0.001)
    sender.gate._pace._next_call = 0.0
    assert sender.send() == 2
    assert sender.calls_taken() == 1


def test_a_campaign_whose_id_changes_twice_hears_of_an_opt_out_that_was_on_its_way_again(
    sender: Sender,
) -> None:
    """The answer to the call that repeats an opt-out speaks for the id that it went to alone."""
    world, first = sender.world, sender.campaign
    second, third = replace(first, id="second"), replace(first, id="third")

    def greeted(campaign: Campaign) -> None:
        greet(world.database, campaign, [campaign], ["one"], lambda: False)

    greeted(first)
    world.take_in({"id": 9, "phone": PHONES[9], "dnc": True, "at": 2_000})
    assert sender.send(Lane.OPT_OUT) == 1
    greeted(second)
    sender.campaign = second
    sender.api.meanwhile = lambda: greeted(third)
    assert sender.send(Lane.OPT_OUT) == 1
    sender.campaign, sender.api.meanwhile = third, lambda: None
    assert sender.send(Lane.OPT_OUT) == 1
    assert sender.api.calls == [PHONES[9:]] * 3
    # which has confirmed it, so there the matter ends
    assert sender.send(Lane.OPT_OUT) == 0
    with world.database.read() as connection:
        assert not connection.execute(text("SELECT count(*) FROM lead WHERE reassert")).scalar()


@pytest.mark.parametrize("values", [("one",), ("old", "new")], ids=["one token", "two tokens"])
def test_a_further_call_ends_within_the_lease_with_every_token_that_it_may_take(
    sender: Sender, values: tuple[str, ...]
) -> None:
    """While a token is rotated, a call that the first is refused for is made once more."""
    deadlines: list[float] = []

    def pace(_lane: Lane, deadline: float) -> bool:
        deadlines.append(deadline)
        return True

    class Refusing(Api):
        def update_leads(self, *given: Any) -> Answered:
            answered = super().update_leads(*given)
            if len(self.calls) > 1:
                return answered
            return Answered((Result(Verdict.REJECTED),) * 2, 422)

    sender.way = replace(sender.way, client=cast(CampaignClient, Refusing()), pace=pace)
    sender.campaign = replace(sender.campaign, token=Secret("T", values), timeout_s=7.0)
    before = monotonic_ms()
    sender.send()
    assert len(deadlines) == 2
    lease_end_s = (before + sender.world.bounds.lease) / 1000
    spare_s = deadlines[0] - (lease_end_s - len(values) * 7.0)
    assert 0 <= spare_s < 1
