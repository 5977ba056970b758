"""The look-ups of all sources: what events want, grouped, fetched once, and handed back."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from itertools import count
from queue import Empty, SimpleQueue

from cachetools import LRUCache, TLRUCache

from bridge.clock import now_ms
from bridge.enrich.account import Account
from bridge.enrich.client import Client, NoReply, Reply
from bridge.enrich.oauth import Keeper, Tokens
from bridge.enrich.reading import Search
from bridge.enrich.round import Kept, Reach, Round, Sending
from bridge.errors import LookupFailed
from bridge.model import Found, Json, Lookup, Wanted

RECORDS_KEPT = 50_000
ACCOUNTS_KEPT = 10_000

MOST_AT_ONCE = 8
"""Calls under way at a time, over all look-ups of a process."""


@dataclass(frozen=True, slots=True)
class _Declared:
    """A look-up under the serial number of its declaration.

    What is remembered is filed under the number, so a changed declaration starts from nothing,
    even if it changes while a round of the old one is under way.
    """

    serial: int
    lookup: Lookup


@dataclass(frozen=True, slots=True)
class _Settled:
    """What became of the ids of one account."""

    records: Mapping[str, Json]
    missing: Set[str]
    failed: Mapping[str, LookupFailed]


def sleep(seconds: float) -> bool:
    """Wait, in a process that nobody asks to stop."""
    time.sleep(seconds)
    return True


class Lookups:
    """Every declared look-up; one per worker process.

    ``lookups`` has as keys the names by which ``Wanted.lookup`` asks for them. ``search``
    evaluates a JMESPath expression against a document and gives None where there is nothing.
    ``wait`` waits for that many seconds, or returns False when the process is stopping: calls
    that have not gone out by then fail, to be tried again. ``heard`` hears of each call, from any
    thread: its HTTP status, None if there was no reply, and how long it took in seconds.

    ``resolve`` is for one thread; ``replace`` may come from another.
    """

    def __init__(
        self,
        lookups: Mapping[str, Lookup],
        search: Search,
        *,
        wait: Callable[[float], bool] = sleep,
        wall: Callable[[], int] = now_ms,
        records_kept: int = RECORDS_KEPT,
        keeper: Keeper | None = None,
        heard: Callable[[int | None, float], None] = lambda _status, _seconds: None,
    ) -> None:
        self._search = search
        self._heard = heard
        self._wait = wait
        self._wall = wall
        self._now: Callable[[], float] = time.monotonic
        self._clients = _Clients()
        self._tokens = Tokens(self._clients.own, self._time, keeper)
        self._threads: ThreadPoolExecutor | None = None
        self._cache: TLRUCache[tuple[int, str, str], Kept] = TLRUCache(
            records_kept, lambda _key, kept, _now: kept.until, self._time
        )
        """A burst about one contact costs one read."""
        self._accounts: LRUCache[tuple[int, str], Account] = LRUCache(ACCOUNTS_KEPT)
        self._serials = count()
        self._declared: Mapping[str, _Declared] = {}
        self.replace(lookups)

    def replace(self, lookups: Mapping[str, Lookup]) -> None:
        """Put another set of look-ups in place; those that are unchanged keep what they know."""
        before = self._declared
        self._declared = {
            name: before[name]
            if name in before and before[name].lookup == lookup
            else _Declared(next(self._serials), lookup)
            for name, lookup in lookups.items()
        }

    def resolve(
        self, wanted: Sequence[Wanted], now: Callable[[], float] = time.monotonic
    ) -> list[Found | LookupFailed]:
        """What each of ``wanted`` asks for, in the same order; failures are returned, not raised.

        ``now`` gives monotonic seconds. Blocks while calls are made and paced, but for no pause
        that a CRM asks for: that is ``retry_after_s`` of the failure, in seconds. One id that
        failed makes the whole ``Wanted`` fail, with what came of the others. An empty id is
        missing.
        """
        declared = self._declared
        groups: dict[tuple[str, str], dict[str, int]] = {}
        for want in wanted:
            if want.lookup in declared:
                group = groups.setdefault((want.lookup, want.account), {})
                for one in want.ids:
                    if one:
                        group[one] = max(group.get(one, 0), want.not_before)
        settled = self._settle(declared, groups, now)
        return [_answer(want, settled.get((want.lookup, want.account))) for want in wanted]

    def close(self) -> None:
        """Close every connection."""
        if self._threads is not None:
            self._threads.shutdown()
        self._clients.close()

    def _settle(
        self,
        declared: Mapping[str, _Declared],
        groups: Mapping[tuple[str, str], Mapping[str, int]],
        now: Callable[[], float],
    ) -> dict[tuple[str, str], _Settled]:
        self._now = now
        self._cache.expire()  # what is too old is somebody's data, and of no use
        reach = Reach(self._tokens, self._search, now, self._wait)
        kept: dict[tuple[str, str], dict[str, Kept]] = {}
        rounds: dict[tuple[str, str], Round] = {}
        for (name, account), ids in groups.items():
            serial, lookup = declared[name].serial, declared[name].lookup
            start, wall = now(), self._wall()
            cached = {
                one: _unless_older(
                    self._cache.get((serial, account, one)),
                    start - max(0, wall - not_before) / 1000 + lookup.cache_s,
                )
                for one, not_before in ids.items()
            }
            kept[name, account] = {one: hit for one, hit in cached.items() if hit is not None}
            rounds[name, account] = Round(
                lookup,
                account,
                self._account(serial, account, lookup),
                [one for one, hit in cached.items() if hit is None],
                reach,
            )
        self._run(rounds.values())
        settled: dict[tuple[str, str], _Settled] = {}
        for (name, account), done in rounds.items():
            for one, fetched in done.found.items():
                self._cache[declared[name].serial, account, one] = fetched
            records = {one: hit.record for one, hit in (kept[name, account] | done.found).items()}
            settled[name, account] = _Settled(records, done.missing, done.failed)
        return settled

    def _time(self) -> float:
        return self._now()

    def _run(self, rounds: Iterable[Round]) -> None:
        """Settle every round. Only the calls themselves are made in other threads."""
        flying: dict[Future[Reply | NoReply], tuple[Round, Sending]] = {}
        while True:
            able = [one for one in rounds if one.ready]
            if able and len(flying) < MOST_AT_ONCE:
                # who may call first goes first, so that one account's pace slows no other
                first = min(able, key=lambda one: one.ready_at)
                sending = first.begin()
                if sending is None:
                    continue
                if first.lookup.at_once == 1:
                    first.settle(sending, self._send(first.lookup, sending))
                else:
                    future = self._pool().submit(self._send, first.lookup, sending)
                    flying[future] = (first, sending)
            elif flying:
                done, _ = wait(flying, return_when=FIRST_COMPLETED)
                for future in done:
                    asked, sending = flying.pop(future)
                    asked.settle(sending, future.result())
            else:
                return

    def _send(self, lookup: Lookup, sending: Sending) -> Reply | NoReply:
        client, started = self._clients.take(), time.monotonic()
        try:
            reply = client.send(
                sending.call,
                sending.headers.values,
                lookup.timeout_s,
                internal=lookup.internal,
            )
        finally:
            self._clients.give_back(client)
        status = reply.status if isinstance(reply, Reply) else None
        self._heard(status, time.monotonic() - started)
        return reply

    def _pool(self) -> ThreadPoolExecutor:
        if self._threads is None:
            self._threads = ThreadPoolExecutor(MOST_AT_ONCE, thread_name_prefix="look-up")
        return self._threads

    def _account(self, serial: int, name: str, lookup: Lookup) -> Account:
        key = (serial, name)
        account = self._accounts.get(key)
        if account is None:
            account = self._accounts[key] = Account(lookup.rate_per_s)
        return account


class _Clients:
    """Connections for each thread: a call that is out of time cuts all that its client holds."""

    def __init__(self) -> None:
        self.own = Client()
        """For the thread that runs the rounds, when it fetches access tokens."""
        self._idle: SimpleQueue[Client] = SimpleQueue()
        self._all = [self.own]

    def take(self) -> Client:
        """A client that nobody uses at the moment."""
        try:
            return self._idle.get_nowait()
        except Empty:
            self._all.append(self.own.another())
            return self._all[-1]

    def give_back(self, client: Client) -> None:
        """The call is over."""
        self._idle.put(client)

    def close(self) -> None:
        """Close every connection."""
        for client in self._all:
            client.close()


def _unless_older(kept: Kept | None, until: float) -> Kept | None:
    """A record, unless it was read before the event came: it may not show what happened then."""
    return None if kept is None or kept.until < until else kept


def _answer(want: Wanted, settled: _Settled | None) -> Found | LookupFailed:
    if settled is None:
        return LookupFailed(
            f"look-up {want.lookup}: no mapping file declares it any more.", retry_after_s=1.0
        )
    ids = list(dict.fromkeys(want.ids))
    failures = [settled.failed[one] for one in ids if one in settled.failed]
    records = tuple(settled.records[one] for one in ids if one in settled.records)
    if failures:
        worst = max(failures, key=lambda failure: failure.retry_after_s or 0.0)
        return LookupFailed(str(worst), retry_after_s=worst.retry_after_s, records=records)
    return Found(
        records=records,
        missing=tuple(one for one in ids if one in settled.missing or not one),
    )
