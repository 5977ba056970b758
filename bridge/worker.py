"""The worker process: threads that take in, look up and send, and a main thread that watches.

One thread takes deliveries in. Each source with look-ups has a thread of its own, and so has each
campaign, ``concurrency`` of them and one more for opt-outs alone, so that a slow CRM or a broken
campaign holds up nobody else. Any number of workers share one PostgreSQL; on SQLite a second one
waits until the first has gone.
"""

from __future__ import annotations

import fcntl
import os
import random
import secrets
import signal
import socket
import threading
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from bridge import __version__, logs
from bridge.bells import Bells
from bridge.clock import now_ms
from bridge.enrich import Lookups
from bridge.errors import StoreBusy
from bridge.forward.client import CampaignClient
from bridge.live import LiveMappings
from bridge.map.search import search
from bridge.model import Campaign, Lane, Secret
from bridge.pipeline import Pipeline
from bridge.record.decide import Policy
from bridge.record.gate import Gate, GatePolicy
from bridge.settings import Settings
from bridge.steps.equipment import Bounds, Equipment
from bridge.steps.send import Way
from bridge.store import adoption, campaigns, events, leads, migrate, tally, workers
from bridge.store.database import Database
from bridge.store.schema import NEVER
from bridge.store.wakeup import listen

log = logs.get("worker")

BEAT_EVERY_S = 2.0
DRAIN_S = 60.0
"""How long a stopping worker waits for calls that are in flight."""

AGAIN_S = 1.0
"""How long a thread that has failed waits before it is started anew."""

GAP_S = 0.001
"""How long a worker leaves SQLite's lock to the web process after each transaction."""

OTHER_LANES = (Lane.FIRST, Lane.RETRY, Lane.STANDING, Lane.REPLAY)


