"""The way of a webhook: receive → store → enrich → map → forward → record.

The one module that names every stage. The web process receives and stores; a worker takes the
rest in three steps, each of which ends in one transaction, so that it may die anywhere:

* ``take_in``: deliveries that were stored → events, each known by its key → lead updates
* ``look_up``: events that lack a phone number → the CRM's records → lead updates
* ``send``: lead updates that are due → one batch → the reply → outcomes
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from bridge import logs
from bridge.clock import now_ms
from bridge.enrich import Lookups
from bridge.errors import DecodeError, LookupFailed
from bridge.forward import payload
from bridge.forward.client import CampaignClient
from bridge.forward.deliver import deliver
from bridge.map import MappingSet, SourceMapping
from bridge.model import (
    Answered,
    Campaign,
    ContactRef,
    Delivery,
    Event,
    Found,
    Known,
    Lane,
    Mapped,
    Sent,
    State,
)
from bridge.receive.decode import decode
from bridge.record import ledger as ledgers
from bridge.record.decide import Call, Next, Policy, decide
from bridge.record.gate import Gate
from bridge.record.ledger import Plan
from bridge.record.outcome_lines import Line, log_outcomes
from bridge.store import campaigns, contacts, deliveries, events, leads, outcomes
from bridge.store.database import Connection, Database
from bridge.store.leads import Claimable
from bridge.store.schema import NEVER

log = logs.get("pipeline")


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much a step takes at a time, and how long a lead may be held. Times in milliseconds."""

    batch: int
    events: int
    depth: int
    lease: int
    lookup_give_up: int
    lookup_settle: int
    backoff_first: int
    backoff_most: int


@dataclass(frozen=True, slots=True)
class _Ready:
    """An event with what its mapping made of it; ``mapped`` is None while a look-up is due."""

    delivery: Delivery
    event: Event
    mapped: Mapped | None
    version: str
    urgent: bool = False


@dataclass(frozen=True, slots=True)
class _Claimed:
    """A lead of a batch: what was claimed, what is sent for it, and the updates behind that."""

    lead: Claimable
    plan: Plan
    updates: Sequence[outcomes.OpenUpdate]
    sent: Sent

    @property
    def fence(self) -> int:
        return self.lead.fence + 1


