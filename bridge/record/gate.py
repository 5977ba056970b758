"""Whether a campaign may be called now: back-off after failures, a pause after refusals.

Open: calls go, at their pace (``bridge.record.pace``), which a 429 slows down. Backoff: after
429, 5xx or a network fault nothing goes until a time, then a single probe (half-open) decides.
Paused: 401, 403 or 404 say that something has to be mended; the queue is kept, and a probe from
time to time notices when it is. While a probe of ordinary updates is out, an opt-out may be a
second one, so that it never waits for a slow answer.

A 403 for a lead that was alone in its call may be about that lead. The first few in a row are a
back-off, which the next call of another lead ends; once one did, the next is the lead's own.

A gate is shared by the threads of one campaign in one worker. Only a thread whose call is a probe
can open it again, and only if nothing failed since that call began, so that an older call that
comes back well does not cut a pause short; but the 403 of another call, which may be about a lead,
keeps no probe from asking to the end and from opening. What other workers note is heard by
``heed``. Times are monotonic milliseconds.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from enum import StrEnum

from bridge.model import Trouble, ends_probes
from bridge.record.account import Account
from bridge.record.pace import Pace

SUSPECTS = 10_000
"""Of how many leads at most it is remembered that they got a 403 by themselves."""

REFUSALS = 5
"""After how many 403 in a row, each for one lead by itself, the campaign is taken to be refused."""

OTHERS_FIRST = 5_000.0
"""For how long opt-outs leave a probe to others at most, which may wait, or be slow to answer."""

CLOCKS_APART = 25.0
"""How far the clocks by which two workers reckon may be apart, though each goes by that of the
database: what one of them was told the other obeys for so much longer."""

PROBE_OUT = 50.0
"""How long to wait before looking again whether a probe has come back."""


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

    @property
    def longest(self) -> int:
        """The longest that anything but a person keeps a campaign from being tried."""
        return max(self.most, self.probe, self.retry_after_most)


@dataclass(frozen=True, slots=True)
class GateView:
    """What an operator sees, and what workers tell each other.

    ``wait_ms``: until the next try, infinite if there is none by itself. ``status``: the HTTP
    status that led to this. ``changes``: which state of the database this builds upon. ``edits``:
    how often this worker has changed it.
    """

    state: GateState
    reason: str
    failures: int
    wait_ms: float
    status: int | None = None
    changes: int = 0
    edits: int = 0


@dataclass(frozen=True, slots=True)
class _Probe:
    """A probe that is out: whether of opt-outs, and how often calls had failed before it."""

    urgent: bool
    closings: int


class Gate:
    """The gate of one campaign. ``random`` gives numbers from 0 to 1, for the jitter.

    ``account``: what the campaign shares with others of its token.
    """

    def __init__(
        self,
        policy: GatePolicy,
        rate_per_s: float,
        random: Callable[[], float],
        *,
        campaign: str = "",
        account: Account | None = None,
    ) -> None:
        self._policy = policy
        self._pace = Pace(rate_per_s)
        self._random = random
        self._campaign = campaign
        self._account = account or Account()
        self._lock = threading.Lock()
        self._state = GateState.OPEN
        self._reason = ""
        self._status: int | None = None
        self._failures = 0
        self._closed_until = 0.0
        self._closings = 0
        self._probes: dict[int, _Probe] = {}
        self._suspects: dict[int, None] = {}
        self._others_first = False
        self._opened: float | None = None
        self._changes = -1
        self._edits = 0
        self._unsaved = False

    def set_rate(self, rate_per_s: float) -> None:
        """The stated pace: calls per second."""
        with self._lock:
            self._pace.state(rate_per_s)

    # ------------------------------------------------------------------ calls

    def try_pass(self, now: float, *, urgent: bool = False, further: bool = False) -> float:
        """0 if a call may go now, which it then must; otherwise how many milliseconds to wait.

        ``urgent``: it carries opt-outs. ``further``: it is one more of the batch that this thread
        was let through with, and belongs to its probe.
        """
        with self._lock:
            closed = self._state is not GateState.OPEN
            mine = self._probes.get(threading.get_ident()) if further else None
            if closed:
                goes_on = mine is not None and mine.closings == self._closings
                if now < self._closed_until and not goes_on:
                    return self._closed_until - now
                probes = self._probes.values()
                if mine is None and any(probe.urgent or not urgent for probe in probes):
                    return self._pace.interval + PROBE_OUT
            wait = self._pace.wait(now)
            wait = wait or self._account.try_pass(
                self._campaign, now, urgent=urgent, further=further
            )
            if wait:
                return wait
            if closed and mine is None:
                self._probes[threading.get_ident()] = _Probe(urgent, self._closings)
            self._pace.take(now)
            return 0.0

    @property
    def probing(self) -> bool:
        """Whether this thread was let through as a probe."""
        return threading.get_ident() in self._probes

    @property
    def probes(self) -> int:
        """How many probes of this worker are out."""
        return len(self._probes)

    @property
    def is_open(self) -> bool:
        """Whether calls may go as they come."""
        return self._state is GateState.OPEN

    def unused(self) -> None:
        """A call that this thread was let through for did not take place; its turn is free."""
        with self._lock:
            self._probes.pop(threading.get_ident(), None)
            self._pace.give_back()
        self._account.unused()

    def succeeded(self, now: float, *, opens: bool = True) -> bool:
        """A call of this thread was answered. Whether that has opened the gate.

        ``opens``: the answer proves that the campaign may be called, as 403 and 413 do not.
        """
        self._account.ended(now, well=True)
        with self._lock:
            probe = self._probes.pop(threading.get_ident(), None)
            if not opens or self._state is GateState.OPEN:
                return False
            if probe is None or probe.closings != self._closings:
                return False
            self._open()
            self._opened = now
            self._edits += 1
            self._unsaved = True
            return True

    def failed(
        self,
        trouble: Trouble,
        detail: str,
        retry_after_s: float | None,
        now: float,
        *,
        status: int | None = None,
    ) -> bool:
        """A call of this thread failed as a whole. Whether the state or its reason changed."""
        self._account.ended(now, well=False)
        with self._lock:
            before = (self._state, self._reason)
            again = self._status == 403 and self._failures >= REFUSALS - 1
            enough = again or self._state is GateState.PAUSED
            probe = self._probes.pop(threading.get_ident(), None)
            mine = probe is not None
            if probe is not None and status == 403 and self._opened_since(probe):
                return False  # its next call is no probe, and tells whether it is to blame
            # calls that were on their way together are one failure, however many they are
            counts = mine or self._state is GateState.OPEN
            self._closings += ends_probes(status)
            self._edits += 1
            held, by = self._closed_until, self._status
            self._reason, self._status, self._unsaved = detail, status, True
            if trouble is Trouble.REFUSED or (trouble is Trouble.REFUSED_ALONE and enough):
                first = self._others_first and self._state is GateState.PAUSED
                self._state = GateState.PAUSED
                pause = float(self._policy.probe or "inf")
                if first and probe is not None and not probe.urgent:
                    pause = 0.0  # opt-outs have left them this probe, and have theirs now
                    self._others_first = False
            else:
                self._state = GateState.BACKOFF
                self._failures += counts
                pause = self._pause(retry_after_s)
            if trouble is Trouble.BUSY:
                self._pace.slow_down(now)
            self._closed_until = max(held, now + pause)
            if held > now + pause and ends_probes(by) and not ends_probes(status):
                self._status = by  # that is what holds it, and keeps other workers' probes out
            return before != (self._state, self._reason)

    def _opened_since(self, probe: _Probe) -> bool:
        """Whether another probe got through while this one was out, and nothing failed since."""
        return self._state is GateState.OPEN and probe.closings == self._closings

    def blames(self, lead: int, *, known: bool = False) -> bool:
        """A lead by itself got a 403: whether it did so before, and others got through since.

        If not, that 403 closes the gate, which only a call that gets through will open again.
        ``known``: another worker has seen the first, and others got through after it.
        """
        with self._lock:
            known = self._suspects.pop(lead, lead) is None or known
            self._suspects[lead] = None
            if len(self._suspects) > SUSPECTS:
                del self._suspects[next(iter(self._suspects))]
            return known and self._state is GateState.OPEN and not self.probing

    def opened_ago(self, now: float) -> float | None:
        """How long ago (ms) a call of this worker got through and opened it; None if none did."""
        opened = self._opened
        return None if opened is None else max(0.0, now - opened)

    def suspects(self, leads: Collection[int]) -> list[int]:
        """Those of these leads that got a 403 by themselves, and for which the API has not answered
        since; the one that got it longest ago comes first."""
        with self._lock:
            return [lead for lead in self._suspects if lead in leads]

    def let_others_first(self, *, yes: bool) -> None:
        """The call that failed last had opt-outs, and a 403, which may be about one of them.

        If it has closed nothing, it is nobody else's turn when another call does.
        """
        with self._lock:
            self._others_first = yes and self._state is not GateState.OPEN

    def others_first(self, now: float) -> bool:
        """Whether the next probe is for whatever waits beside opt-outs; not for long, as they wait.

        Others may be out with a slow call of their own, or have no turn with their token.
        """
        closed = self._state is not GateState.OPEN
        return self._others_first and closed and now < self._closed_until + OTHERS_FIRST

    def absolve(self, leads: Iterable[int]) -> None:
        """The API answered for these leads: their next 403 may be the campaign's again."""
        if self._suspects:
            with self._lock:
                for lead in leads:
                    self._suspects.pop(lead, None)

    def _open(self) -> None:
        self._state = GateState.OPEN
        self._reason, self._status = "", None
        self._others_first = False
        self._failures = 0
        self._closed_until = 0.0

    def _pause(self, retry_after_s: float | None) -> float:
        """Exponential with full jitter; never shorter than the API asks."""
        doubled: int = self._policy.first * 2 ** min(max(0, self._failures - 1), 30)
        top = min(self._policy.most, doubled)
        asked = min((retry_after_s or 0) * 1000, self._policy.retry_after_most)
        return max(top * self._random(), asked)

    # ------------------------------------------------------------------ what all workers know

    def heed(self, known: GateView, now: float) -> bool:
        """Take over what the database says, if that is newer than what this worker knows.

        What this worker has not noted there yet goes before. Whether anything changed.
        """
        with self._lock:
            if self._unsaved or known.changes <= self._changes:
                return False
            self._changes = known.changes
            if known.state is GateState.OPEN:
                self._open()
                return True
            if known.state is not GateState.PAUSED or known.wait_ms > 0:
                # one that is wanted to be tried at once has not failed again: a probe that is out
                # may still open it
                self._closings += ends_probes(known.status)
            self._state = known.state
            self._reason, self._status = known.reason, known.status
            self._failures = known.failures
            apart = CLOCKS_APART if known.wait_ms > 0 else 0.0
            self._closed_until = now + known.wait_ms + apart
            return True

    @property
    def unsaved(self) -> bool:
        """Whether the database has not heard yet of the last change."""
        return self._unsaved

    def saved(self, view: GateView, changes: int) -> None:
        """The database has heard of ``view``, and counts so many changes now."""
        with self._lock:
            self._changes = max(self._changes, changes)
            if view.edits == self._edits:
                self._unsaved = False

    def view(self, now: float) -> GateView:
        """The present state."""
        with self._lock:
            wait = 0.0 if self._state is GateState.OPEN else max(0.0, self._closed_until - now)
            return GateView(
                self._state,
                self._reason,
                self._failures,
                wait,
                self._status,
                self._changes,
                self._edits,
            )
