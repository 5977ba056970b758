"""The loop that tells one channel: look at what is not well, tell what is due, note what was taken.

What was told is in the database, so that neither a restart nor a second process repeats or loses
any of it. Any number of processes may run this; one has the channel at a time. A message is noted
as told after its receiver has said that it has it, so one that is sent while a process dies may
arrive twice, and none gets lost.

While the database is out of reach nobody can agree on who tells; then each process tells that one
thing for itself.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from bridge import logs
from bridge.errors import StoreBusy, StoreError
from bridge.operate.alerts import book
from bridge.operate.alerts.book import Item, Policy
from bridge.operate.alerts.channel import Answer, Channel
from bridge.operate.alerts.message import Message
from bridge.operate.concern import Concern, Kind, clean
from bridge.operate.health import Health, concerns
from bridge.store import alerts
from bridge.store.alerts import Entry, Key
from bridge.store.database import Database, clock_ms
from bridge.store.far_ahead import SLACK_MS

SPARE_MS = 5_000
GRACE_MS = 1_000
MOST_AGAIN_MS = 300_000
NOTED_TRIES = 5
LONGEST_PAUSE_MS = 3_600_000
"""Longer than a channel is held, and than any answer keeps it from being tried again."""

log = logs.get("alerts")

Book = Mapping[Key, Entry]


@dataclass(frozen=True)
class Setup:
    """What every channel of a process shares. ``owner``: the process; ``link``: the console's
    address. ``stands_in``: it sends only where no worker does. ``timeout_ms``: for a message."""

    database: Database
    health: Health
    policy: Policy
    name: str
    link: str
    owner: str
    every_s: float
    timeout_ms: int
    stands_in: bool = False

    @property
    def lease_ms(self) -> int:
        """How long a channel is held: over a message that takes its time, and what is beside it."""
        return SPARE_MS + 2 * self.timeout_ms + round(self.every_s * 3000)

    @property
    def grace_ms(self) -> int:
        """How long a channel must have been without a worker before a web process takes it."""
        return GRACE_MS + round(self.every_s * 2000) if self.stands_in else 0


class Watch:
    """Tells one channel."""

    def __init__(self, setup: Setup, channel: Channel) -> None:
        self.channel = channel
        self._setup = setup
        self._outage = _Outage(setup, channel)

    def run(self, sleep: Callable[[float], bool]) -> None:
        """Tell until ``sleep`` says that the process is to end. Nothing that goes wrong ends it."""
        while True:
            try:
                self._turn()
            except StoreError as error:
                self._outage.turn(str(error))
            except Exception:
                log.exception("alerts failed, they go on", channel=self.channel.name)
            else:
                self._outage.turn(None)
            if not sleep(self._setup.every_s):
                break
        self._leave()

    def _turn(self) -> None:
        setup, name = self._setup, self.channel.name
        now = hold(setup, name)
        if now is None:
            return
        found = [one for one in look(setup) if (one.kind, one.subject) != (Kind.ALERTS_FAIL, name)]
        with setup.database.read() as connection:
            before = alerts.entries(connection, name)
            channel = alerts.channels(connection)[name]
        after = book.look(before, found, now, setup.policy)
        items: tuple[Item, ...] = ()
        if now >= channel.not_before:
            items = book.due(after, now, setup.policy, sent_at=channel.sent_at)
        if _differ(before, after):
            with setup.database.write() as connection:
                if not alerts.holds(connection, name, setup.owner):
                    return
                alerts.keep(connection, name, before, after)
        if items and hold(setup, name, anew=True) is not None:
            self._tell(after, items, now, channel.failures)
        if setup.stands_in:
            self._leave()

    def _tell(self, entries: Book, items: tuple[Item, ...], now: int, failures: int) -> None:
        answer = send(self._setup, self.channel, items, now)
        for number in range(NOTED_TRIES):
            try:
                self._note(entries, items, answer, failures)
            except StoreBusy:
                if number == NOTED_TRIES - 1:
                    raise
                time.sleep(0.5)
            else:
                return

    def _note(self, entries: Book, items: tuple[Item, ...], answer: Answer, failures: int) -> None:
        setup, name = self._setup, self.channel.name
        with setup.database.write() as connection:
            if not alerts.holds(connection, name, setup.owner):
                log.warning("another process has taken the channel over", channel=name)
                return
            now = clock_ms(connection)
            if answer.taken:
                alerts.took(connection, name, now)
                alerts.keep(connection, name, entries, book.told(entries, items, now))
            else:
                again_at = now + pause_ms(setup, failures, answer)
                alerts.failed(connection, name, now, again_at, answer.words)

    def _leave(self) -> None:
        """Let another process have the channel at once."""
        leave(self._setup, self.channel.name)


class _Outage:
    """What one process tells by itself while the database is out of reach."""

    def __init__(self, setup: Setup, channel: Channel) -> None:
        self._setup = setup
        self._channel = channel
        self._entries: Book = {}
        self._sent_at = 0
        self._failures = 0
        self._not_before = 0

    def turn(self, trouble: str | None) -> None:
        """The database does not do its work, for this reason; None: it does."""
        if trouble is None and not self._entries:
            return
        setup, now = self._setup, self._setup.database.now_ms()
        host = socket.gethostname()
        text = f"{host} cannot work with the database: {clean(trouble or '')}"
        found = [] if trouble is None else [Concern(Kind.DATABASE, text, host, urgent=True)]
        self._entries = book.look(self._entries, found, now, setup.policy)
        if now < self._not_before:
            return
        items = book.due(self._entries, now, setup.policy, sent_at=self._sent_at)
        if not items:
            return
        answer = send(setup, self._channel, items, now)
        if answer.taken:
            self._entries = book.told(self._entries, items, now)
            self._sent_at, self._failures = now, 0
        else:
            self._not_before = now + pause_ms(setup, self._failures, answer)
            self._failures += 1


def _differ(before: Book, after: Book) -> bool:
    """Whether more has changed than words and sizes, which are noted when they are told."""

    def plain(one: Book) -> Book:
        return {key: replace(entry, text="", size=0) for key, entry in one.items()}

    return plain(before) != plain(after)


def hold(setup: Setup, channel: str, *, anew: bool = False) -> int | None:
    """The present by the shared clock (ms) if this process has the channel, None if another has.

    ``anew``: for the whole of its lease from now on.
    """
    grace = setup.grace_ms
    with setup.database.read() as connection:
        setup.database.measure_clock(connection)
        now = clock_ms(connection)
        known = alerts.channels(connection).get(channel)
    far = now + LONGEST_PAUSE_MS + SLACK_MS
    if known is not None and max(known.held_until, known.not_before, known.sent_at) > far:
        with setup.database.write() as connection:
            alerts.set_right(connection, channel, now, far=far)
            known = alerts.channels(connection)[channel]
    if known is not None:
        mine = known.owner == setup.owner
        if mine and not anew and known.held_until - now > setup.lease_ms // 2:
            return now
        if not mine and known.held_until > now - grace:
            return None
    with setup.database.write() as connection:
        until = now + setup.lease_ms
        if alerts.claim(connection, channel, setup.owner, now, until, grace=grace):
            return now
    return None


def leave(setup: Setup, channel: str) -> None:
    """Let another process have a channel from now on."""
    try:
        with setup.database.write() as connection:
            alerts.let_go(connection, channel, setup.owner, clock_ms(connection))
    except StoreError as error:
        log.warning("channel not given back", channel=channel, error=str(error))


def look(setup: Setup) -> list[Concern]:
    """What is not well. Errors: ``StoreBusy`` if that cannot be known, or cannot be noted."""
    found = concerns(setup.health.health())
    for one in found:
        if one.kind is Kind.DATABASE:
            raise StoreBusy(one.text)
    return found


def send(setup: Setup, channel: Channel, items: tuple[Item, ...], now: int) -> Answer:
    """Send a message with these items, and log what came back."""
    message = Message(setup.name, now, items, setup.link, campaigns=setup.health.campaigns())
    answer = channel.send(message)
    write = log.info if answer.taken else log.warning
    write(
        "alert sent" if answer.taken else "alert not taken, it is tried again",
        channel=channel.name,
        answer=answer.words,
        title=message.title,
    )
    return answer


def pause_ms(setup: Setup, failures: int, answer: Answer) -> int:
    """How long to wait after so many failures before, and this one."""
    doubled: int = round(setup.every_s * 1000) * 2 ** min(failures, 10)
    return max(min(MOST_AGAIN_MS, doubled), round((answer.wait_s or 0) * 1000))
