"""The worker process: threads that take in, look up and send, and a main thread that watches.

One thread takes deliveries in. Each source with look-ups has a thread of its own, and so has each
campaign, ``concurrency`` of them and one more for opt-outs alone, so that a slow CRM or a broken
campaign holds up nobody else. Any number of workers share one PostgreSQL; on SQLite a second one
waits until the first has gone.
"""

from __future__ import annotations

import fcntl
import gc
import math
import os
import secrets
import signal
import socket
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import IO

from bridge import __version__, logs
from bridge.bells import Bells
from bridge.clock import seconds_until
from bridge.enrich import Lookups
from bridge.errors import SchemaError, StoreBusy, StoreError
from bridge.live import LiveMappings
from bridge.map import SourceMapping
from bridge.map.search import search
from bridge.model import Campaign, Secret
from bridge.pipeline import Pipeline
from bridge.receive.seldom import Seldom
from bridge.record.decide import Policy
from bridge.record.gate import GatePolicy
from bridge.sending import Sending
from bridge.settings import Settings
from bridge.steps.conditions import HEAR_EVERY_S, Conditions
from bridge.steps.counting import count_look_up
from bridge.steps.equipment import Bounds, Equipment
from bridge.steps.erase import ages, erase_old, erase_people
from bridge.steps.greet import adopt_again, greet
from bridge.steps.noticing import Noticing
from bridge.steps.replay import Tools
from bridge.steps.replay_choice import Choice
from bridge.steps.replay_lookups import Desk
from bridge.steps.rhythm import Rhythm
from bridge.steps.token_keeper import TokenKeeper
from bridge.steps.versions import KeptMappings
from bridge.store import arrivals, campaigns, events, replays, revision, tally, workers
from bridge.store.counters import Counts
from bridge.store.database import Connection, Database
from bridge.store.shared_clock import SharedClock
from bridge.store.wakeup import listen
from bridge.telling import Telling
from bridge.unknown_settings import warn_of_unknown_settings
from bridge.wellbeing import mapping_problem

log = logs.get("worker")

BEAT_EVERY_S = 2.0
DRAIN_S = 60.0
"""How long a stopping worker waits for calls that are in flight."""

AGAIN_S = 1.0
"""How long a thread that has failed waits before it is started anew."""

FEW = 5
REST_S = 0.01
"""After so few deliveries whoever sends what they led to goes first: how long at most the next are
waited for before a look at whether there are any that nobody signalled."""

GAP_S = 0.001
"""How long a worker leaves SQLite's lock to the web process after each transaction."""

LEFT_OFF_S = 60.0
"""After how long a campaign that is set aside, or that a worker calls otherwise which is gone, is
greeted by who has greeted it before: another one may be at it, by an edit that this one has not
read yet, or come back. As long as that a worker may be silent."""

ADOPT_AGAIN_S = 120.0
"""How long after its greeting a campaign takes over opt-outs once more."""

ERASE_EVERY_S = 60.0
"""How often a worker that has erased all that was old looks again."""

YOUNG = 50_000
"""Objects that are made before Python looks for circles among them. A batch makes thousands, none
of them in a circle, and they are gone when it is recorded."""


