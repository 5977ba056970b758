"""A campaign, its workers and an API with a hidden truth, over a clock of the test.

Threads that send, gates, what workers tell each other, taking apart, decisions and ledgers are as
they are; leads are those of ``one_lead``, and the API is ``Api``. One thread runs at a time, and
goes on where it would wait or call, so that a run is the same each time.
"""

from __future__ import annotations

import heapq
import itertools
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from random import Random
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import create_engine
from sqlalchemy.pool import StaticPool

from bridge import sending
from bridge.errors import StoreError
from bridge.forward.deliver import deliver
from bridge.model import Answered, Campaign, Lane, Result, Secret, Sent, Trouble, Verdict
from bridge.record.gate import Gate, GatePolicy
from bridge.sending import Sending
from bridge.steps import conditions, send
from bridge.steps.claim import Claimed, Taken
from bridge.steps.conditions import Conditions
from bridge.store import campaigns
from bridge.store.counters import Counts
from bridge.store.schema import NEVER, metadata

from .one_lead import POLICY, START, OneLead

NAME = "one"
LEASE = 30_000
PATIENCE = replace(POLICY, standing_steps=(60_000,))
BAD, ODD, CRASH = "Robert'); DROP TABLE", "Odd", "Crash"
"""Names at which a firewall answers 403, the API 422, and the API breaks."""


class Over(BaseException):
    """The thread ends here: its worker was killed, or the test is over."""


class Clock:
    """Threads that take turns, each of which sleeps until its time has come."""

    def __init__(self) -> None:
        self.now = 0.0
        self._row: list[tuple[float, int, threading.Event]] = []
        self._count = itertools.count()
        self._listening: set[threading.Event] = set()
        self._mine = threading.local()
        self._turn = threading.Event()
        self.over = False
        self.failed: list[BaseException] = []

    def start(self, work: Callable[[], None]) -> None:
        """A thread that begins now."""
        event = threading.Event()

        def run() -> None:
            self._mine.event = event
            event.wait()
            try:
                work()
            except Over:
                pass
            except BaseException as error:  # noqa: BLE001 - told by the test
                self.failed.append(error)
            self._turn.set()

        heapq.heappush(self._row, (self.now, next(self._count), event))
        threading.Thread(target=run, daemon=True).start()

    def sleep(self, ms: float) -> None:
        """Wait, while others do something."""
        event: threading.Event = self._mine.event
        event.clear()
        heapq.heappush(self._row, (self.now + max(0.01, ms), next(self._count), event))
        self._turn.set()
        event.wait()
        if self.over:
            raise Over

    def listen(self, ms: float) -> None:
        """As ``sleep``, but ``ring`` ends it."""
        self._listening.add(self._mine.event)
        try:
            self.sleep(ms)
        finally:
            self._listening.discard(self._mine.event)

    def ring(self) -> None:
        """Have all go on who listen."""
        self._row = [
            (self.now if event in self._listening else at, number, event)
            for at, number, event in self._row
        ]
        heapq.heapify(self._row)

    def wait(self, ms: float) -> None:
        """As ``sleep``; nothing for who sets the threads up."""
        if ms and hasattr(self._mine, "event"):
            self.sleep(ms)

    def run(self, until: float) -> None:
        """Let the threads go on until then."""
        while self._row and self._row[0][0] <= until:
            at, _, event = heapq.heappop(self._row)
            self.now = max(self.now, at)
            self._pass_to(event)
            if self.failed:
                raise self.failed[0]
        self.now = max(self.now, until)

    def end(self) -> None:
        """End all threads."""
        self.over = True
        while self._row:
            self._pass_to(heapq.heappop(self._row)[2])

    def _pass_to(self, event: threading.Event) -> None:
        self._turn.clear()
        event.set()
        assert self._turn.wait(30), "a thread waits for something else"


@dataclass(frozen=True)
class Window:
    """From ``begin`` to ``end`` (ms) each call is answered by ``kind``."""

    begin: float
    end: float
    kind: str


KINDS = ("403", "401", "404", "429", "503", "lost", "done", "partial")


