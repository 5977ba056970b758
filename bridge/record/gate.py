"""Whether a campaign may be called now: back-off after failures, a pause after refusals.

Open: calls go. Backoff: after 429, 5xx or a network fault nothing goes until a time, then a
single probe (half-open) decides. Paused: 401, 403 or 404 say that something has to be mended; the
queue is kept, and a probe from time to time notices when it is. A gate is shared by the threads
of one campaign; only the thread whose call is the probe can open it again, so that an older call
that comes back well does not cut a pause short. Times are monotonic milliseconds.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from bridge.model import Trouble


class GateState(StrEnum):
    """How a campaign's calls go."""

    OPEN = "open"
    BACKOFF = "backoff"
    PAUSED = "paused"


@dataclass(frozen=True, slots=True)
class GatePolicy:
    """Pauses in milliseconds. ``probe``: between probes of a paused campaign, 0 for never."""

    first: int
    most: int
    probe: int
    retry_after_most: int = 3_600_000


@dataclass(frozen=True, slots=True)
class GateView:
    """What an operator sees: state, why, and how long until the next try."""

    state: GateState
    reason: str
    failures: int
    wait_ms: int


class Gate:
    """The gate of one campaign. ``random`` gives numbers from 0 to 1, for the jitter."""

    def __init__(self, policy: GatePolicy, rate_per_s: float, random: Callable[[], float]) -> None:
        self._policy = policy
        self._interval = 1000 / rate_per_s
        self._random = random
        self._lock = threading.Lock()
        self._state = GateState.OPEN
        self._reason = ""
        self._failures = 0
        self._closed_until = 0.0
        self._prober: int | None = None
        self._told = False
        self._next_call = 0.0

    def set_rate(self, rate_per_s: float) -> None:
        """The pace: calls per second."""
        self._interval = 1000 / rate_per_s

    def try_pass(self, now: float) -> float:
        """0 if a call may go now, which it then must; otherwise how many milliseconds to wait."""
        with self._lock:
            if self._state is not GateState.OPEN:
                if self._prober is not None:
                    return self._interval + 50
                if now < self._closed_until:
                    return self._closed_until - now
            if now < self._next_call:
                return self._next_call - now
            if self._state is not GateState.OPEN:
                self._prober = threading.get_ident()
            self._next_call = max(now, self._next_call) + self._interval
            return 0.0

    def unused(self) -> None:
        """A call that this thread was let through for did not take place; its turn is free."""
        with self._lock:
            self._end_probe()
            self._next_call -= self._interval

    def _end_probe(self) -> bool:
        mine = self._prober == threading.get_ident()
        if mine:
            self._prober = None
        return mine

    def succeeded(self) -> bool:
        """A call of this thread was answered. Whether the operator should be told of a change.

        The first answer of all counts as one.
        """
        with self._lock:
            first, self._told = not self._told, True
            if self._state is GateState.OPEN:
                return first
            if not self._end_probe():
                return False
            self._state = GateState.OPEN
            self._reason = ""
            self._failures = 0
            return True

    def failed(
        self, trouble: Trouble, detail: str, retry_after_s: float | None, now: float
    ) -> bool:
        """A call of this thread failed as a whole. Whether the state or its reason changed."""
        with self._lock:
            before = (self._state, self._reason)
            self._told = True
            self._end_probe()
            self._reason = detail
            if trouble is Trouble.REFUSED:
                self._state = GateState.PAUSED
                probe = self._policy.probe
                self._closed_until = now + probe if probe else float("inf")
            else:
                self._failures += 1
                self._state = GateState.BACKOFF
                self._closed_until = max(self._closed_until, now + self._pause(retry_after_s))
            return before != (self._state, self._reason)

    def _pause(self, retry_after_s: float | None) -> float:
        """Exponential with full jitter; never shorter than the API asks."""
        doubled: int = self._policy.first * 2 ** min(self._failures - 1, 30)
        top = min(self._policy.most, doubled)
        asked = min((retry_after_s or 0) * 1000, self._policy.retry_after_most)
        return max(top * self._random(), asked)

    def view(self, now: float) -> GateView:
        """The present state."""
        with self._lock:
            wait = 0 if self._state is GateState.OPEN else max(0, self._closed_until - now)
            wait_ms = int(min(wait, 2**53))
            return GateView(self._state, self._reason, self._failures, wait_ms)