class Worker:
    """All threads of one worker process. ``run`` returns when the process was asked to stop."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.poll_s: float = settings["BRIDGE_POLL"]
        self.lease_ms = round(settings["BRIDGE_LEASE"] * 1000)
        self.name = f"{socket.gethostname()[:40]}-{os.getpid()}-{secrets.token_hex(3)}"
        self.database = Database(
            settings["DATABASE_URL"],
            pool_size=settings["BRIDGE_WORKER_CONNECTIONS"],
            gap_s=GAP_S,
            share=settings["BRIDGE_WORKER_SHARE"],
        )
        self.live = LiveMappings(settings)
        self.bells = Bells()
        self.counts = Counts()
        self.conditions = Conditions(
            self.database, _gate_policy(settings), self.bells.ring, self.counts
        )
        self.pipeline = Pipeline(
            Equipment(
                self.database,
                KeptMappings(self.database, self.live.current),
                policy=_policy(settings),
                bounds=Bounds.of(settings),
                owner=self.name,
                ring=self.bells.ring,
                counts=self.counts,
            )
        )
        self._sending = Sending(
            self.database,
            self.pipeline,
            self.live,
            self.conditions,
            self.bells,
            poll_s=self.poll_s,
        )
        self._rhythm = Rhythm()
        self.telling = Telling(settings, self.live, self.name)
        self._clock = SharedClock(self.database, every_s=0)
        self._noticing = Noticing(self.name, self._clock, partial(mapping_problem, self.live))
        self._adopt_again: dict[str, tuple[float, list[str]]] = {}
        self._greeted: dict[str, tuple[str, str, Secret | None, str]] = {}
        self._aside: dict[str, float] = {}
        self._lost: dict[tuple[str, str | None], float] = {}
        self._keepers: dict[str, TokenKeeper] = {}
        self._threads: dict[str, threading.Thread] = {}
        self._erase_at = 0.0
        self._started_at = 0
        self._beat_at = 0.0
        self._seldom = Seldom()
        self._out_of_reach = False
        self._outgrown: SchemaError | None = None

    def run(self) -> None:
        """Work until SIGTERM or SIGINT; what is in flight then is finished first.

        Errors: ``SchemaError``, also once the database has come to a schema that is not for this
        version.
        """
        revision.check(self.database)
        with _alone(self.database.path, lambda: self.bells.stopping):
            if self.bells.stopping:
                return
            revision.still_fits(self.database)  # who waited for another's end may have waited long
            with self.database.read() as connection:
                self._clock.compare(connection)
            self._started_at = self.database.now_ms()
            if self.database.is_sqlite:
                while self.pipeline.recover(all_of_them=True):
                    pass
            _spare_what_stays()
            warn_of_unknown_settings(self.settings, log)
            log.info("worker started", worker=self.name, version=__version__)
            while not self.bells.stopping:
                self._tend()
                self.bells.sleep(BEAT_EVERY_S)
            self._drain()
        log.info("worker stopped", worker=self.name)
        if self._outgrown is not None:
            raise self._outgrown

    def stop(self) -> None:
        """Ask the worker to end; safe in a signal handler's thread."""
        self.bells.stop()

    # ------------------------------------------------------------------ the main thread

    def _tend(self) -> None:
        try:
            revision.still_fits(self.database)
            # all else in here may stand back, one after the other, and health waits for this
            with self.database.write(urgent=True) as connection:
                self._beat(connection)
                tally.forget(connection, self.database.now_ms())
                self._noticing.note(connection, self.database.now_ms())
            self.counts.flush(self.database)
            self._rhythm.look(self.database, self.live.current().sources)
            self.pipeline.recover()
            self._start_missing()
            self._erase()
        except SchemaError as error:
            self._outgrow(error)
        except StoreBusy as error:
            self._trouble("main", error)
        except StoreError:
            try:  # what failed may be a table that was changed since that look
                revision.still_fits(self.database)
            except SchemaError as error:
                self._outgrow(error)
            else:
                raise
        else:
            if self._out_of_reach:
                self._out_of_reach = False
                log.info("database in reach again")

    def _outgrow(self, error: SchemaError) -> None:
        """End: it might take what a newer version stores for something else."""
        self._outgrown = error
        self.stop()

    def _beat(self, connection: Connection) -> None:
        self._clock.compare(connection)
        workers.beat(
            connection,
            name=self.name,
            host=workers.this_host(),
            pid=os.getpid(),
            started_at=self._started_at,
            version=__version__,
            now=self.database.now_ms(),
        )
        self._beat_at = time.monotonic() + BEAT_EVERY_S

    def _ends(self) -> bool:
        """Whether to stop what is under way; between its parts the worker shows that it lives, and
        looks whether it may."""
        if time.monotonic() >= self._beat_at and not self.bells.stopping:
            revision.still_fits(self.database)
            with self.database.write(urgent=True) as connection:
                self._beat(connection)
            self.pipeline.recover()
        return self.bells.stopping

    def _trouble(self, thread: str, error: StoreBusy) -> None:
        """The database cannot be reached: said once a minute for all threads together."""
        self._out_of_reach = True
        if times := self._seldom.due("out of reach"):
            log.warning("database out of reach", thread=thread, error=str(error), times=times)

    def _erase(self) -> None:
        """Erase a little of what is to be erased; a fault in it stops nothing else."""
        days = (self.settings["BRIDGE_BODY_DAYS"], self.settings["BRIDGE_PERSON_DAYS"])
        try:
            found = self.live.current().mappings
            taken_in = {name for name, mapping in found.items() if mapping.source.configured}
            erase_people(self.database, taken_in)
            if time.monotonic() >= self._erase_at:
                self._erase_at = time.monotonic() + ERASE_EVERY_S
                if erase_old(self.database, ages(self.database.now_ms(), *days)):
                    self._erase_at = 0.0
        except StoreBusy:
            raise
        except Exception:
            log.exception("erasing failed, it is tried again")

    def _start_missing(self) -> None:
        current = self.live.current()
        self._start("listen", self._listen)
        self._start("hear", self._hear)
        self._start("take in", self._take_in)
        self._start("replays", self._replay)
        for label, run in self.telling.loops():
            self._start(label, run, self.bells.sleep)
        for name in self._looking_up(current.mappings):
            self._start(f"source:{name}", self._look_up, name)
        present = self._note_away(current.campaigns.keys())
        self._forget_lost(current.campaigns)
        came = self._note_arrivals(current.campaigns)
        self.conditions.limit(current.campaigns)
        # what a new one takes over may last, and holds up nobody who was there before
        for name in sorted(current.campaigns, key=lambda one: one not in present):
            campaign = current.campaigns[name]
            if not campaign.configured:
                continue
            called = (campaign.id, campaign.url, campaign.token, campaign.account)
            if self._greeted.get(name) != called:
                sisters = greet(
                    self.database,
                    campaign,
                    current.campaigns.values(),
                    arrivals.earlier(came, name),
                    self._ends,
                    by=self.name,
                )
                self.conditions.start(campaign)
                self._greeted[name] = called
                if sisters:
                    self._adopt_again[name] = (time.monotonic() + ADOPT_AGAIN_S, sisters)
            at, sisters = self._adopt_again.get(name, (math.inf, []))
            if at <= time.monotonic():
                if adopt_again(self.database, campaign, sisters, self._ends):
                    del self._adopt_again[name]
                else:
                    self._adopt_again[name] = (time.monotonic() + ADOPT_AGAIN_S, sisters)
            self._start(f"opt-outs of {name}", self._sending.run, name, -1)
            for number in range(campaign.concurrency):
                self._start(f"sender {number} of {name}", self._sending.run, name, number)

    def _looking_up(self, mappings: Mapping[str, SourceMapping]) -> list[str]:
        """The sources with look-ups, and those whose events wait for one that was taken out."""
        ready = {name: mapping for name, mapping in mappings.items() if mapping.source.configured}
        asking = [name for name, mapping in ready.items() if mapping.lookups]
        with self.database.read() as connection:
            return asking + sorted(events.waiting(connection, ready.keys() - set(asking)))

    def _note_arrivals(self, named: Mapping[str, Campaign]) -> dict[str, int]:
        """Note which campaigns have come, and when each did that is there."""
        ready = [name for name, campaign in named.items() if campaign.configured]
        with self.database.read() as connection:
            found = arrivals.arrivals(connection)
        if arrivals.news(found, named, ready):
            with self.database.write() as connection:
                found = arrivals.note(connection, named, ready, self.database.now_ms())
        return found

    def _note_away(self, there: Collection[str]) -> set[str]:
        """Note which campaigns have left; returns those that were there before and still are."""
        with self.database.read() as connection:
            present = campaigns.present(connection)
            aside = campaigns.aside(connection)
            left = present - set(there)
        if left:
            with self.database.write() as connection:
                campaigns.note_away(connection, there, self.database.now_ms())
            log.warning("campaigns have left campaigns.yaml", campaigns=sorted(left))
        now = time.monotonic()
        self._aside = {name: self._aside.get(name, now) for name in aside}
        left_off = {name for name, since in self._aside.items() if now - since >= LEFT_OFF_S}
        for name in self._greeted.keys() & left_off | self._greeted.keys() - set(there):
            del self._greeted[name]
        return present - left

    def _forget_lost(self, named: Mapping[str, Campaign]) -> None:
        """Have campaigns greeted again that another worker has greeted as others, and is gone.

        Whoever calls them as that one did takes its place, well before anybody else's minute is
        over: a restart is no reason to have all opt-outs sent again. Two whose files differ for as
        long as both live do not take turns.
        """
        with self.database.read() as connection:
            found = campaigns.greetings(connection)
            since = self.database.now_ms() - round(LEFT_OFF_S * 1000)
            alive = {one.name for one in workers.beats(connection) if one.beat_at >= since}
        now, lost = time.monotonic(), dict[tuple[str, str | None], float]()
        for name in self._greeted.keys() & named.keys() & found.keys():
            called, by = found[name]
            mine = called.is_that_of(named[name].called)
            # a version before greets without a name: what stands there then is of who did earlier
            known = by in alive and (mine or by != self.name)
            if known or called == campaigns.ASIDE or not named[name].configured:
                continue
            if mine:
                with self.database.write() as connection:
                    campaigns.take_on(connection, name, called, by, self.name)
                continue
            lost[name, by] = began = self._lost.get((name, by), now)
            if now - began >= LEFT_OFF_S:
                del self._greeted[name]
        self._lost = lost

    def _start(self, label: str, target: Callable[..., None], *arguments: object) -> None:
        running = self._threads.get(label)
        if running is None or not running.is_alive():
            self._threads[label] = threading.Thread(
                target=self._guard, args=(label, target, *arguments), name=label, daemon=True
            )
            self._threads[label].start()

    def _guard(self, label: str, target: Callable[..., None], *arguments: object) -> None:
        """Run a thread's work; a fault is logged, and the thread is started anew after a pause."""
        try:
            target(*arguments)
        except StoreBusy as error:
            self._trouble(label, error)
            self.bells.sleep(min(self.poll_s, AGAIN_S))
        except Exception:
            log.exception("thread failed, it starts again", thread=label)
            self.bells.sleep(AGAIN_S)

    def _drain(self) -> None:
        deadline = time.monotonic() + DRAIN_S
        for thread in self._threads.values():
            thread.join(max(0.0, deadline - time.monotonic()))
        self.counts.flush(self.database)
        try:
            with self.database.write() as connection:
                workers.leave(connection, self.name)
        except StoreBusy as error:
            log.warning("database out of reach", error=str(error))
        except StoreError:
            if self._outgrown is None:  # else there may be no such table any more
                raise
        self.telling.close()
        self.database.close()

    # ------------------------------------------------------------------ the other threads

    def _listen(self) -> None:
        listen(self.database, lambda: self.bells.ring(["deliveries"]), lambda: self.bells.stopping)

    def _take_in(self) -> None:
        while not self.bells.stopping:
            seen = self.bells.count("deliveries")
            taken = self.pipeline.take_in()
            if taken < FEW:
                self.bells.wait("deliveries", seen=seen, seconds=REST_S if taken else self.poll_s)

    def _look_up(self, source: str) -> None:
        bell, keeper = f"source:{source}", self._keeper(f"source:{source}")
        lookups = Lookups(
            {},
            search,
            wait=self.bells.sleep,
            wall=self.database.now_ms,
            keeper=keeper,
            heard=partial(count_look_up, self.counts, source),
        )
        try:
            while not self.bells.stopping:
                mapping = self.live.current().mappings.get(source)
                if mapping is None or not mapping.source.configured:
                    return
                seen = self.bells.count(bell)
                keeper.catch_up()
                if not self.pipeline.look_up(source, lookups):
                    with self.database.read() as connection:
                        due = events.next_due(connection, source)
                    self.bells.wait(bell, seen=seen, seconds=self._until(due))
        finally:
            lookups.close()

    def _hear(self) -> None:
        while self.bells.sleep(HEAR_EVERY_S):
            self.conditions.hear()

    def _replay(self) -> None:
        keeper = self._keeper("replays")
        desk = Desk(self.bells.sleep, self.database.now_ms, keeper)
        tools = Tools(Choice(self.live.compile), desk, self.settings["BRIDGE_REPLAY_OPEN"])
        try:
            while not self.bells.stopping:
                seen = self.bells.count("replays")
                keeper.catch_up()
                if not self.pipeline.replay(tools):
                    with self.database.read() as connection:
                        due = replays.next_due(connection)
                    # one that is due all the same is in another worker's hands
                    mine = due is not None and due > self.database.now_ms()
                    self.bells.wait(
                        "replays", seen=seen, seconds=self._until(due) if mine else self.poll_s
                    )
        finally:
            desk.close()

    def _keeper(self, thread: str) -> TokenKeeper:
        return self._keepers.setdefault(thread, TokenKeeper(self.database))

    def _until(self, due_at: int | None) -> float:
        return seconds_until(due_at, self.database.now_ms(), self.poll_s)


