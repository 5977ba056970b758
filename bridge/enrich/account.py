"""What is remembered of one account of one look-up between calls: pace, breaker, suspicion."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Sequence
from itertools import groupby

from bridge.enrich.reading import Cause, Failed

LONGEST_PAUSE_S = 30.0
"""Between probes of an account that is down; an opt-out may be waiting behind it."""

LONGEST_RETRY_S = 300.0
"""Between tries of a single id on which calls keep breaking."""

MOST_DOUBTS = 10_000

OUTAGE = 3
"""Failed calls in a row from which on the account, not an id, is taken to be the cause."""

BY_IDS = (Cause.UNCLEAR, Cause.SCOPE, Cause.ODD)
"""Failures of which one of the ids may be the cause."""


class Account:
    """One account of one look-up.

    The breaker opens with any failed call and lets calls through again when the pause is over;
    since an account in doubt gets one call at a time, the first of them is the probe. An id that
    was in a call of whose failure it may be the cause is *doubted*: from then on it goes after all
    others, in ever smaller batches, so that one record that breaks its CRM, or may not be read,
    cannot hold up the rest.
    """

    def __init__(self, rate_per_s: float) -> None:
        self.ready_at = -math.inf
        """When the next call may go out, in monotonic seconds."""
        self.why = ""
        """Why the breaker is, or was last, open."""
        self.live_token = 0
        """Which of the token's values was accepted last."""
        self._witnesses: tuple[str, ...] = ()
        self._gap = 1 / rate_per_s
        self._rests_until = -math.inf
        self._streak = 0
        self._doubts: dict[str, int] = {}
        self._behind: dict[str, None] = {}

    def pace(self, now: Callable[[], float], wait: Callable[[float], bool]) -> bool:
        """Wait for the next call's turn. False: the process is stopping, do not call."""
        if not wait(max(0.0, self.ready_at - now())):
            return False
        self.ready_at = max(self.ready_at, now()) + self._gap
        return True

    def rests(self, now: float) -> float:
        """Seconds until the breaker lets a call through; 0 if it does."""
        return max(0.0, self._rests_until - now)

    @property
    def healthy(self) -> bool:
        """Whether the last call was answered in a usable way."""
        return self._streak == 0

    def succeeded(self, found: Sequence[str]) -> None:
        """A call brought a usable reply, with rows for these ids."""
        if self._streak >= OUTAGE:
            self._doubts.clear()
        self._streak = 0
        for one in found:
            self._doubts.pop(one, None)
            self._behind.pop(one, None)
        if found and found[-1] not in self._witnesses:
            self._witnesses = (found[-1], *self._witnesses[:1])

    def witness(self, besides: Collection[str] = ()) -> str | None:
        """An id that had a row, so that asking for it again shows whether a request is sound."""
        return next((one for one in self._witnesses if one not in besides), None)

    def failed(self, failure: Failed, ids: Sequence[str], now: float) -> float:
        """A call for these ids failed. Opens the breaker; seconds until to ask for them again."""
        self._streak += 1
        backoff = min(LONGEST_PAUSE_S, 2.0 ** min(self._streak - 1, 10))
        pause = backoff if failure.retry_after_s is None else failure.retry_after_s
        # what only a correction changes is asked again later, and others than these ids before
        own = failure.cause in (Cause.SCOPE, Cause.ODD)
        self._rests_until = now + (backoff if own else pause)
        self.why = failure.why
        if failure.cause not in BY_IDS:
            return pause
        self.doubt(ids)
        if len(ids) > 1:
            return pause
        again = min(LONGEST_RETRY_S, 2.0 ** min(self._doubt(ids[0]) if ids else 0, 10))
        return max(pause, again)

    def doubt(self, ids: Iterable[str]) -> None:
        """These ids were in a call of whose failure they may be the cause."""
        for one in ids:
            self._doubts[one] = self._doubts.pop(one, 0) + 1
        while len(self._doubts) > MOST_DOUBTS:
            del self._doubts[next(iter(self._doubts))]

    def fell_behind(self, ids: Iterable[str]) -> None:
        """These ids brought nothing: they go first the next time, unless they are doubted.

        Where more are wanted at a time than their CRM lets through, the last have a turn so.
        """
        self._behind |= dict.fromkeys(ids)
        while len(self._behind) > MOST_DOUBTS:
            del self._behind[next(iter(self._behind))]

    def batches(self, ids: Iterable[str], size: int) -> list[tuple[str, ...]]:
        """The ids in batches of at most ``size``: doubted ones last, and in smaller batches."""
        batches: list[tuple[str, ...]] = []
        ordered = sorted(ids, key=lambda one: (self._doubt(one), one not in self._behind))
        for level, group in groupby(ordered, key=self._doubt):
            alike, most = list(group), max(1, size >> level)
            batches += [tuple(alike[at : at + most]) for at in range(0, len(alike), most)]
        return batches

    def _doubt(self, one: str) -> int:
        return self._doubts.get(one, 0)
