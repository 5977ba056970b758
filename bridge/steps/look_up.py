"""Events that lack what only their CRM knows are completed by its records."""

from __future__ import annotations

import sys
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from bridge import logs
from bridge.enrich import Lookups
from bridge.errors import LookupFailed, StoreBusy, StoreChanged
from bridge.map import MappingSet, SourceMapping
from bridge.model import Delivery, Event, Found, Lane, Mapped, State, Wanted
from bridge.record.outcome_lines import log_new
from bridge.steps.clue import keep_clues
from bridge.steps.equipment import Bounds, Equipment
from bridge.steps.events import Ready, events_of, map_event, unreadable
from bridge.steps.memory import Memory
from bridge.steps.new_outcomes import add_erasures, add_outcomes
from bridge.steps.pairing import paired
from bridge.steps.spared import without_records
from bridge.steps.waking import bells_for
from bridge.store import deliveries, events, outcomes
from bridge.store.counters import Counted

log = logs.get("look up")

ROUND = 100
"""Events in a round that has no opt-out, so that one which comes meanwhile waits for little."""

ROUND_S = 2.0
"""For how long a round's calls may take at their pace, about: what came first is not kept from
going out until the last has been asked for, which takes a minute where each id takes a call."""

LEAST = 16
"""Events in any round, as many as are due, so that calls may go out several at once."""

Item = tuple[events.PendingEvent, Delivery, Event]
Answers = Mapping[int, Sequence[tuple[str, Found | LookupFailed]]]


def look_up(equipment: Equipment, source: str, lookups: Lookups) -> int:
    """Complete events of a source; returns how many were due. Errors: ``StoreBusy``.

    While webhooks flood in, it rests, and looks from time to time for an opt-out among them. Where
    there is always one, the others have a round of their own every few seconds.
    """
    way, patience = equipment.database.right_of_way, equipment.looking_up[source]
    # here rather than with the claim: what comes meanwhile may be an opt-out, and goes ahead
    for resting in way.rests(patience):
        lanes = (Lane.OPT_OUT,) if resting else (Lane.OPT_OUT, Lane.FIRST)
        due, lane = _round(equipment, source, lookups, lanes)
        others = not resting and lane is not Lane.OPT_OUT
        if lane is Lane.OPT_OUT and way.at_an_end(patience):
            due += _round(equipment, source, lookups, (Lane.FIRST,))[0]
            others = True
        if others:
            patience.over()
        if due:
            return due
    return 0


def _round(
    equipment: Equipment, source: str, lookups: Lookups, lanes: Sequence[Lane]
) -> tuple[int, Lane | None]:
    """Look up events of the first of these lanes that has any; how many, and which lane it is."""
    current = equipment.mappings()
    mapping = current.mappings.get(source)
    if mapping is None or not mapping.source.configured:
        return 0, None
    # an edit may have come while others went first: what is asked and what reads it go together
    lookups.replace(mapping.lookups)
    now = equipment.database.now_ms()
    until = now + equipment.bounds.lease
    due = _claimed(equipment, mapping, now, until, lanes)
    if not due:
        return 0, None
    with equipment.holds.during([item.id for item in due], until):
        _look_up(equipment, _items(equipment, due, mapping), lookups, mapping, current)
    return len(due), due[0].lane


def _look_up(
    equipment: Equipment,
    items: Sequence[Item],
    lookups: Lookups,
    mapping: SourceMapping,
    current: MappingSet,
) -> None:
    wanted = {
        item.id: [
            replace(one, not_before=delivery.received_at)
            for one in _wanted(mapping, delivery, event)
        ]
        for item, delivery, event in items
    }
    asked = [one for item, _, _ in items for one in wanted[item.id]]
    answers = iter(lookups.resolve(asked, time.monotonic))
    found = {i: [(one.lookup, next(answers)) for one in ones] for i, ones in wanted.items()}
    try:
        _complete(equipment, items, found, mapping, current)
    except StoreBusy:
        raise
    except StoreChanged:
        for item in items:
            _complete_alone(equipment, item, found, mapping, current)
    except Exception:
        receipts = logs.few(row.receipt for _, row, _ in items)
        log.exception("events not completed together", receipts=receipts, events=len(items))
        for item in items:
            _complete_alone(equipment, item, found, mapping, current)


