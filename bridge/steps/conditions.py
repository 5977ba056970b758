"""What all workers know of the campaigns: their condition, and which of them a person paused.

A worker decides by its own gates (``bridge.record.gate``), tells the database of every change, and
hears about once a second what others have told. So one worker's Retry-After is honoured by all,
a probe is one worker's at a time, and a pause by hand holds everywhere within two seconds.
"""

from __future__ import annotations

import math
import random
import threading
import time
from collections.abc import Callable, Iterable, Mapping

from bridge import logs
from bridge.errors import StoreError
from bridge.model import NOT_TAKEN_ON, Answered, Campaign, Lane, Trouble
from bridge.record.account import Account
from bridge.record.gate import Gate, GatePolicy, GateState, GateView
from bridge.store import campaigns, pauses
from bridge.store.campaigns import Condition
from bridge.store.counters import Counted, Counts
from bridge.store.database import Connection, Database
from bridge.store.pauses import Pause
from bridge.store.schema import NEVER

log = logs.get("send")

HEAR_EVERY_S = 1.0
"""How often a worker asks what others and people have told about campaigns."""

SAME_MS = 1_000.0
"""By how much more a 429 has to hold a campaign to be another one than that which is known."""

Token = tuple[str, str]


def monotonic_ms() -> float:
    """The clock of gates."""
    return time.monotonic() * 1000


