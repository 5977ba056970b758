"""One step of a replay: some of its deliveries are mapped once more, and stand in the lanes.

They are taken off the replay in the transaction that stores their outcomes. From there on they go
the way of all lead updates: the ledger decides, so that a replay undoes nothing that is newer.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace

from bridge import logs
from bridge.errors import LookupFailed, StoreBusy, StoreChanged
from bridge.map import MappingSet
from bridge.model import Found, Mapped, State
from bridge.record.outcome_lines import log_new
from bridge.steps.equipment import Equipment
from bridge.steps.events import map_event
from bridge.steps.memory import Memory
from bridge.steps.replay_choice import Choice
from bridge.steps.replay_events import Again, Slice, read_slice
from bridge.steps.replay_limits import limited
from bridge.steps.replay_lookups import Desk, failure, records
from bridge.steps.replay_select import Selection
from bridge.steps.replay_store import store, store_alone
from bridge.steps.spared import without_records
from bridge.steps.versions import keep
from bridge.store import history, replays
from bridge.store.outcomes import NewOutcome
from bridge.store.replays import Item, Replay

log = logs.get("replay")

MOST_DELIVERIES = 100
"""Deliveries in one step."""

LEASES = 4
"""For how many leases of a lead a worker may hold a replay: look-ups take their time."""

LOOKUP_TRIES = 5
"""Failed rounds of look-ups, one after the other, before the events concerned end as dead."""

BREATH_MS = 200
"""Pause of a replay that has enough on its way."""

LONGER_BREATH_MS = 2000
"""The same once it has waited before: what is on its way may be held by a pause."""


@dataclass(frozen=True, slots=True)
class Tools:
    """What a worker's thread for replays works with.

    ``open_most``: updates of one replay that may be on their way, before more are added.
    """

    choice: Choice
    desk: Desk
    open_most: int


def step(equipment: Equipment, tools: Tools) -> bool:
    """Do the next part of whatever replay is due; False if none is. Errors: ``StoreBusy``."""
    now = equipment.database.now_ms()
    with equipment.database.read() as connection:
        due = replays.next_due(connection)
    if due is None or due > now:
        return False
    current = equipment.mappings()
    with equipment.database.write() as connection:
        lease = LEASES * equipment.bounds.lease
        replay = replays.claim(connection, owner=equipment.owner, lease_ms=lease, now=now)
    if replay is None:
        return False
    limit = max(1, min(MOST_DELIVERIES, round(replay.rate)))
    with equipment.database.read() as connection:
        under_way = history.open_of_replay(connection, replay.id)
        items = replays.items(connection, replay.id, limit)
        part = read_slice(
            connection,
            items if under_way < tools.open_most else [],
            choice=tools.choice,
            wanted=replay.mapping,
            current=current,
            bounds=equipment.bounds,
        )
    if not items:
        with equipment.database.write() as connection:
            if replays.finish(connection, replay.id, equipment.database.now_ms()):
                log.info("replay done", replay=replay.id, deliveries=replay.deliveries)
        return True
    if under_way >= tools.open_most:
        why = f"{under_way} of its updates are still on their way"
        pause = LONGER_BREATH_MS if replay.trouble else BREATH_MS
        _postpone(equipment, replay, pause, why, replay.tries)
        return True
    _work(equipment, tools, replay, _cut(part, equipment.bounds.batch), current)
    return True


def _cut(part: Slice, most: int) -> Slice:
    """As many deliveries as one transaction should hold, all of them taken in before or none.

    Those that are new get outcomes of the first way; both in one transaction would lock the leads
    in two orders.
    """
    events_of = Counter(again.ready.delivery.id for again in part.agains)
    chosen: list[Item] = []
    count = 0
    for item in part.items:
        count += events_of[item.delivery_id]
        new = item.delivery_id in part.untaken
        if chosen and (count > most or new != (chosen[0].delivery_id in part.untaken)):
            break
        chosen.append(item)
    ids = {item.delivery_id for item in chosen}
    agains = tuple(a for a in part.agains if a.ready.delivery.id in ids)
    return replace(part, items=tuple(chosen), agains=agains)


def _work(
    equipment: Equipment, tools: Tools, replay: Replay, part: Slice, current: MappingSet
) -> None:
    asking = [a for a in part.agains if a.ready.mapped is None and a.mapping is not None]
    answers = tools.desk.ask(
        [(a.ready.delivery, a.ready.event, a.mapping) for a in asking if a.mapping is not None]
    )
    failures = [failed for one in answers if (failed := failure(one)) is not None]
    if failures and replay.tries + 1 < LOOKUP_TRIES:
        asked = max((failed.retry_after_s or 0.0) for failed in failures)
        pause = max(_pause(equipment, replay.tries), round(asked * 1000))
        _postpone(equipment, replay, pause, f"look-ups fail: {failures[0]}", replay.tries + 1)
        return
    found = {id(again): one for again, one in zip(asking, answers, strict=True)}
    done = []
    for again in part.agains:
        if id(again) in found:
            one = found[id(again)]
            mapped = _mapped(again, one, part.memory)
            done.append(replace(again, ready=replace(again.ready, mapped=mapped)))
        else:
            done.append(again)
    part = replace(part, agains=tuple(_limited(again, replay, current) for again in done))
    keep(equipment.database, [a.mapping.kept for a in part.agains if a.mapping is not None])
    rows: list[NewOutcome] = []
    try:
        rows = store(equipment, replay, part, current)
    except StoreBusy:
        raise
    except StoreChanged:
        return  # somebody has learned of the same contacts: they are mapped again in the next step
    except Exception:
        receipts = logs.few(item.receipt for item in part.items)
        log.exception(
            "deliveries not replayed together", receipts=receipts, deliveries=len(part.items)
        )
        with suppress(StoreChanged):  # the first has taught what the others were mapped without
            for item in part.items:
                rows += store_alone(equipment, replay, part, item, current)
    log_new(rows)
    equipment.ring({row.campaign for row in rows if row.campaign})


def _pause(equipment: Equipment, tries: int) -> int:
    bounds = equipment.bounds
    return int(min(bounds.backoff_most, bounds.backoff_first * 2 ** min(tries, 20)))


def _postpone(equipment: Equipment, replay: Replay, pause: int, why: str, tries: int) -> None:
    with equipment.database.write() as connection:
        replays.postpone(
            connection,
            replay.id,
            equipment.owner,
            next_at=equipment.database.now_ms() + pause,
            trouble=why,
            tries=tries,
        )


def _mapped(again: Again, answers: Mapping[str, Found | LookupFailed], memory: Memory) -> Mapped:
    """What the mapping makes of an event whose CRM was asked, and may not have answered."""
    if again.mapping is None:  # pragma: no cover - such an event asks for nothing
        return Mapped(state=State.DEAD, reason="no mapping")
    delivery, event = again.ready.delivery, again.ready.event
    failed = failure(answers)
    if failed is not None and (
        made := without_records(delivery, event, again.mapping, answers, memory)
    ):
        return made
    mapped = map_event(delivery, event, again.mapping, records(answers), memory)
    if failed is None:
        return mapped
    why = f"the look-up failed: {failed}"
    # an opt-out goes to the numbers that are remembered, whatever its CRM says
    opt_outs = tuple(
        replace(one, notes=(*one.notes, why)) for one in mapped.updates if one.opts_out
    )
    return Mapped(updates=opt_outs) if opt_outs else Mapped(state=State.DEAD, reason=why)


def _limited(again: Again, replay: Replay, current: MappingSet) -> Again:
    mapped = again.ready.mapped
    if mapped is None:
        return again
    selection = Selection.from_json(replay.selection)
    kept = limited(
        mapped,
        again.earlier,
        named=current.campaigns,
        campaign=selection.campaign,
        marks=replay.marks,
    )
    return replace(again, ready=replace(again.ready, mapped=kept))
