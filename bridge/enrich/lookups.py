"""The look-ups of all sources: what events want, grouped, fetched once, and handed back."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass
from itertools import count

from bridge.clock import now_ms
from bridge.enrich.account import Account
from bridge.enrich.cache import Cache, Kept
from bridge.enrich.client import Client
from bridge.enrich.reading import Search
from bridge.enrich.round import Reach, Round
from bridge.errors import LookupFailed
from bridge.model import Found, Json, Lookup, Wanted

RECORDS_KEPT = 50_000
ACCOUNTS_KEPT = 10_000


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


def _sleep(seconds: float) -> bool:
    time.sleep(seconds)
    return True


class Lookups:
    """Every declared look-up; one per worker process.

    ``lookups`` has as keys the names by which ``Wanted.lookup`` asks for them. ``search``
    evaluates a JMESPath expression against a document and gives None where there is nothing.
    ``wait`` waits for that many seconds, or returns False when the process is stopping: calls
    that have not gone out by then fail, to be tried again.

    ``resolve`` is for one thread; ``replace`` may come from another.
    """

    def __init__(
        self,
        lookups: Mapping[str, Lookup],
        search: Search,
        *,
        wait: Callable[[float], bool] = _sleep,
        records_kept: int = RECORDS_KEPT,
    ) -> None:
        self._search = search
        self._wait = wait
        self._client = Client()
        self._cache = Cache(records_kept)
        self._accounts: OrderedDict[tuple[int, str], Account] = OrderedDict()
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
        failed makes the whole ``Wanted`` fail. An empty id is missing.
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
        self._client.close()

    def _settle(
        self,
        declared: Mapping[str, _Declared],
        groups: Mapping[tuple[str, str], Mapping[str, int]],
        now: Callable[[], float],
    ) -> dict[tuple[str, str], _Settled]:
        reach = Reach(self._client, self._search, now, self._wait)
        kept: dict[tuple[str, str], dict[str, Kept]] = {}
        rounds: dict[tuple[str, str], Round] = {}
        for (name, account), ids in groups.items():
            serial, lookup = declared[name].serial, declared[name].lookup
            start, wall = now(), now_ms()
            cached = {
                one: _unless_older(
                    self._cache.get((serial, account, one), start),
                    start - max(0, wall - not_before) / 1000 + lookup.cache_s,
                )
                for one, not_before in ids.items()
            }
            kept[name, account] = {one: hit for one, hit in cached.items() if hit is not None}
            rounds[name, account] = Round(
                lookup,
                lookup.tokens.get(account, lookup.token),
                self._account(serial, account, lookup),
                [one for one, hit in cached.items() if hit is None],
                reach,
            )
        # Whoever may call first goes first, so that one account's pace does not slow the others.
        while open_rounds := [one for one in rounds.values() if not one.finished]:
            min(open_rounds, key=lambda one: one.ready_at).step()
        settled: dict[tuple[str, str], _Settled] = {}
        for (name, account), done in rounds.items():
            for one, fetched in done.found.items():
                self._cache.put((declared[name].serial, account, one), fetched)
            records = {one: hit.record for one, hit in (kept[name, account] | done.found).items()}
            settled[name, account] = _Settled(records, done.missing, done.failed)
        return settled

    def _account(self, serial: int, name: str, lookup: Lookup) -> Account:
        key = (serial, name)
        account = self._accounts.get(key)
        if account is None:
            account = self._accounts[key] = Account(lookup.rate_per_s)
        self._accounts.move_to_end(key)
        while len(self._accounts) > ACCOUNTS_KEPT:
            self._accounts.popitem(last=False)
        return account


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
    if failures:
        return max(failures, key=lambda failure: failure.retry_after_s or 0.0)
    return Found(
        records=tuple(settled.records[one] for one in ids if one in settled.records),
        missing=tuple(one for one in ids if one in settled.missing or not one),
    )