@dataclass
class Api:
    """What is true of the API, and what it has done.

    ``refused``: leads whose opt-outs get a 403. ``most``: of more leads than that a call is too
    large. ``seconds``: that a call takes at least and at most; a 403 comes in half the time.
    ``calm``: from when on (ms) nothing breaks it. ``apart``: how many batches are being taken
    apart, during which a right is not taken away: that would pass for their leads' fault.
    """

    random: Random
    refused: set[int]
    most: int
    windows: Sequence[Window]
    seconds: tuple[float, float]
    calm: float
    quick: bool = True
    leads: dict[int, dict[str, Any]] = field(default_factory=dict)
    calls: list[tuple[float, list[int], int | None]] = field(default_factory=list)
    apart: int = 0
    begun: set[Window] = field(default_factory=set)

    def answer(self, now: float, part: Sequence[Sent]) -> Answered:
        """The answer to a call that came in now."""
        kind = self._kind(now)
        ids = [sent.lead_id for sent in part]
        names = {sent.payload.get("first_name") for sent in part}
        if kind in ("401", "404", "429", "503"):
            return self._whole(now, ids, int(kind))
        if len(part) > self.most:
            return self._whole(now, ids, 413)
        if kind == "403" or self.refuses(part):
            return self._whole(now, ids, 403)
        if CRASH in names and now < self.calm:
            return self._whole(now, ids, self.random.choice([500, None]))
        if kind == "lost":
            return self._whole(now, ids, None)
        if ODD in names:
            return self._whole(now, ids, 422)
        for sent in part:
            self.leads.setdefault(sent.lead_id, {}).update(sent.payload)
        if kind == "done":
            return self._whole(now, ids, None)
        self.calls.append((now, ids, 200))
        said = [
            Verdict.UNKNOWN
            if kind == "partial" and self.random.random() < 0.5
            else Verdict.CONFIRMED
            for _ in part
        ]
        return Answered(tuple(Result(verdict, "200") for verdict in said), 200)

    def refuses(self, part: Sequence[Sent]) -> bool:
        """Whether there is something in a call at which a firewall takes offence."""
        return any(
            sent.payload.get("first_name") == BAD
            or (sent.lead_id in self.refused and "do_not_call" in sent.payload)
            for sent in part
        )

    def _kind(self, now: float) -> str:
        for window in self.windows:
            if window.begin <= now < window.end and (window in self.begun or not self.apart):
                self.begun.add(window)
                return window.kind
        return ""

    def _whole(self, now: float, ids: list[int], status: int | None) -> Answered:
        self.calls.append((now, ids, status))
        verdict, trouble, wait = Verdict.NOT_SENT, None, None
        if status in (413, 422):
            verdict = Verdict.REJECTED
        elif status is None or status >= 500:
            verdict, trouble = Verdict.UNKNOWN, Trouble.SERVER if status else Trouble.TRANSPORT
        elif status == 429:
            trouble = Trouble.BUSY
            wait = next(w.end - now for w in self.windows if w.kind == "429" and now < w.end) / 1000
        else:
            trouble = Trouble.REFUSED
        detail = f"HTTP {status}"
        return Answered(tuple(Result(verdict, detail) for _ in ids), status, trouble, detail, wait)


class Shared:
    """The database as far as campaigns are concerned, by the clock of the test."""

    def __init__(self, clock: Clock, *, is_sqlite: bool) -> None:
        self.clock, self.is_sqlite = clock, is_sqlite
        self.engine = create_engine(
            "sqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False}
        )
        metadata.create_all(self.engine)
        self.written = 0

    def now_ms(self) -> int:
        return START + int(self.clock.now)

    @contextmanager
    def write(self, **_: bool) -> Iterator[Any]:
        with self.engine.begin() as connection:
            self.written += 1
            yield connection

    @contextmanager
    def read(self) -> Iterator[Any]:
        with self.engine.connect() as connection:
            yield connection


class Worker:
    """One worker's threads. ``stopping``: it was asked to end; ``dead``: it was killed."""

    def __init__(self, world: World) -> None:
        self.world, self.stopping, self.dead = world, False, False
        self.seen = -1
        self.told_until = 0.0
        self.is_sqlite = world.shared.is_sqlite
        self.conditions = Conditions(self, world.policy, lambda _: None, Counts())  # type: ignore[arg-type]
        self.conditions.limit({NAME: world.campaign})
        self.conditions.start(world.campaign)
        for number in range(-1, world.campaign.concurrency):
            world.clock.start(partial(self._send, number))
        world.clock.start(self._hear)

    def _send(self, number: int) -> None:
        try:
            _Sending(self).run(NAME, number)
        except StoreError:
            if not self.dead:
                raise

    def _hear(self) -> None:
        while not self.stopping:
            self.sleep(1.0)
            if self.world.shared.written != self.seen or self.conditions.gate(NAME).unsaved:
                self.seen = self.world.shared.written
                self.conditions.hear()

    # as a database, which a worker that was killed no longer reaches

    def now_ms(self) -> int:
        return self.world.shared.now_ms()

    @contextmanager
    def write(self, **_: bool) -> Iterator[Any]:
        self.world.clock.wait(self.world.busy())
        if self.dead:
            raise StoreError("killed")
        with self.world.shared.write() as connection:
            yield connection

    def read(self) -> Any:
        return self.world.shared.read()

    # as bells

    def hear_instead(self, *_: str) -> None:
        pass

    def count(self, *_: str) -> int:
        return 0

    def wait(self, *_: str, seconds: float, **__: int) -> None:
        self.world.clock.listen(min(seconds, 5.0) * 1000)
        if self.dead:
            raise Over

    def sleep(self, seconds: float) -> bool:
        self.world.clock.sleep(seconds * 1000)
        if self.dead:
            raise Over
        return not self.stopping