def _claimed(
    equipment: Equipment, mapping: SourceMapping, now: int, until: int, lanes: Sequence[Lane]
) -> list[events.PendingEvent]:
    """Events that are due, claimed; ``Holds`` renews that while their look-up lasts."""
    most = min(equipment.bounds.batch, _paced(mapping))
    limits = {lane: most if lane is Lane.OPT_OUT else min(most, ROUND) for lane in lanes}
    with equipment.database.write(urgent=True) as connection:
        return events.claim_pending(
            connection, mapping.source.name, now, limits=limits, until=until
        )


def _paced(mapping: SourceMapping) -> int:
    """How many ids the slowest look-up asks for in ``ROUND_S``."""
    paces = [one.rate_per_s * (1 if one.single else one.size) for one in mapping.lookups.values()]
    return max(LEAST, int(ROUND_S * min(paces))) if paces else sys.maxsize


def _items(
    equipment: Equipment, due: Sequence[events.PendingEvent], mapping: SourceMapping
) -> list[Item]:
    with equipment.database.read() as connection:
        rows = deliveries.by_ids(connection, (item.delivery_id for item in due))
    split = {
        row.id: {event.ordinal: event for event in events_of(row, mapping, equipment.bounds)}
        for row in rows.values()
    }
    edited = {item.delivery_id for item in due if not _same(item, split[item.delivery_id])}
    for number, keys in _stored(equipment, edited).items():
        split[number] = paired(keys, split[number].values(), strictly=True)
    return [
        (item, rows[item.delivery_id], _event(item, rows[item.delivery_id], split)) for item in due
    ]


def _stored(equipment: Equipment, edited: Collection[int]) -> dict[int, dict[int, str]]:
    """The keys of the events of these deliveries, by delivery and place."""
    stored: dict[int, dict[int, str]] = {number: {} for number in edited}
    if edited:
        with equipment.database.read() as connection:
            for one in events.of_deliveries(connection, sorted(edited)):
                stored[one.delivery_id][one.ordinal] = one.key
    return stored


def _same(item: events.PendingEvent, split: Mapping[int, Event]) -> bool:
    event = split.get(item.ordinal)
    return event is not None and event.key == item.key


def _event(
    item: events.PendingEvent, delivery: Delivery, split: Mapping[int, Mapping[int, Event]]
) -> Event:
    """The event as the mapping in force gives it, which may be another than took it in."""
    event = split[item.delivery_id].get(item.ordinal)
    if event is not None and (event.key == item.key or event.time_ms == item.time or event.problem):
        return event
    whole = next(iter(split[item.delivery_id].values()), None)
    why = whole.problem if whole is not None and len(split[item.delivery_id]) == 1 else None
    return unreadable(delivery, why or "the mapping no longer gives this event", item.ordinal)


def _wanted(mapping: SourceMapping, delivery: Delivery, event: Event) -> tuple[Wanted, ...]:
    try:
        return mapping.wants(event)
    except Exception:
        log.exception("look-ups not known", receipt=delivery.receipt, ordinal=event.ordinal)
        return ()


def _complete_alone(
    equipment: Equipment, item: Item, found: Answers, mapping: SourceMapping, current: MappingSet
) -> None:
    """Complete one event by itself; if even that fails, it is dead and stops nobody."""
    pending, delivery, _ = item
    try:
        _complete_now(equipment, [item], found, mapping, current)
    except StoreBusy:
        raise
    except Exception as error:
        log.exception("event not completed", receipt=delivery.receipt, ordinal=pending.ordinal)
        fault = f"an unexpected fault while storing its updates ({type(error).__name__})"
        dead = (pending, delivery, unreadable(delivery, fault, pending.ordinal))
        _complete_now(equipment, [dead], {pending.id: []}, mapping, current)


