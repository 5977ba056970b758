"""The way of a webhook: receive → store → enrich → map → forward → record.

The web process receives and stores (``bridge.receive.accept``). A worker takes the rest in three
steps, each of which ends in one transaction, so that it may die anywhere:

* ``take_in``: deliveries that were stored → events, each known by its key → lead updates
* ``look_up``: events that lack a phone number → the CRM's records → lead updates
* ``send``: lead updates that are due → a batch → the reply → outcomes; then the next batch

``replay`` sends deliveries that were mapped before down the same way once more, and ``recover``
puts back what a lost worker held.
"""

from __future__ import annotations

from bridge import logs
from bridge.enrich import LONGEST_WAIT_S, Lookups
from bridge.map import MappingSet
from bridge.model import Campaign, Lane
from bridge.steps import look_up, replay, send, take_in
from bridge.steps.equipment import Equipment
from bridge.steps.replay import Tools
from bridge.steps.send import Way
from bridge.store import events, leads, outcomes, replays
from bridge.store.database import Connection, clock_ms
from bridge.store.schema import NEVER

log = logs.get("pipeline")

SLACK_MS = 60_000
"""How far a clock may be set back without anybody minding."""


class Pipeline:
    """The steps of a worker, in the order of the sentence. Errors of all: ``StoreBusy``."""

    def __init__(self, equipment: Equipment) -> None:
        self._equipment = equipment

    def take_in(self) -> int:
        """Turn stored deliveries into events and lead updates; returns how many were taken."""
        return take_in.take_in(self._equipment)

    def look_up(self, source: str, lookups: Lookups) -> int:
        """Complete events of a source by its look-ups; returns how many were due."""
        return look_up.look_up(self._equipment, source, lookups)

    def send(self, campaign: Campaign, lane: Lane, way: Way) -> int:
        """Send a batch of a lane, and those after it as far as ``way`` goes on.

        Returns how many leads they held.
        """
        return send.send(self._equipment, campaign, lane, way)

    def replay(self, tools: Tools) -> bool:
        """Map some deliveries of a replay once more; False if no replay is due."""
        return replay.step(self._equipment, tools)

    def recover(self, *, all_of_them: bool = False) -> int:
        """Free leads whose lease has ended: their worker is gone. Renew what this one looks up.

        ``all_of_them``: for a worker that knows that it is the only one. What was in flight is
        doubtful from now on. Returns how many leads were freed.
        """
        now = self._equipment.database.now_ms()
        self._equipment.holds.renew(self._equipment.database, now + self._equipment.bounds.lease)
        current = self._equipment.mappings()  # which may write, so not within a transaction
        # urgent: the thread that shows that the worker lives waits for it
        with self._equipment.database.write(urgent=True) as connection:
            ended = NEVER if all_of_them else clock_ms(connection)
            ids = leads.recover(connection, expired_before=ended, now=now)
            if all_of_them:
                events.release_pending(connection, now)
                replays.release_all(connection)
            if ids:
                opt_outs = outcomes.doubt(connection, ids)
                leads.promote(connection, opt_outs, Lane.OPT_OUT, now)
            late = self._sooner(connection, current, now)
        if ids:
            log.warning("leads freed from a lost worker", leads=len(ids))
        if late:
            log.warning("opt-outs that were put off for longer than any may be are due", rows=late)
        return len(ids)

    def _sooner(self, connection: Connection, current: MappingSet, now: int) -> int:
        """Opt-outs that are due later than anything puts one off; how many there were.

        A clock that was ahead, until somebody set it right, must not have them wait for so long.
        """
        bounds, steps = self._equipment.bounds, self._equipment.policy.standing_steps
        asked = max(bounds.backoff_most, round(LONGEST_WAIT_S * 1000), bounds.lease)
        longest = {Lane.OPT_OUT: bounds.backoff_most, Lane.STANDING: max(steps)}
        late = events.sooner(connection, current.mappings, now, within=asked + SLACK_MS)
        for lane, pause in longest.items():
            late += leads.sooner(connection, current.campaigns, lane, now, within=pause + SLACK_MS)
        return late