class Conditions:
    """The gates of one worker, and what it has heard. Safe for many threads.

    ``ring`` is told the names of campaigns whose pause has changed. ``counts``: how often campaigns
    were closed.
    """

    def __init__(
        self,
        database: Database,
        policy: GatePolicy,
        ring: Callable[[Iterable[str]], None],
        counts: Counts,
    ) -> None:
        self._database = database
        self._ring = ring
        self._counts = counts
        self._policy = policy
        self._gates: dict[str, Gate] = {}
        self._accounts: dict[Token, Account] = {}
        self._campaigns: Mapping[str, Campaign] = {}
        self._pauses: Mapping[str, Pause] = {}
        self._probes: dict[str, int] = {}
        self._lock = threading.Lock()

    # ------------------------------------------------------------------ what there is

    def limit(self, named: Mapping[str, Campaign]) -> None:
        """The campaigns in force, and with them the limits of their tokens."""
        self._campaigns = {name: one for name, one in named.items() if one.configured}
        by_token: dict[Token, list[Campaign]] = {}
        for one in self._campaigns.values():
            by_token.setdefault(_token(one), []).append(one)
        for those in by_token.values():
            self._account(those[0]).set_limits(
                min((c.token_rate_per_s for c in those if c.token_rate_per_s), default=0),
                min((c.token_concurrency for c in those if c.token_concurrency), default=0),
                len(those),
            )

    def _account(self, campaign: Campaign) -> Account:
        with self._lock:
            return self._accounts.setdefault(_token(campaign), Account())

    def start(self, campaign: Campaign) -> None:
        """A gate for a campaign that is new here, or is called in another way than before.

        A back-off goes on. A pause is tried at once: what kept it from being called may be mended.
        """
        with self._database.write() as connection:
            now = self._database.now_ms()
            found = campaigns.conditions(connection).get(campaign.name, Condition())
            if found.condition == campaigns.PAUSED:
                campaigns.probe_soon(connection, [campaign.name], now)
                found = campaigns.conditions(connection)[campaign.name]
            self._pauses = pauses.pauses(connection)
        gate = Gate(
            self._policy,
            campaign.rate_per_s,
            random.random,
            campaign=campaign.name,
            account=self._account(campaign),
        )
        self._heed(campaign, gate, found, now)
        self._gates[campaign.name] = gate

    def gate(self, name: str) -> Gate:
        """The gate of a campaign that was started."""
        return self._gates[name]

    def holds(self, name: str, lane: Lane) -> bool:
        """Whether a person has paused the campaign for this lane."""
        pause = self._pauses.get(name)
        return pause is not None and pause.holds(lane)

    # ------------------------------------------------------------------ what is heard

    def hear(self) -> None:
        """Take over what other workers and people have told. Errors: ``StoreBusy``."""
        for name, gate in list(self._gates.items()):
            if gate.unsaved and name in self._campaigns:  # the database was out of reach
                self._tell(self._campaigns[name], gate)
        with self._database.read() as connection:
            known = campaigns.conditions(connection)
            paused = pauses.pauses(connection)
        now = self._database.now_ms()
        known = self._sooner(known, now)
        changed = {n for n in {*paused, *self._pauses} if paused.get(n) != self._pauses.get(n)}
        self._pauses = paused
        for name in sorted(changed):
            _log_pause(name, paused.get(name))
        self._ring(changed)
        for name, gate in list(self._gates.items()):
            if name in known and name in self._campaigns:
                self._heed(self._campaigns[name], gate, known[name], now)

    def _sooner(self, known: dict[str, Condition], now: int) -> dict[str, Condition]:
        """What is known once campaigns are tried that a clock put off which was set back since."""
        ahead = campaigns.far_ahead(known, now, within=self._policy.longest)
        if not ahead:
            return known
        with self._database.write(urgent=True) as connection:
            campaigns.sooner(connection, {name: known[name] for name in ahead}, now)
            known = campaigns.conditions(connection)
        log.warning("the clock was set back, campaigns are tried at once", campaigns=ahead)
        return known

    def look(self, campaign: Campaign, found: Condition) -> None:
        """Take over what was told of one campaign; before each batch, where workers are several.

        A failed call is noted before its leads can be claimed again, so that no other worker
        sends them into the same wall.
        """
        if not self._database.is_sqlite:
            self._heed(campaign, self._gates[campaign.name], found, self._database.now_ms())

    def _heed(self, campaign: Campaign, gate: Gate, found: Condition, now: int) -> None:
        wait = float("inf") if found.not_before >= NEVER else max(0, found.not_before - now)
        view = GateView(
            GateState(found.condition),
            found.reason,
            found.failures,
            wait,
            found.status,
            found.changes,
        )
        at = monotonic_ms()
        before = gate.view(at)
        if not gate.heed(view, at):
            return
        if (before.state, before.reason) != (view.state, view.reason):
            log.info("campaign condition heard", campaign=campaign.name, condition=view.state)
        # a 403 that is told beside a 429 leaves it its status, and is no other 429 for the token
        again = before.status == 429 and wait <= before.wait_ms + SAME_MS
        if found.status == 429 and not again:
            self._busy(campaign, at, at + wait)

    # ------------------------------------------------------------------ what is told

    def note(self, campaign: Campaign, gate: Gate, answered: Answered) -> None:
        """Tell the gate how a call went; a change is logged, and noted for all workers."""
        now = monotonic_ms()
        before = gate.view(now)
        if answered.trouble is None:
            if not gate.succeeded(now, opens=answered.status not in NOT_TAKEN_ON):
                return
            _log_condition(campaign.name, gate.view(now))
            self._tell(campaign, gate, mended=before.status)
            return
        changed = gate.failed(
            answered.trouble, answered.detail, answered.retry_after_s, now, status=answered.status
        )
        view = gate.view(now)
        if changed:
            _log_condition(campaign.name, view)
        if changed and before.state is not view.state:
            self._counts.add(Counted.CLOSED, campaign.name, int(view.state is GateState.PAUSED))
        if answered.trouble is Trouble.BUSY:
            self._busy(campaign, now, now + view.wait_ms)
        self._tell(campaign, gate)

    def _busy(self, campaign: Campaign, now: float, until: float) -> None:
        if self._account(campaign).busy(campaign.name, now, until):
            log.warning("token held back", token=_token(campaign)[1], url=campaign.url)

    def _tell(self, campaign: Campaign, gate: Gate, *, mended: int | None = None) -> None:
        """Note the gate's state. A token that works again is tried by all that it was refused to.

        ``mended``: the HTTP status of the pause that is over.
        """
        view = gate.view(monotonic_ms())
        try:
            with self._database.write() as connection:
                found = self._noted(connection, campaign, view)
                if mended == 401:
                    same = [
                        name
                        for name, one in self._campaigns.items()
                        if _token(one) == _token(campaign) and not self._on_trial(name)
                    ]
                    campaigns.probe_soon(connection, same, self._database.now_ms(), status=401)
        except StoreError as error:
            log.warning("campaign condition not noted", campaign=campaign.name, error=str(error))
            return
        gate.saved(view, -1 if found is None else found.changes - 1)
        if found is not None:  # another worker may have been told something meanwhile; that counts
            self._heed(campaign, gate, found, self._database.now_ms())

    def _on_trial(self, name: str) -> bool:
        """Whether a campaign is being tried, or has just been opened by its own answer.

        To have it tried once more would be news to which that answer is old: a campaign for which
        nothing else waits would stay closed.
        """
        gate = self._gates.get(name)
        if gate is None:
            return False
        return gate.probes > 0 or gate.view(monotonic_ms()).state is GateState.OPEN

    def _noted(
        self, connection: Connection, campaign: Campaign, view: GateView
    ) -> Condition | None:
        now = self._database.now_ms()
        if view.state is GateState.OPEN:
            return campaigns.open_again(connection, campaign.name, now, seen=view.changes)
        wait = NEVER if view.wait_ms == float("inf") else now + math.ceil(view.wait_ms)
        told = Condition(
            view.state.value, view.reason, now, wait, view.failures, status=view.status
        )
        return campaigns.close(connection, campaign.name, now, told)

    # ------------------------------------------------------------------ probes

    def claim_probe(self, campaign: Campaign) -> bool:
        """Whether this worker may probe; on SQLite, where it is alone, always."""
        if self._database.is_sqlite or self._gates[campaign.name].probes > 1:
            return True
        now = self._database.now_ms()
        until = _over(campaign, now)
        with self._database.write() as connection:
            claimed = campaigns.claim_probe(connection, campaign.name, now, until)
            found = None if claimed else campaigns.condition(connection, campaign.name)
        if claimed:
            self._probes[campaign.name] = until
        elif found is not None:
            self._heed(campaign, self._gates[campaign.name], found, now)
        return claimed

    def keep_probe(self, campaign: Campaign) -> None:
        """A probe makes one more call, with a part of its batch, and keeps its place meanwhile.

        Else another worker would try the campaign beside it, and what that is told could keep the
        parts from being asked.
        """
        if self._database.is_sqlite:
            return
        until = _over(campaign, self._database.now_ms())
        try:
            with self._database.write() as connection:
                campaigns.keep_probe(connection, campaign.name, until)
            self._probes[campaign.name] = until
        except StoreError as error:
            log.warning("probe not kept", campaign=campaign.name, error=str(error))

    def release_probe(self, campaign: Campaign) -> None:
        """Give a probe back that had nothing to send, or whose answers say nothing of the campaign;
        not that of another worker, which may have it since this one's call has failed."""
        until = self._probes.pop(campaign.name, None)
        if until is None:
            return
        with self._database.write() as connection:
            campaigns.release_probe(connection, campaign.name, until)


def _over(campaign: Campaign, now: int) -> int:
    """When a call that begins now is over, however slow its answer."""
    tokens = 1 if campaign.token is None else len(campaign.token.values)
    return now + round(campaign.timeout_s * 1000 * tokens) + 2000


def _token(campaign: Campaign) -> Token:
    return campaign.url, "" if campaign.token is None else campaign.token.name


def _log_condition(name: str, view: GateView) -> None:
    write = log.info if view.state is GateState.OPEN else log.warning
    write("campaign condition", campaign=name, condition=view.state, reason=view.reason)


def _log_pause(name: str, pause: Pause | None) -> None:
    if pause is None:
        log.info("campaign resumed by hand", campaign=name)
    else:
        log.warning(
            "campaign paused by hand",
            campaign=name,
            actor=pause.actor,
            reason=pause.reason,
            opt_outs="held" if pause.holds_opt_outs else "go on",
        )