def _complete_now(
    equipment: Equipment,
    items: Sequence[Item],
    found: Answers,
    mapping: SourceMapping,
    current: MappingSet,
) -> None:
    """Complete, however often others learn of the same contacts meanwhile."""
    while True:
        try:
            _complete(equipment, items, found, mapping, current)
        except StoreChanged:
            continue
        return


def _complete(
    equipment: Equipment,
    items: Sequence[Item],
    found: Answers,
    mapping: SourceMapping,
    current: MappingSet,
) -> None:
    now = equipment.database.now_ms()
    with equipment.database.read() as connection:
        memory = Memory.recall(connection, ((row.source, event) for _, row, event in items))
    known: list[tuple[int, Ready]] = []
    later: list[tuple[int, int, str]] = []
    early: list[tuple[int, Ready]] = []
    for item, delivery, event in items:
        whole = (item, delivery, event)
        made = _mapped(equipment.bounds, whole, found[item.id], mapping, memory, now=now)
        if isinstance(made, Mapped):
            known.append((item.id, Ready(delivery, event, made, mapping.version)))
        else:
            later.append((item.id, now + made[0], made[1]))
            at_once = _opt_outs(whole, found[item.id], mapping, memory)
            if at_once.updates:
                early.append((item.id, Ready(delivery, event, at_once, mapping.version)))
    with equipment.database.write(urgent=True) as connection:
        taken = events.take(connection, [event_id for event_id, _ in known])
        events.postpone(connection, later)
        events.hurry(connection, [event_id for event_id, _ in early])
        mine = [(event_id, item) for event_id, item in known if event_id in taken] + early
        have = outcomes.of_events(connection, [event_id for event_id, _ in mine])
        rows = add_outcomes(connection, without(mine, have), current.campaigns, now)
        keep_clues(connection, mine)
        add_erasures(connection, [one for one in known if one[0] in taken], now)
        memory.keep(connection, now)
    equipment.counts.add(Counted.LOOKED_UP, mapping.source.name, count=len(taken))
    equipment.counts.add(Counted.PUT_OFF, mapping.source.name, count=len(later))
    if later:
        waits = {event_id for event_id, _, _ in later}
        log.warning(
            "look-ups postponed",
            receipts=logs.few(row.receipt for item, row, _ in items if item.id in waits),
            source=mapping.source.name,
            events=len(later),
            reason=later[0][2],
        )
    log_new(rows)
    equipment.ring(bells_for(rows, current.campaigns))


def _mapped(
    bounds: Bounds,
    item: Item,
    answers: Sequence[tuple[str, Found | LookupFailed]],
    mapping: SourceMapping,
    memory: Memory,
    *,
    now: int,
) -> Mapped | tuple[int, str]:
    """What the mapping makes of a completed event; or how long to wait (ms), and why."""
    pending, delivery, event = item
    age = now - delivery.received_at
    failed = {name: answer for name, answer in answers if isinstance(answer, LookupFailed)}
    if failed:
        spared = None if pending.lane is Lane.OPT_OUT else mapping.patience(failed)
        left = None if spared is None else round(spared * 1000) - age
        if left is not None and left <= 0:
            made = without_records(delivery, event, mapping, dict(answers), memory)
            if made is not None:
                return made
        answer = next(iter(failed.values()))
        # an opt-out is not given up on, however long its CRM does not answer
        stays = pending.lane is Lane.OPT_OUT or mapping.undecided(event)
        if stays or age < bounds.lookup_give_up:
            pause = _pause(bounds, pending.tries, answer.retry_after_s)
            return (min(pause, left) if left is not None and left > 0 else pause), str(answer)
        return Mapped(state=State.DEAD, reason=f"the look-up failed: {answer}")
    records = {name: answer for name, answer in answers if isinstance(answer, Found)}
    mapped = map_event(delivery, event, mapping, records, memory)
    lacking = {name: answer for name, answer in records.items() if answer.missing}
    some = pending.lane is Lane.OPT_OUT and any(answer.records for answer in lacking.values())
    if lacking and age < bounds.lookup_settle and _open(event, mapped, mapping, lacking, some=some):
        return _pause(bounds, pending.tries + 2, None), "the CRM does not know the record yet"
    return mapped


