"""The threads of a worker that send: what each of them sends next, and when.

A campaign has ``concurrency`` of them, each of which serves all lanes, opt-outs before everything
else, and one more that is there for opt-outs alone.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

from bridge.bells import Bells
from bridge.clock import seconds_until
from bridge.forward.client import CampaignClient, trusted
from bridge.live import LiveMappings
from bridge.model import Called, Campaign, Lane
from bridge.pipeline import Pipeline
from bridge.record.gate import Gate
from bridge.steps.conditions import HEAR_EVERY_S, Conditions, monotonic_ms
from bridge.steps.send import Way
from bridge.steps.turns import Turns
from bridge.steps.waking import opt_outs_of
from bridge.store import campaigns, leads
from bridge.store.campaigns import Condition
from bridge.store.database import Connection, Database
from bridge.store.schema import NEVER

LOOK_AGAIN_S = 1.0
"""How long at most a thread waits for its turn before it looks again at what has changed."""

Told = tuple[Condition, Called] | None
"""A campaign's condition and as which it was last called; None before its greeting."""


class Sending:
    """What the sending threads of one worker share. ``poll_s``: how long they sleep at most."""

    def __init__(
        self,
        database: Database,
        pipeline: Pipeline,
        live: LiveMappings,
        conditions: Conditions,
        bells: Bells,
        *,
        poll_s: float,
    ) -> None:
        self._database = database
        self._pipeline = pipeline
        self._live = live
        self._conditions = conditions
        self._bells = bells
        self._poll_s = poll_s
        self._trust = trusted()

    def run(self, name: str, number: int) -> None:
        """Send batches of one campaign; ``number`` -1 is the thread for opt-outs alone.

        Returns when the worker stops or the campaign no longer has a thread of that number.
        Errors: ``StoreBusy``.
        """
        client = CampaignClient(self._trust)
        turns = Turns(max(0, number), only_opt_outs=number < 0)
        bells = [name]
        self._bells.hear_instead(opt_outs_of(name), name)
        if turns.only_opt_outs and not self._database.is_sqlite:
            # on SQLite a look costs so little that whoever comes first may go
            bells.append(opt_outs_of(name))
        try:
            while not self._bells.stopping:
                campaign = self._live.current().campaigns.get(name)
                if campaign is None or not campaign.configured or number >= campaign.concurrency:
                    return
                gate = self._conditions.gate(name)
                gate.set_rate(campaign.rate_per_s)
                seen = self._bells.count(*bells)
                due = self._due(campaign, only_opt_outs=turns.only_opt_outs)
                lane = turns.choose(due, self._database.now_ms())
                if lane is Lane.OPT_OUT and gate.others_first(monotonic_ms()):
                    if turns.only_opt_outs:
                        self._bells.sleep(min(self._poll_s, LOOK_AGAIN_S))
                        continue
                    del due[lane]
                    lane = turns.choose(due, self._database.now_ms()) or lane
                if lane is None:
                    until = min(due.values(), default=None)
                    seconds = seconds_until(until, self._database.now_ms(), self._poll_s)
                    self._bells.wait(*bells, seen=seen, seconds=seconds)
                    continue
                pause = gate.try_pass(monotonic_ms(), urgent=lane is Lane.OPT_OUT)
                if pause > 0:
                    self._bells.sleep(min(pause / 1000, self._poll_s, LOOK_AGAIN_S))
                    continue
                self._send_one(campaign, lane, gate, client, turns)
        finally:
            client.close()

    def _send_one(
        self, campaign: Campaign, lane: Lane, gate: Gate, client: CampaignClient, turns: Turns
    ) -> None:
        """Send a batch by a gate that has let this thread through, and those that can follow.

        From here on whatever fails gives the gate its turn back: one that is lost would count as a
        probe that is out for good, and keep the campaign closed to all but opt-outs.
        """
        pace = self._pacer(campaign, gate)
        go_on = partial(self._go_on, campaign, gate, turns)
        way = Way(client, gate, pace, self._conditions.note, go_on)
        probe, sent = False, 0
        try:
            look = lane is not Lane.OPT_OUT and not gate.others_first(monotonic_ms())
            if look and self._opt_out_due(campaign):
                lane = Lane.OPT_OUT
            turns.served(lane)
            if gate.probing:
                probe = self._conditions.claim_probe(campaign)
                if not probe:  # another worker tries it; this one hears how that went
                    gate.unused()
                    if not gate.is_open:
                        self._bells.sleep(min(self._poll_s, HEAR_EVERY_S))
                    return
            sent = self._pipeline.send(campaign, lane, way)
        except BaseException:
            gate.unused()
            raise
        finally:
            # 413, for one, neither opens the campaign nor closes it anew, which would end the probe
            if probe and not (sent and (gate.probes or gate.is_open)):
                self._conditions.release_probe(campaign)

    def _due(self, campaign: Campaign, *, only_opt_outs: bool) -> dict[Lane, int]:
        """When each lane that this thread may serve has its next lead due.

        Nothing is due to a campaign that another worker knows to be out of date. Its condition
        is read last: what is due after a failed call was set free after that had been noted.
        """
        due, found = self._database.ask(partial(_told, campaign.name))
        if found is not None and not found[1].is_that_of(campaign.called):
            return {}
        return self._lanes(campaign, due, found, only_opt_outs=only_opt_outs)

    def _lanes(
        self, campaign: Campaign, due: dict[Lane, int], found: Told, *, only_opt_outs: bool
    ) -> dict[Lane, int]:
        """Of the lanes in which something is due, those that this thread may serve by now."""
        name = campaign.name
        if found is not None:
            self._conditions.look(campaign, found[0])
        return {
            lane: at
            for lane, at in due.items()
            if (lane is Lane.OPT_OUT or not only_opt_outs)
            and not self._conditions.holds(name, lane)
        }

    def _go_on(
        self, campaign: Campaign, gate: Gate, turns: Turns
    ) -> Callable[[Connection], Lane | None] | None:
        """How to find the batch after one that is being recorded; None if things have changed.

        All that may take its time is looked at here, before the transaction begins.
        """
        if self._bells.stopping or self._live.current().campaigns.get(campaign.name) != campaign:
            return None
        return partial(self._next_lane, campaign, gate, turns)

    def _next_lane(
        self, campaign: Campaign, gate: Gate, turns: Turns, connection: Connection
    ) -> Lane | None:
        """The lane whose turn it is, if an open gate lets its call through without a wait."""
        due, found = _told(campaign.name, connection)
        due = self._lanes(campaign, due, found, only_opt_outs=turns.only_opt_outs)
        lane = turns.choose(due, self._database.now_ms())
        if lane is None or gate.try_pass(monotonic_ms(), urgent=lane is Lane.OPT_OUT) > 0:
            return None
        if gate.probing:  # that is asked for in another transaction
            gate.unused()
            return None
        turns.served(lane)
        return lane

    def _opt_out_due(self, campaign: Campaign) -> bool:
        """Whether an opt-out has come while a call waited for its turn."""
        due = self._due(campaign, only_opt_outs=True)
        return due.get(Lane.OPT_OUT, NEVER) <= self._database.now_ms()

    def _pacer(self, campaign: Campaign, gate: Gate) -> Callable[[Lane, float], bool]:
        def pace(lane: Lane, deadline: float) -> bool:
            urgent = lane is Lane.OPT_OUT
            ask = partial(gate.try_pass, urgent=urgent, further=True)
            while (pause := ask(monotonic_ms()) / 1000) > 0:
                if time.monotonic() + pause >= deadline or not self._bells.sleep(pause):
                    return False
            if gate.probing:
                self._conditions.keep_probe(campaign)
            # the process may have slept, perhaps past its lease
            if time.monotonic() >= deadline or self._conditions.holds(campaign.name, lane):
                gate.unused()
                return False
            return True

        return pace


def _told(name: str, connection: Connection) -> tuple[dict[Lane, int], Told]:
    """When each lane of a campaign has its next lead due, and then what was told of it."""
    return leads.next_due(connection, name), campaigns.known(connection, name)
