"""What campaigns of one token share: the API's limits, as far as they are the token's.

One campaign's 429 says nothing certain about its neighbours, so it holds back that campaign alone.
When a second one is told the same before any call with the token was answered well, the limit is
taken for the token's: its pace is halved, and until the time both were told the others try one
call a second. The first that is answered well ends that. A 401 stops nobody but the campaign that
got it (``bridge.steps.conditions`` says what follows when it is over).

Calls wait for the token's pace in the order in which they came, opt-outs before all others. Times
are monotonic milliseconds.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Mapping
from dataclasses import dataclass

from bridge.record.pace import Pace

PROBE_EVERY = 1000.0
FULL = 20.0
"""How long a call waits before it looks again whether one of the others has ended."""

BEHIND = 5.0
"""The same for a call that is not the next in the row."""

LATE = 500.0
"""How late somebody who waits may come for his turn before it goes to the next."""


@dataclass(frozen=True, slots=True)
class _Out:
    """A call that is under way. ``extra``: an opt-out beyond the number of calls at a time."""

    campaign: str
    started: float
    extra: bool


class Account:
    """The token of one or more campaigns. Safe for many threads; each makes one call at a time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pace: Pace | None = None
        self._most = 0
        self._campaigns = 1
        self._out: dict[int, _Out] = {}
        self._row: dict[int, tuple[bool, int, float]] = {}
        self._tickets = itertools.count()
        self._told: dict[str, tuple[float, float]] = {}
        self._held_until = 0.0
        self._next_probe = 0.0

    def set_limits(self, rate_per_s: float, concurrency: int, campaigns: int) -> None:
        """Calls per second and at a time, 0 for no limit, and how many campaigns share them."""
        with self._lock:
            if not rate_per_s:
                self._pace = None
            elif self._pace is None:
                self._pace = Pace(rate_per_s)
            else:
                self._pace.state(rate_per_s)
            self._most, self._campaigns = concurrency, campaigns

    def try_pass(self, campaign: str, now: float, *, urgent: bool, further: bool = False) -> float:
        """0 if a call of the campaign may go now, which it then must; else how long to wait.

        ``further``: it takes the place of this thread's call before, should that count still.
        """
        with self._lock:
            wait = self._held(campaign, now)
            extra = False
            others = self._others() if further else self._out
            if not wait and self._full(campaign, others):
                extra = urgent and not any(
                    out.extra and out.campaign == campaign for out in others.values()
                )
                wait = 0.0 if extra else FULL
            wait = wait or self._turn(now, urgent)
            if wait:
                return wait
            me = threading.get_ident()
            self._row.pop(me, None)
            if self._pace is not None:
                self._pace.take(now)
            if now < self._held_until:
                self._next_probe = now + PROBE_EVERY
            self._out[me] = _Out(campaign, now, extra)
            return 0.0

    def _held(self, campaign: str, now: float) -> float:
        if now >= self._held_until:
            return 0.0
        _, until = self._told.get(campaign, (0.0, 0.0))
        return max(0.0, until - now, self._next_probe - now)

    def _others(self) -> dict[int, _Out]:
        me = threading.get_ident()
        return {who: out for who, out in self._out.items() if who != me}

    def _full(self, campaign: str, outs: Mapping[int, _Out]) -> bool:
        """Whether as many calls are out as may be. No campaign takes more than half of them."""
        if not self._most:
            return False
        mine = sum(out.campaign == campaign for out in outs.values())
        share = self._most if self._campaigns == 1 else max(1, (self._most + 1) // 2)
        return len(outs) >= self._most or mine >= share

    def _turn(self, now: float, urgent: bool) -> float:
        """How long to wait for the pace, in a row with those who wait already."""
        if self._pace is None:
            return 0.0
        me, wait = threading.get_ident(), self._pace.wait(now)
        self._row = {who: place for who, place in self._row.items() if place[2] >= now}
        ticket = self._row[me][1] if me in self._row else next(self._tickets)
        mine = (not urgent, ticket, now + max(wait, BEHIND) + LATE)
        self._row[me] = mine
        if wait:
            return wait
        return 0.0 if mine[:2] == min(place[:2] for place in self._row.values()) else BEHIND

    def ended(self, now: float, *, well: bool) -> None:
        """This thread's call has ended. ``well``: the API answered it as it should."""
        with self._lock:
            out = self._out.pop(threading.get_ident(), None)
            if well and out is not None:
                self._told = {
                    name: (at, until)
                    for name, (at, until) in self._told.items()
                    if at >= out.started and until > now
                }
                if not self._told:
                    self._held_until = 0.0

    def unused(self) -> None:
        """The call that this thread was let through for did not take place."""
        with self._lock:
            if self._out.pop(threading.get_ident(), None) and self._pace is not None:
                self._pace.give_back()

    def busy(self, campaign: str, now: float, until: float) -> bool:
        """The API told a campaign to wait (429). Whether the token as a whole is now held back."""
        with self._lock:
            self._told = {n: told for n, told in self._told.items() if told[1] > now}
            self._told[campaign] = (now, until)
            if len(self._told) == 1:
                return False
            was_held = now < self._held_until
            self._held_until = max(when for _, when in self._told.values())
            self._next_probe = max(self._next_probe, now + PROBE_EVERY)
            if self._pace is not None:
                self._pace.slow_down(now)
            return not was_held