def _open(
    event: Event,
    mapped: Mapped,
    mapping: SourceMapping,
    lacking: Collection[str],
    *,
    some: bool,
) -> bool:
    """Whether a record that comes yet could make an opt-out of an event, or anything at all.

    An opt-out that only reaches the numbers of others, over links, lacks its own. ``some``: of
    several contacts the records of some came, and an opt-out goes out to these meanwhile.
    """
    if some and mapped.opts_out is True:
        return True
    if any(update.opts_out and update.phone in mapped.phones for update in mapped.updates):
        return False
    return not mapped.updates or mapped.opts_out is True or mapping.undecided(event, lacking)


def _opt_outs(
    item: Item,
    answers: Sequence[tuple[str, Found | LookupFailed]],
    mapping: SourceMapping,
    memory: Memory,
) -> Mapped:
    """What can be said without the answers that lack: the opt-out of numbers that are known.

    Of an event that is no opt-out at first sight only if no answer that lacks could say otherwise.
    One that is an opt-out whatever comes reaches also those whose records came, where it names
    others whose did not.
    """
    pending, delivery, event = item
    records = {name: answer for name, answer in answers if isinstance(answer, Found)}
    if pending.lane is not Lane.OPT_OUT and not _shown(item, records, answers, mapping, memory):
        return Mapped()
    mapped = map_event(delivery, event, mapping, records, memory)
    part = {name: Found(answer.records) for name, answer in answers if name not in records}
    if mapped.opts_out is True and any(one.records for one in part.values()):
        mapped = map_event(delivery, event, mapping, records | part, memory)
    return Mapped(updates=tuple(update for update in mapped.updates if update.opts_out))


def _shown(
    item: Item,
    records: Mapping[str, Found],
    answers: Sequence[tuple[str, Found | LookupFailed]],
    mapping: SourceMapping,
    memory: Memory,
) -> bool:
    """Whether the records that came show an event to be an opt-out."""
    _, delivery, event = item
    lacking = [name for name, _ in answers if name not in records]
    if not records or not lacking or mapping.undecided(event, lacking):
        return False
    try:
        return mapping.apply(event, records, memory.of(delivery.source, event)).opts_out is True
    except Exception:
        log.exception("event not mapped", receipt=delivery.receipt, ordinal=event.ordinal)
        return False


def without(
    known: Sequence[tuple[int, Ready]], have: set[tuple[int, str, str]]
) -> list[tuple[int, Ready]]:
    """The events less the outcomes that they have already."""
    begun = {event_id for event_id, _, _ in have}
    left: list[tuple[int, Ready]] = []
    for event_id, item in known:
        mapped = item.mapped
        if mapped is None or (not mapped.updates and (event_id in begun or mapped.state is None)):
            continue
        updates = tuple(
            one for one in mapped.updates if (event_id, one.campaign, one.phone) not in have
        )
        if updates or not mapped.updates:
            left.append((event_id, replace(item, mapped=replace(mapped, updates=updates))))
    return left


def _pause(bounds: Bounds, tries: int, asked_s: float | None) -> int:
    doubled: int = bounds.backoff_first * 2 ** min(tries, 20)
    return max(min(bounds.backoff_most, doubled), round((asked_s or 0) * 1000))