class _Sending(Sending):
    """The threads that send, with leads of the test."""

    def __init__(self, worker: Worker) -> None:
        self.worker = worker
        self._database: Any = worker
        self._pipeline: Any = self
        self._live: Any = self
        self._conditions = worker.conditions
        self._bells: Any = worker
        self._poll_s = 2.0
        self._trust: Any = None

    def current(self) -> Any:
        return SimpleNamespace(campaigns={NAME: self.worker.world.campaign})

    def _due(self, campaign: Campaign, *, only_opt_outs: bool) -> dict[Lane, int]:
        worker, due = self.worker, self.worker.world.due()
        found = None
        if worker.world.shared.written != worker.seen:
            with worker.read() as connection:
                found = campaigns.known(connection, NAME)
        return self._lanes(campaign, due, found, only_opt_outs=only_opt_outs)

    def send(self, campaign: Campaign, lane: Lane, way: send.Way) -> int:
        """As ``bridge.steps.send`` does, each batch by itself."""
        world = self.worker.world
        claimed, started_at = world.claim(lane), world.shared.now_ms()
        if not claimed:
            return 0
        equipment: Any = SimpleNamespace(
            counts=Counts(), bounds=SimpleNamespace(lease=LEASE), database=self.worker
        )
        batch = send._Batch(Taken(claimed, started=world.clock.now / 1000), lane, 0)
        client = _Client(self.worker)
        way = replace(way, client=client)  # type: ignore[arg-type]
        try:
            answered = send._call(equipment, campaign, batch, way)
            world.clock.wait(world.busy())
        except Over:
            world.lose(claimed)
            raise
        finally:
            world.api.apart -= client.apart
        for item, result in zip(claimed, answered.results, strict=True):
            named = item.sent.lead_id in client.named
            assert named == (result.verdict is Verdict.CONFIRMED), "only what a reply has named"
        world.record(claimed, answered, started_at)
        return len(claimed)


class _Client:
    """The way of one batch to the API."""

    def __init__(self, worker: Worker) -> None:
        self.worker, self.calls, self.apart = worker, 0, 0
        self.named: set[int] = set()

    def update_leads(self, _: Campaign, part: Sequence[Sent], __: Any) -> Answered:
        world, worker = self.worker.world, self.worker
        assert world.clock.now >= worker.told_until, "it was told to wait"
        self.calls += 1
        if self.calls == 2:
            self.apart = 1
            world.api.apart += 1
        seconds = world.random.uniform(*world.api.seconds)
        half = 0.02 if world.api.quick and world.api.refuses(part) else seconds / 2
        begun = world.clock.now
        worker.sleep(half)
        answer = world.api.answer(world.clock.now, part)
        worker.sleep(half)
        world.spans.append((begun, world.clock.now, worker))
        if answer.status == 429 and answer.retry_after_s:
            worker.told_until = max(
                worker.told_until, world.clock.now + answer.retry_after_s * 1000 - 1
            )
        for sent, result in zip(part, answer.results, strict=True):
            if result.verdict is Verdict.CONFIRMED:
                self.named.add(sent.lead_id)
        return replace(answer, elapsed_ms=round(world.clock.now - begun))