class Worker:
    """All threads of one worker process. ``run`` returns when the process was asked to stop."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.poll_s: float = settings["BRIDGE_POLL"]
        self.lease_ms = round(settings["BRIDGE_LEASE"] * 1000)
        self.name = f"{socket.gethostname()[:40]}-{os.getpid()}-{secrets.token_hex(3)}"
        self.database = Database(settings["DATABASE_URL"], pool_size=20, gap_s=GAP_S)
        self.live = LiveMappings(settings)
        self.bells = Bells()
        self.gate_policy, self.gates = _gate_policy(settings), dict[str, Gate]()
        self.pipeline = Pipeline(
            Equipment(
                self.database,
                self.live.current,
                policy=_policy(settings),
                bounds=_bounds(settings),
                owner=self.name,
                ring=self.bells.ring,
            )
        )
        self._greeted: dict[str, tuple[str, str, Secret | None]] = {}
        self._threads: dict[str, threading.Thread] = {}

    def run(self) -> None:
        """Work until SIGTERM or SIGINT; what is in flight then is finished first."""
        migrate.check(self.database)
        with _alone(self.database.path, lambda: self.bells.stopping):
            if self.bells.stopping:
                return
            started_at = now_ms()
            if self.database.is_sqlite:
                while self.pipeline.recover(all_of_them=True):
                    pass
            log.info("worker started", worker=self.name, version=__version__)
            while not self.bells.stopping:
                self._tend(started_at)
                self.bells.sleep(BEAT_EVERY_S)
            self._drain()
        log.info("worker stopped", worker=self.name)

    def stop(self) -> None:
        """Ask the worker to end; safe in a signal handler's thread."""
        self.bells.stop()

    # ------------------------------------------------------------------ the main thread

    def _tend(self, started_at: int) -> None:
        try:
            with self.database.write() as connection:
                workers.beat(
                    connection,
                    name=self.name,
                    host=socket.gethostname(),
                    pid=os.getpid(),
                    started_at=started_at,
                    version=__version__,
                    now=now_ms(),
                )
                tally.forget(connection, now_ms())
            self.pipeline.recover()
            self._start_missing()
        except StoreBusy as error:
            log.warning("database out of reach", error=str(error))

    def _start_missing(self) -> None:
        current = self.live.current()
        self._start("listen", self._listen)
        self._start("take in", self._take_in)
        for name, mapping in current.mappings.items():
            if mapping.lookups and mapping.source.configured:
                self._start(f"source:{name}", self._look_up, name)
        with self.database.read() as connection:
            noted = campaigns.conditions(connection).keys()
        for name, campaign in current.campaigns.items():
            if not campaign.configured:
                continue
            called = (campaign.id, campaign.url, campaign.token)
            if self._greeted.get(name) != called:
                self._greet(campaign, noted)
                self._greeted[name] = called
                # what kept the one before from being called may be mended
                self.gates[name] = Gate(self.gate_policy, campaign.rate_per_s, random.random)
            self._start(f"opt-outs of {name}", self._send, name, -1)
            for number in range(campaign.concurrency):
                self._start(f"sender {number} of {name}", self._send, name, number)

    def _greet(self, campaign: Campaign, noted: Collection[str]) -> None:
        """Note a campaign that is new, or whose API id is another: it has to hear of opt-outs.

        ``noted``: the campaigns that were there before; those that come together owe one another
        nothing.
        """
        with self.database.read() as connection:
            before = campaigns.api_id(connection, campaign.name)
            formerly = campaigns.names_of(connection, campaign.id)
        if before == campaign.id:
            return
        if before is None:
            self._adopt(campaign, formerly, noted)
        with self.database.write() as connection:
            campaigns.set_condition(
                connection, campaign.name, campaign.id, campaigns.Condition(since=now_ms())
            )
            if before is not None:
                count = leads.assert_opt_outs_again(connection, campaign.name, now_ms())
                log.warning("campaign id changed", campaign=campaign.name, opt_outs_again=count)

    def _adopt(self, campaign: Campaign, formerly: list[str], noted: Collection[str]) -> None:
        """A new campaign takes over the opt-outs of those of the same account and address."""
        sisters = [
            other.name
            for other in self.live.current().campaigns.values()
            if other.name != campaign.name
            and other.name in noted
            and (other.tenant, other.url, other.token)
            == (campaign.tenant, campaign.url, campaign.token)
        ]
        sisters += [name for name in formerly if name not in sisters]
        if not sisters:
            return
        after: int | None = 0
        while after is not None and not self.bells.stopping:
            with self.database.write() as connection:
                after = adoption.adopt(connection, campaign.name, sisters, now_ms(), after=after)
        with self.database.write() as connection:
            adoption.adopt_waiting(connection, campaign.name, sisters, now_ms())

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
            log.warning("database out of reach", thread=label, error=str(error))
            self.bells.sleep(min(self.poll_s, AGAIN_S))
        except Exception:
            log.exception("thread failed, it starts again", thread=label)
            self.bells.sleep(AGAIN_S)

    def _drain(self) -> None:
        deadline = time.monotonic() + DRAIN_S
        for thread in self._threads.values():
            thread.join(max(0.0, deadline - time.monotonic()))
        try:
            with self.database.write() as connection:
                workers.leave(connection, self.name)
        except StoreBusy as error:
            log.warning("database out of reach", error=str(error))
        self.database.close()

    # ------------------------------------------------------------------ the other threads

    def _listen(self) -> None:
        self.bells.ring(["deliveries"])  # what came while nobody listened
        listen(self.database, lambda: self.bells.ring(["deliveries"]), lambda: self.bells.stopping)

    def _take_in(self) -> None:
        while not self.bells.stopping:
            seen = self.bells.count("deliveries")
            if not self.pipeline.take_in():
                self.bells.wait("deliveries", seen, self.poll_s)

    def _look_up(self, source: str) -> None:
        bell, known = f"source:{source}", None
        lookups = Lookups({}, search, wait=self.bells.sleep)
        try:
            while not self.bells.stopping:
                mapping = self.live.current().mappings.get(source)
                if mapping is None or not mapping.source.configured:
                    return
                if mapping is not known:  # also when only a token has changed
                    known = mapping
                    lookups.replace(mapping.lookups)
                seen = self.bells.count(bell)
                if not self.pipeline.look_up(source, lookups):
                    with self.database.read() as connection:
                        due = events.next_due(connection, source)
                    self.bells.wait(bell, seen, self._until(due))
        finally:
            lookups.close()

    def _send(self, name: str, number: int) -> None:
        """Send batches of one campaign; ``number`` -1 is the thread for opt-outs alone."""
        client = CampaignClient()
        turn = max(0, number)
        try:
            while not self.bells.stopping:
                campaign = self.live.current().campaigns.get(name)
                if campaign is None or not campaign.configured or number >= campaign.concurrency:
                    return
                gate = self.gates[name]
                gate.set_rate(campaign.rate_per_s)
                seen = self.bells.count(name)
                with self.database.read() as connection:
                    due = leads.next_due(connection, name)
                lane, turn = _choose(due, turn, only_opt_outs=number < 0)
                if lane is None:
                    lanes = [d for lane, d in due.items() if number >= 0 or lane is Lane.OPT_OUT]
                    self.bells.wait(name, seen, self._until(min(lanes, default=None)))
                    continue
                pause = gate.try_pass(time.monotonic() * 1000)
                if pause > 0:
                    self.bells.sleep(min(pause / 1000, self.poll_s))
                    continue
                if lane is not Lane.OPT_OUT and self._opt_out_due(name):
                    lane = Lane.OPT_OUT
                try:
                    self.pipeline.send(campaign, lane, Way(client, gate, self._pacer(gate)))
                except BaseException:
                    gate.unused()
                    raise
        finally:
            client.close()

    def _opt_out_due(self, name: str) -> bool:
        """Whether an opt-out has come while a call waited for its turn."""
        with self.database.read() as connection:
            due = leads.next_due(connection, name)
        return due.get(Lane.OPT_OUT, NEVER) <= now_ms()

    def _pacer(self, gate: Gate) -> Callable[[float], bool]:
        def pace(deadline: float) -> bool:
            while (pause := gate.try_pass(time.monotonic() * 1000) / 1000) > 0:
                if time.monotonic() + pause >= deadline or not self.bells.sleep(pause):
                    return False
            if time.monotonic() >= deadline:  # the process slept, perhaps past its lease
                gate.unused()
                return False
            return True

        return pace

    def _until(self, due_at: int | None) -> float:
        if due_at is None:
            return self.poll_s
        return min(self.poll_s, max(0.0, (due_at - now_ms()) / 1000))