class Pipeline:
    """The steps of a worker. ``ring`` is told the campaigns and sources that have new work."""

    def __init__(
        self,
        database: Database,
        mappings: Callable[[], MappingSet],
        *,
        policy: Policy,
        bounds: Bounds,
        owner: str,
        ring: Callable[[Iterable[str]], None],
    ) -> None:
        self.database = database
        self.mappings = mappings
        self.policy = policy
        self.bounds = bounds
        self.owner = owner
        self.ring = ring

    # ------------------------------------------------------------------ take in

    def take_in(self) -> int:
        """Turn stored deliveries into events and lead updates; returns how many were taken."""
        current = self.mappings()
        if not any(campaign.configured for campaign in current.campaigns.values()):
            return 0
        with self.database.read() as connection:
            rows = deliveries.next_stored(connection, ready_sources(current), self.bounds.batch)
        if not rows:
            return 0
        parts = self._split(rows, current)
        memory = self._memory((row.source, event) for row, found in parts for event in found)
        ready = [
            self._prepare(row, event, current.mappings[row.source], memory)
            for row, found in parts
            for event in found
        ]
        self._keep([row for row, _ in parts], ready, memory, current)
        return len(parts)

    def _split(
        self, rows: Sequence[Delivery], current: MappingSet
    ) -> list[tuple[Delivery, list[Event]]]:
        """Deliveries with their events, as many as one transaction should hold."""
        parts: list[tuple[Delivery, list[Event]]] = []
        count = 0
        for row in rows:
            found = self._events_of(row, current.mappings[row.source])
            count += len(found)
            if parts and count > self.bounds.batch:
                break
            parts.append((row, found))
        return parts

    def _events_of(self, delivery: Delivery, mapping: SourceMapping) -> list[Event]:
        try:
            document = decode(mapping.source.decode, delivery.body, max_depth=self.bounds.depth)
            found = mapping.split(document, delivery)
            if len(found) <= self.bounds.events:
                return found
            problem = (
                f"the delivery holds {len(found)} events; {self.bounds.events} are the most "
                "(BRIDGE_MAX_EVENTS)"
            )
        except DecodeError as error:
            problem = f"the body cannot be read: {error}"
        except Exception as error:
            # a fault of ours must not stop the deliveries behind this one
            log.exception("delivery not read", receipt=delivery.receipt)
            problem = f"an unexpected fault while reading the body ({type(error).__name__})"
        return [_unreadable(delivery, problem)]

    def _prepare(
        self, delivery: Delivery, event: Event, mapping: SourceMapping, memory: _Memory
    ) -> _Ready:
        if event.problem is None and mapping.wants(event):
            return _Ready(delivery, event, None, mapping.version, mapping.urgent(event))
        mapped = self._map(delivery, event, mapping, {}, memory)
        return _Ready(delivery, event, mapped, mapping.version)

    def _map(
        self,
        delivery: Delivery,
        event: Event,
        mapping: SourceMapping,
        found: Mapping[str, Found],
        memory: _Memory,
    ) -> Mapped:
        try:
            mapped = mapping.apply(event, found, memory.of(delivery.source, event))
        except Exception as error:
            log.exception("event not mapped", receipt=delivery.receipt, ordinal=event.ordinal)
            name = type(error).__name__
            return Mapped(state=State.DEAD, reason=f"an unexpected fault while mapping ({name})")
        memory.learn(delivery.source, event, mapped)
        return mapped

    def _memory(self, seen: Iterable[tuple[str, Event]]) -> _Memory:
        wanted: dict[str, set[ContactRef]] = {}
        for source, event in seen:
            wanted.setdefault(source, set()).update(event.contacts)
        known: dict[tuple[str, ContactRef], Known] = {}
        with self.database.read() as connection:
            for source, refs in wanted.items():
                if refs:
                    for ref, what in contacts.recall(connection, source, refs).items():
                        known[source, ref] = what
        return _Memory(known)

    def _keep(
        self,
        rows: Sequence[Delivery],
        ready: Sequence[_Ready],
        memory: _Memory,
        current: MappingSet,
    ) -> None:
        """Store events and what they lead to, with the deliveries, in one transaction."""
        now = now_ms()
        versions = {item.delivery.id: item.version for item in ready}
        with self.database.write() as connection:
            taken = deliveries.take(connection, [row.id for row in rows], versions)
            mine = [item for item in ready if item.delivery.id in taken]
            added = events.add(
                connection,
                [
                    events.NewEvent(
                        item.delivery.id,
                        item.delivery.source,
                        item.event,
                        pending=item.mapped is None,
                        urgent=item.urgent,
                        due_at=now if item.mapped is None else NEVER,
                    )
                    for item in mine
                ],
            )
            known: list[tuple[int, _Ready]] = []
            for item in mine:
                place = added[item.delivery.id, item.event.ordinal]
                if place.duplicate_of is not None:
                    copy = Mapped(
                        state=State.DUPLICATE, reason=f"the same as event {place.duplicate_of}"
                    )
                    known.append((place.id, replace(item, mapped=copy)))
                elif item.mapped is not None:
                    known.append((place.id, item))
            lines = self._add_outcomes(connection, known, current.campaigns, now)
            memory.keep(connection, now)
        log_outcomes(lines)
        touched = {line.campaign for line in lines if line.campaign}
        waiting = {item.delivery.source for item in mine if item.mapped is None}
        self.ring(touched | {f"source:{name}" for name in waiting})

    def _add_outcomes(
        self,
        connection: Connection,
        known: Sequence[tuple[int, _Ready]],
        named: Mapping[str, Campaign],
        now: int,
    ) -> list[Line]:
        """Store the outcomes of mapped events and put their leads into their lanes."""
        due = [
            leads.Due(
                update.campaign,
                update.phone,
                Lane.OPT_OUT if update.opts_out else Lane.FIRST,
                now if update.opts_out else now + named[update.campaign].linger_ms,
                item.delivery.received_at,
            )
            for _, item in known
            if item.mapped is not None
            for update in item.mapped.updates
        ]
        ids = leads.schedule(connection, due)
        rows: list[outcomes.NewOutcome] = []
        for event_id, item in known:
            rows += _outcomes_of(event_id, item, ids, now)
        outcomes.add(connection, rows)
        return [Line.of_new(row) for row in rows]

    # ------------------------------------------------------------------ look up

    def look_up(self, source: str, lookups: Lookups) -> int:
        """Complete events of a source by its look-ups; returns how many were due."""
        current = self.mappings()
        mapping = current.mappings.get(source)
        if mapping is None or not mapping.source.configured:
            return 0
        now = now_ms()
        with self.database.read() as connection:
            due = events.next_pending(connection, source, now, self.bounds.batch)
            rows = deliveries.by_ids(connection, (item.delivery_id for item in due))
        if not due:
            return 0
        split: dict[int, dict[int, Event]] = {}
        for row in rows.values():
            split[row.id] = {event.ordinal: event for event in self._events_of(row, mapping)}
        items = [
            (
                item,
                rows[item.delivery_id],
                split[item.delivery_id].get(item.ordinal)
                or _unreadable(rows[item.delivery_id], "the mapping no longer gives this event"),
            )
            for item in due
        ]
        asked = [(item, mapping.wants(event)) for item, _, event in items]
        answers = iter(lookups.resolve([w for _, ws in asked for w in ws], time.monotonic))
        found = {item.id: [(wanted.lookup, next(answers)) for wanted in ws] for item, ws in asked}
        self._complete(items, found, mapping, current)
        return len(due)

    def _complete(
        self,
        items: Sequence[tuple[events.PendingEvent, Delivery, Event]],
        found: Mapping[int, Sequence[tuple[str, Found | LookupFailed]]],
        mapping: SourceMapping,
        current: MappingSet,
    ) -> None:
        now = now_ms()
        memory = self._memory((delivery.source, event) for _, delivery, event in items)
        known: list[tuple[int, _Ready]] = []
        later: list[tuple[int, int, str]] = []
        for item, delivery, event in items:
            failed = [a for _, a in found[item.id] if isinstance(a, LookupFailed)]
            if failed and now - delivery.received_at < self.bounds.lookup_give_up:
                later.append((item.id, now + self._pause(item.tries, failed[0]), str(failed[0])))
                continue
            if failed:
                mapped = Mapped(state=State.DEAD, reason=f"the look-up failed: {failed[0]}")
            else:
                records = {n: a for n, a in found[item.id] if isinstance(a, Found)}
                mapped = self._map(delivery, event, mapping, records, memory)
                young = now - delivery.received_at < self.bounds.lookup_settle
                if young and mapped.state is State.SKIPPED and _lacks(records):
                    why = "the CRM does not know the record yet"
                    later.append((item.id, now + self._pause(item.tries + 2, None), why))
                    continue
            known.append((item.id, _Ready(delivery, event, mapped, mapping.version)))
        with self.database.write() as connection:
            taken = events.take(connection, [event_id for event_id, _ in known])
            events.postpone(connection, later)
            mine = [(event_id, item) for event_id, item in known if event_id in taken]
            lines = self._add_outcomes(connection, mine, current.campaigns, now)
            memory.keep(connection, now)
        for _, _, why in later[:1]:
            log.warning("look-ups postponed", events=len(later), reason=why)
        log_outcomes(lines)
        self.ring({line.campaign for line in lines if line.campaign})

    def _pause(self, tries: int, failed: LookupFailed | None) -> int:
        doubled: int = self.bounds.backoff_first * 2 ** min(tries, 20)
        asked = (failed.retry_after_s or 0) if failed is not None else 0
        return max(min(self.bounds.backoff_most, doubled), int(asked * 1000))

    # ------------------------------------------------------------------ send

    def send(
        self,
        campaign: Campaign,
        lane: Lane,
        client: CampaignClient,
        gate: Gate,
        pace: Callable[[], bool],
    ) -> int:
        """Send one batch of a lane; returns how many leads were claimed."""
        claimed, leads_seen = self._claim(campaign, lane)
        if not claimed:
            gate.unused()
            return leads_seen
        started_at, started = now_ms(), time.monotonic()
        answered = deliver(
            [item.sent for item in claimed],
            lambda batch: self._note(campaign, gate, client.update_leads(campaign, batch)),
            deadline=started + self.bounds.lease / 1000 - campaign.timeout_s,
            pace=pace,
        )
        self._record(campaign, claimed, answered, started_at)
        return leads_seen

    def _claim(self, campaign: Campaign, lane: Lane) -> tuple[list[_Claimed], int]:
        """Take leads under lease, settle what needs no call, and commit before anything is sent."""
        now = now_ms()
        settled: list[outcomes.Decision] = []
        settled_lines: list[Line] = []
        idle: list[leads.Released] = []
        claimed: list[_Claimed] = []
        taken: list[tuple[int, dict[str, object], bool]] = []
        size = 0
        with self.database.write() as connection:
            rows = leads.claimable(connection, campaign.name, lane, now, campaign.batch_size)
            waiting = outcomes.open_updates(connection, [row.id for row in rows])
            for row in rows:
                updates = waiting.get(row.id, [])
                plan = ledgers.plan(
                    row.ledger,
                    updates,
                    all_known=campaign.custom_fields == "all_known",
                    alone=row.bare,
                    reassert=row.reassert,
                )
                sent = Sent(row.id, row.phone, payload.element(campaign, row.phone, plan.payload))
                size += payload.size(sent.payload)
                if claimed and size > campaign.batch_bytes:
                    break
                for update in updates:
                    if update.id in plan.settled:
                        state, why = plan.settled[update.id]
                        settled.append(
                            outcomes.Decision(update.id, state, why, update.doubtful, update.tries)
                        )
                        settled_lines.append(
                            Line.of_update(update, (campaign.name, row.phone), state, why, now)
                        )
                if plan.carried or plan.reasserts:
                    claimed.append(_Claimed(row, plan, updates, sent))
                    taken.append(
                        (row.id, ledgers.write(plan.ledger), ledgers.opted_out(plan.ledger))
                    )
                else:
                    idle.append(_idle(row, plan))
            outcomes.decide(connection, settled, now)
            leads.release(connection, idle)
            leads.claim(connection, taken, owner=self.owner, until=now + self.bounds.lease)
            outcomes.in_flight(connection, [i for item in claimed for i in item.plan.carried])
        log_outcomes(settled_lines)
        return claimed, len(claimed) + len(idle)

    def _note(self, campaign: Campaign, gate: Gate, answered: Answered) -> Answered:
        """Tell the campaign's gate how the call went, and note a change for the operator."""
        now = time.monotonic() * 1000
        if answered.trouble is None:
            changed = gate.succeeded()
        else:
            changed = gate.failed(answered.trouble, answered.detail, answered.retry_after_s, now)
        if not changed:
            return answered
        view = gate.view(now)
        log.warning(
            "campaign condition", campaign=campaign.name, condition=view.state, reason=view.reason
        )
        with self.database.write() as connection:
            at = now_ms()
            campaigns.set_condition(
                connection,
                campaign.name,
                campaign.id,
                campaigns.Condition(
                    view.state.value, view.reason, at, at + view.wait_ms, view.failures
                ),
            )
        return answered

    def _record(
        self,
        campaign: Campaign,
        claimed: Sequence[_Claimed],
        answered: Answered,
        started_at: int,
    ) -> None:
        """Turn results into outcomes, under the fence of the claim."""
        now = now_ms()
        decisions: list[outcomes.Decision] = []
        released: list[leads.Released] = []
        lines: list[Line] = []
        with self.database.write() as connection:
            held = leads.held(connection, {item.lead.id: item.fence for item in claimed})
            batch_id = outcomes.add_batch(
                connection,
                campaign=campaign.name,
                started_at=started_at,
                elapsed_ms=answered.elapsed_ms,
                leads=len(claimed),
                calls=answered.calls,
                status=answered.status,
                trouble=answered.trouble.value if answered.trouble else None,
                detail=answered.detail,
            )
            for item, result in zip(claimed, answered.results, strict=True):
                if item.lead.id not in held:
                    log.warning("lease lost before the result", campaign=campaign.name)
                    continue
                call = Call(
                    item.lead, item.plan, item.updates, result, answered.trouble, batch_id, now
                )
                step = decide(call, self.policy)
                decisions += step.decisions
                released.append(_released(item.lead.id, step, *held[item.lead.id]))
                lines += _lines(item, step, campaign.name, now)
            outcomes.decide(connection, decisions, now)
            leads.release(connection, released)
        log_outcomes(lines)

    # ------------------------------------------------------------------ recover

    def recover(self, expired_before: int) -> int:
        """Free leads whose worker is gone; what was in flight is doubtful from now on."""
        now = now_ms()
        with self.database.write() as connection:
            ids = leads.recover(connection, expired_before=expired_before, now=now)
            if ids:
                opt_outs = outcomes.doubt(connection, ids)
                leads.promote(connection, opt_outs, Lane.OPT_OUT, now)
        if ids:
            log.warning("leads freed from a lost worker", leads=len(ids))
        return len(ids)


