"""What two versions of a mapping make of the deliveries that are stored. Nothing is written.

Look-ups bring nothing unless a desk for them is handed in: events that need one are counted and
not compared, since what a CRM answered at the time is not stored.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from bridge.map import SourceMapping
from bridge.map.difference import Difference
from bridge.map.shadow import Seen, Shadow
from bridge.model import Delivery
from bridge.steps.equipment import Bounds
from bridge.steps.events import events_of, map_event, prepare
from bridge.steps.memory import Memory
from bridge.steps.replay_lookups import Desk, failure, reason, records
from bridge.store import deliveries
from bridge.store.database import Database

PAGE = 1000
AT_A_TIME = 50
"""Deliveries whose bodies are in memory together."""


def shadow_stored(
    database: Database,
    before: SourceMapping,
    after: SourceMapping,
    *,
    since: int,
    until: int,
    bounds: Bounds,
    examples: int,
    desk: Desk | None = None,
    progress: Callable[[float, int], None] | None = None,
) -> Shadow:
    """Compare over the deliveries of the mappings' source that were received in a time (ms).

    ``progress`` is told how much was looked at (0 to 1), and how many events were compared.
    Errors: ``StoreError``.
    """
    found = Shadow(Difference(examples))
    source = after.source.name
    last, end = f"{max(0, since):012x}", f"{max(0, until):012x}"
    while True:
        with database.read() as connection:
            heads = deliveries.between(connection, last, end, PAGE)
        mine = [head.id for head in heads if head.source == source]
        for start in range(0, len(mine), AT_A_TIME):
            with database.read() as connection:
                rows = deliveries.by_ids(connection, mine[start : start + AT_A_TIME])
            ordered = [rows[number] for number in sorted(rows)]
            sides = [_seen(database, mapping, ordered, bounds, desk) for mapping in (before, after)]
            failed = [why for _, why in sides]
            found.failed.update({**failed[0], **failed[1]}.values())
            for row, old, new in zip(ordered, *(seen for seen, _ in sides), strict=True):
                found.add({"receipt": row.receipt}, old, new)
        if len(heads) < PAGE:
            return found
        last = heads[-1].receipt
        if progress is not None:
            done = int(last[:12], 16) - since
            progress(done / max(1, until - since), found.events)


def _seen(
    database: Database,
    mapping: SourceMapping,
    rows: Sequence[Delivery],
    bounds: Bounds,
    desk: Desk | None,
) -> tuple[list[list[Seen]], dict[tuple[int, int], str]]:
    """What a mapping makes of some deliveries: their events, in the order of the deliveries.

    Beside them, by delivery and place, why events could not be looked up.
    """
    split = [(row, events_of(row, mapping, bounds)) for row in rows]
    with database.read() as connection:
        memory = Memory.recall(
            connection, ((row.source, event) for row, events in split for event in events)
        )
    ready = [prepare(row, event, mapping, memory) for row, events in split for event in events]
    asking = [one for one in ready if one.mapped is None]
    mapped = {id(one): one.mapped for one in ready}
    failed: dict[tuple[int, int], str] = {}
    if desk is not None and asking:
        answers = desk.ask([(one.delivery, one.event, mapping) for one in asking])
        for one, answer in zip(asking, answers, strict=True):
            if (why := failure(answer)) is not None:
                failed[one.delivery.id, one.event.ordinal] = reason(why)
            else:
                brought = records(answer)
                mapped[id(one)] = map_event(one.delivery, one.event, mapping, brought, memory)
    by_delivery: dict[int, list[Seen]] = {row.id: [] for row in rows}
    for one in ready:
        by_delivery[one.delivery.id].append((one.event, mapped[id(one)]))
    return [by_delivery[row.id] for row in rows], failed