def _choose(due: dict[Lane, int], turn: int, *, only_opt_outs: bool) -> tuple[Lane | None, int]:
    """The lane to serve now: opt-outs first, the others by turns, so that none starves."""
    now = now_ms()
    if due.get(Lane.OPT_OUT, NEVER) <= now:
        return Lane.OPT_OUT, turn
    if only_opt_outs:
        return None, turn
    for step in range(len(OTHER_LANES)):
        lane = OTHER_LANES[(turn + step) % len(OTHER_LANES)]
        if due.get(lane, NEVER) <= now:
            return lane, (turn + step + 1) % len(OTHER_LANES)
    return None, turn


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


def _bounds(settings: Settings) -> Bounds:
    return Bounds(
        batch=settings["BRIDGE_BATCH"],
        events=settings["BRIDGE_MAX_EVENTS"],
        depth=settings["BRIDGE_MAX_DEPTH"],
        lease=round(settings["BRIDGE_LEASE"] * 1000),
        lookup_give_up=round(settings["BRIDGE_LOOKUP_GIVE_UP"] * 1000),
        lookup_settle=round(settings["BRIDGE_LOOKUP_SETTLE"] * 1000),
        backoff_first=round(settings["BRIDGE_BACKOFF"] * 1000),
        backoff_most=round(settings["BRIDGE_BACKOFF_MAX"] * 1000),
    )


@contextmanager
def _alone(path: Path | None, stopping: Callable[[], bool]) -> Iterator[None]:
    """On SQLite, hold the lock of the one worker; waits until the one before has ended."""
    if path is None:
        yield
        return
    lock: IO[bytes]
    with Path(f"{path}.worker").open("ab") as lock:
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