def ready_sources(current: MappingSet) -> list[str]:
    """The sources whose deliveries can be worked on: those that are configured."""
    return [name for name, m in current.mappings.items() if m.source.configured]


class _Memory:
    """What is known of contacts while a step runs: what was remembered, and what it learns."""

    def __init__(self, known: dict[tuple[str, ContactRef], Known]) -> None:
        self._known = known
        self._learned: dict[str, dict[ContactRef, tuple[tuple[str, ...], bool | None, int]]] = {}

    def of(self, source: str, event: Event) -> Known:
        """What is known of all contacts of an event together."""
        all_known = [self._known.get((source, ref), Known()) for ref in event.contacts]
        phones = tuple(dict.fromkeys(phone for known in all_known for phone in known.phones))
        return Known(phones, any(known.opted_out for known in all_known))

    def learn(self, source: str, event: Event, mapped: Mapped) -> None:
        """Add what an event says of its contacts."""
        if not mapped.phones and mapped.opts_out is None:
            return
        learned = self._learned.setdefault(source, {})
        for ref in event.contacts:
            phones, consent, when = learned.get(ref, ((), None, 0))
            phones = tuple(dict.fromkeys((*mapped.phones, *phones)))
            if mapped.opts_out is not None and (
                consent is None
                or event.time_ms > when
                or (event.time_ms == when and mapped.opts_out)
            ):
                consent, when = mapped.opts_out, event.time_ms
            learned[ref] = (phones, consent, when)
            known = self._known.get((source, ref), Known())
            self._known[source, ref] = Known(
                tuple(dict.fromkeys((*phones, *known.phones))),
                known.opted_out if consent is None else consent,
            )

    def keep(self, connection: Connection, now: int) -> None:
        """Store what was learned."""
        for source, seen in sorted(self._learned.items()):
            contacts.remember(connection, source, seen, now)


