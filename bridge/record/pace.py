"""How many calls a second: the stated rate; after a 429 less, and then slowly more again.

Additive increase, multiplicative decrease: a 429 halves what was really used, at most once a
second and never below a call every two seconds; after that a minute of calls brings the stated
rate back. Times are monotonic milliseconds. Not for several threads: its owner has the lock.
"""

from __future__ import annotations

from collections import deque

LEAST_PER_S = 0.5
BACK_AFTER_S = 60.0


class Pace:
    """The pace of one campaign, or of one token."""

    def __init__(self, rate_per_s: float) -> None:
        self._stated = self._rate = rate_per_s
        self._next_call = 0.0
        self._grown_at = 0.0
        self._slowed_at = float("-inf")
        self._taken: deque[float] = deque()

    def state(self, rate_per_s: float) -> None:
        """The stated rate is another one from now on."""
        if rate_per_s != self._stated:
            self._stated = self._rate = rate_per_s

    @property
    def interval(self) -> float:
        """Milliseconds from one call to the next."""
        return 1000 / self._rate

    def wait(self, now: float) -> float:
        """How many milliseconds until a call may go; 0 if it may go now."""
        return max(0.0, self._next_call - now)

    def take(self, now: float) -> None:
        """A call goes now."""
        if self._rate < self._stated:
            # time in which nothing was called says nothing about what the API bears
            calm_s = min(now - self._grown_at, 1000) / 1000
            self._rate = min(self._stated, self._rate + self._stated / BACK_AFTER_S * calm_s)
        self._grown_at = now
        self._next_call = max(now, self._next_call) + self.interval
        self._taken.append(now)
        self._forget(now)

    def give_back(self) -> None:
        """The call that was taken last did not take place."""
        self._next_call -= self.interval
        if self._taken:
            self._taken.pop()

    def slow_down(self, now: float) -> None:
        """The API says that it was too much; once a second is what is heard of that."""
        if now - self._slowed_at < 1000:
            return
        self._slowed_at = now
        self._forget(now)
        used = min(self._rate, max(1.0, len(self._taken)))
        self._rate = max(min(LEAST_PER_S, self._stated), used / 2)
        self._next_call = max(self._next_call, now + self.interval)

    def _forget(self, now: float) -> None:
        while self._taken and now - self._taken[0] >= 1000:
            self._taken.popleft()