def _spare_what_stays() -> None:
    """Keep the garbage collector from going through libraries and mappings again and again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG, 20, 20)


def _policy(settings: Settings) -> Policy:
    return Policy(
        unknown_tries=settings["BRIDGE_UNKNOWN_TRIES"],
        give_up_after=round(settings["BRIDGE_GIVE_UP"] * 1000),
        standing_steps=tuple(round(s * 1000) for s in settings.standing_schedule),
        standing_period=round(settings["BRIDGE_STANDING_DAYS"] * 86_400_000),
        backoff_first=round(settings["BRIDGE_BACKOFF"] * 1000),
        backoff_most=round(settings["BRIDGE_BACKOFF_MAX"] * 1000),
    )


def _gate_policy(settings: Settings) -> GatePolicy:
    return GatePolicy(
        first=round(settings["BRIDGE_BACKOFF"] * 1000),
        most=round(settings["BRIDGE_BACKOFF_MAX"] * 1000),
        probe=round(settings["BRIDGE_PAUSE_PROBE"] * 1000),
    )


@contextmanager
def _alone(path: Path | None, stopping: Callable[[], bool]) -> Iterator[None]:
    """On SQLite, hold the lock of the one worker; waits until the one before has ended."""
    if path is None:
        yield
        return
    lock: IO[bytes]
    with Path(f"{path.resolve()}.worker").open("ab") as lock:
        waited = False
        while not stopping():
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if not waited:
                    log.warning("another worker holds this SQLite database; waiting for its end")
                waited = True
                time.sleep(0.1)
            else:
                break
        yield


def main(settings: Settings) -> None:
    """Run a worker in this process until it is asked to stop."""
    worker = Worker(settings)

    def on_signal(_number: int, _frame: object) -> None:
        # a handler runs between two steps of the main thread, which may hold the bells' lock
        threading.Thread(target=worker.stop, daemon=True).start()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, on_signal)
    worker.run()