class World:
    """The campaign, its leads, and what the database keeps of calls."""

    def __init__(
        self,
        patch: pytest.MonkeyPatch,
        random: Random,
        api: Api,
        *,
        policy: GatePolicy,
        size: int,
        concurrency: int,
        rate: float = 10.0,
        one_worker: bool = False,
        busy: Callable[[], float] = lambda: 0.0,
    ) -> None:
        """``busy``: for how long (ms) something waits before it is written."""
        self.busy = busy
        self.clock, self.random, self.api, self.policy = Clock(), random, api, policy
        self.shared = Shared(self.clock, is_sqlite=one_worker)
        self.campaign = Campaign(
            NAME,
            "camp",
            "http://api",
            Secret("TOKEN", ("t",)),
            batch_size=size,
            concurrency=concurrency,
            rate_per_s=rate,
        )
        self.leads: dict[int, OneLead] = {}
        self.batches: list[tuple[int, Answered]] = []
        self.last: dict[tuple[int, int], tuple[int, int]] = {}
        self.born: dict[tuple[int, int], float] = {}
        self.ended: dict[tuple[int, int], float] = {}
        self.spans: list[tuple[float, float, Worker]] = []
        clock = self.clock
        patch.setattr(conditions, "monotonic_ms", lambda: clock.now)
        patch.setattr(conditions, "random", random)
        patch.setattr(sending, "monotonic_ms", lambda: clock.now)
        patch.setattr(sending, "time", SimpleNamespace(monotonic=lambda: clock.now / 1000))
        patch.setattr(sending, "CampaignClient", lambda _: SimpleNamespace(close=lambda: None))
        in_time = partial(deliver, clock=lambda: clock.now / 1000, shuffle=Random(1).shuffle)
        patch.setattr(send, "deliver", in_time)
        patch.setattr(send, "_refused_before", self._refused_before)
        with self.shared.write() as connection:
            campaigns.greet(connection, NAME, self.campaign.called, START)

    def condition(self) -> campaigns.Condition:
        """The condition that the database knows the campaign to be in."""
        with self.shared.read() as connection:
            return campaigns.condition(connection, NAME) or campaigns.Condition()

    def arrive(self, number: int, fields: dict[str, Any]) -> int:
        lead = self.leads.setdefault(number, OneLead(policy=PATIENCE))
        lead.now = self.shared.now_ms()
        update = lead.arrive(fields, int(self.clock.now) + 1)
        self.born[number, update] = self.clock.now
        self.clock.ring()
        return update

    def _note_ends(self, number: int) -> None:
        for update, row in self.leads[number].updates.items():
            if row.state.final:
                self.ended.setdefault((number, update), self.clock.now)

    def due(self) -> dict[Lane, int]:
        found: dict[Lane, int] = {}
        for lead in self.leads.values():
            if lead.due_at is not None and lead.flight is None:
                found[lead._lane] = min(found.get(lead._lane, NEVER), lead.due_at)
        return found

    def claim(self, lane: Lane) -> list[Claimed]:
        now = self.shared.now_ms()
        waiting = sorted(
            (lead.due_at or 0, number)
            for number, lead in self.leads.items()
            if lead._lane is lane
            and lead.flight is None
            and lead.due_at is not None
            and lead.due_at <= now
        )
        claimed: list[Claimed] = []
        tries = 0
        for _, number in waiting[: self.campaign.batch_size]:
            lead = self.leads[number]
            most = max(tries, lead._tries)
            if len(claimed) >= max(1, self.campaign.batch_size >> min(most, 30)):
                break
            lead.now = now
            if lead.claim():
                assert lead.flight is not None
                tries = most
                flight = lead.flight
                row = flight.lead._replace(id=number)
                sent = Sent(number, f"+{number}", flight.plan.payload)
                claimed.append(Claimed(row, flight.plan, flight.updates, sent))
            self._note_ends(number)
        return claimed

    def record(self, claimed: Sequence[Claimed], answered: Answered, started_at: int) -> None:
        self.batches.append((started_at, answered))
        for item, result in zip(claimed, answered.results, strict=True):
            lead = self.leads[item.sent.lead_id]
            lead.now = self.shared.now_ms()
            for number in item.plan.carried:
                self.last[item.sent.lead_id, number] = (len(self.batches) - 1, len(claimed))
            lead.answer(result.verdict, send._trouble(item, result, answered))
            self._note_ends(item.sent.lead_id)

    def lose(self, claimed: Sequence[Claimed]) -> None:
        """The worker died with these; another frees them once the lease is over."""

        def free() -> None:
            self.clock.sleep(LEASE)
            for item in claimed:
                lead = self.leads[item.sent.lead_id]
                lead.now = self.shared.now_ms()
                lead.lose()

        if not self.clock.over:
            self.clock.start(free)

    def _refused_before(self, _equipment: Any, batch: Any, sent: Sent, gate: Gate) -> bool:
        """What ``bridge.store.outcomes.refused_alone`` finds in the calls that are kept."""
        ago = gate.opened_ago(self.clock.now)
        opened = None if ago is None else self.shared.now_ms() - round(ago)
        item = next(one for one in batch.taken.claimed if one.sent.lead_id == sent.lead_id)
        for number in item.plan.carried:
            if (sent.lead_id, number) not in self.last:
                continue
            at, leads = self.last[sent.lead_id, number]
            started_at, answered = self.batches[at]
            if leads == 1 and answered.status == 403:
                later = [one for _, one in self.batches[at + 1 :]]
                if any(one.trouble is None and one.status not in (None, 403, 413) for one in later):
                    return True
                ended = started_at + answered.elapsed_ms
                known, seen = self.condition(), gate.view(self.clock.now).changes
                is_open = known.condition == campaigns.OPEN or known.changes == seen
                if opened is not None and ended < opened and is_open:
                    return True
        return False