def _lacks(records: Mapping[str, Found]) -> bool:
    return any(found.missing for found in records.values())


def _unreadable(delivery: Delivery, problem: str) -> Event:
    return Event(
        ordinal=0,
        key=f"{delivery.receipt}",
        time_ms=delivery.received_at,
        weak_time=True,
        view={},
        problem=problem,
    )


def _outcomes_of(
    event_id: int, item: _Ready, ids: Mapping[tuple[str, str], int], now: int
) -> list[outcomes.NewOutcome]:
    mapped, event, delivery = item.mapped, item.event, item.delivery
    if mapped is None:
        return []
    bare = outcomes.NewOutcome(
        event_id=event_id,
        delivery_id=delivery.id,
        receipt=delivery.receipt,
        source=delivery.source,
        state=mapped.state or State.WAITING,
        event_time=event.time_ms,
        key=event.key,
        version=item.version,
        accepted_at=delivery.received_at,
        message=mapped.reason,
        rules=tuple(trace.rule for trace in mapped.trace if trace.fired),
        decided_at=now,
    )
    if not mapped.updates:
        return [bare]
    return [
        replace(
            bare,
            state=State.WAITING,
            campaign=update.campaign,
            phone=update.phone,
            lead_id=ids[update.campaign, update.phone],
            fields=dict(update.fields),
            opts_out=update.opts_out,
            rules=update.rules,
            message="; ".join(update.notes),
            decided_at=None,
        )
        for update in mapped.updates
    ]


def _idle(row: Claimable, plan: Plan) -> leads.Released:
    return leads.Released(
        id=row.id,
        lane=Lane.IDLE,
        due_at=NEVER,
        ledger=ledgers.write(plan.ledger),
        opted_out=ledgers.opted_out(plan.ledger),
        tries=0,
        standing_tries=row.standing_tries,
        bare=False,
    )


def _released(lead_id: int, step: Next, lane: Lane, due_at: int) -> leads.Released:
    """Where a lead stands after a call; ``lane`` and ``due_at`` are what arrived meanwhile."""
    following = NEVER if step.due_at is None else step.due_at
    return leads.Released(
        id=lead_id,
        lane=min(lane, step.lane),
        due_at=min(due_at, following),
        ledger=ledgers.write(step.ledger),
        opted_out=ledgers.opted_out(step.ledger),
        tries=step.tries,
        standing_tries=step.standing_tries,
        bare=step.bare,
        reassert=step.reassert,
    )


def _lines(item: _Claimed, step: Next, campaign: str, now: int) -> list[Line]:
    by_id = {update.id: update for update in item.updates}
    return [
        Line.of_update(by_id[made.id], (campaign, item.lead.phone), made.state, made.message, now)
        for made in step.decisions
    ]
