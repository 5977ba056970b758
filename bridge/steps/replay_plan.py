"""What a replay would do, before it does anything: counts, and the difference field by field.

Nothing is written, and no CRM is asked unless a desk for look-ups is handed in.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from bridge.map import MappingSet
from bridge.map.difference import Difference, Place, compare, updates_of
from bridge.model import Json, LeadUpdate, Mapped, State
from bridge.record import ledger as ledgers
from bridge.record.ledger import MARK
from bridge.steps.equipment import Bounds
from bridge.steps.events import map_event
from bridge.steps.memory import Memory
from bridge.steps.replay_choice import Choice
from bridge.steps.replay_events import Again, read_slice
from bridge.steps.replay_limits import limited
from bridge.steps.replay_lookups import Desk, failure, reason, records
from bridge.steps.replay_select import Scan, Selection, begin, pages
from bridge.store import ledgers as stored_ledgers
from bridge.store.database import Database
from bridge.store.history import Earlier
from bridge.store.outcomes import OpenUpdate
from bridge.store.replays import Item

AT_A_TIME = 50
"""Deliveries that are mapped together."""

MOST_PROBLEMS = 200
"""Distinct reasons that are counted apart."""

Progress = Callable[[float, int], None]
"""Told how much of the selection was looked at (0 to 1), and how many deliveries were chosen."""


@dataclass(frozen=True, slots=True)
class Wish:
    """How a replay is to go: by which mapping, and whether marks travel."""

    mapping: str
    marks: bool = False


@dataclass(slots=True)
class Plan:
    """What a replay would do.

    ``events`` counts what would become of events, ``updates`` what of lead updates as things
    stand: ``to_send``, or the state in which they would end without being sent. ``look_ups``:
    events of which only their CRM's answer will tell. ``failed``: for each source why it was asked
    for some of them in vain. ``problems``: why events would be dead.
    """

    difference: Difference
    deliveries: int = 0
    passed_over: int = 0
    look_ups: int = 0
    opt_outs: int = 0
    marks: int = 0
    events: Counter[str] = field(default_factory=Counter)
    updates: Counter[str] = field(default_factory=Counter)
    problems: Counter[str] = field(default_factory=Counter)
    versions: Counter[str] = field(default_factory=Counter)
    failed: dict[str, Counter[str]] = field(default_factory=dict)

    def as_json(self) -> dict[str, Json]:
        """The plan as an object."""
        return {
            "deliveries": self.deliveries,
            "on_their_way": self.passed_over,
            "events": dict(self.events),
            "look_ups": self.look_ups,
            "updates": dict(self.updates),
            "opt_outs": self.opt_outs,
            "marks": self.marks,
            "versions": dict(self.versions),
            "problems": dict(self.problems.most_common(20)),
            "leads": dict(self.difference.leads),
            "fields": dict(self.difference.fields),
            "events_that_differ": self.difference.different,
            "examples": self.difference.examples,
        }


@dataclass(frozen=True, slots=True)
class Planner:
    """Makes plans. ``desk`` None: no CRM is asked. ``examples``: how many differences are shown."""

    database: Database
    current: MappingSet
    choice: Choice
    bounds: Bounds
    examples: int = 20
    desk: Desk | None = None

    def plan(self, selection: Selection, wish: Wish, progress: Progress | None = None) -> Plan:
        """The plan of a replay. Errors: ``StoreError``."""
        made = Plan(Difference(self.examples))
        seen: set[tuple[str, int | None]] = set()
        with self.database.read() as connection:
            scan = begin(connection, selection)
        for items, after in pages(self.database, selection, scan):
            for some in _parts(_unseen(items, seen)):
                self._add(made, some, selection, wish)
            if progress is not None:
                progress(share(selection, scan, after), made.deliveries)
        return made

    def _add(self, made: Plan, items: Sequence[Item], selection: Selection, wish: Wish) -> None:
        left = list(items)
        while left:
            with self.database.read() as connection:
                part = read_slice(
                    connection,
                    left,
                    choice=self.choice,
                    wanted=wish.mapping,
                    current=self.current,
                    bounds=self.bounds,
                )
            # between two transactions: a CRM may take its time
            done = [
                (again, _limited(again, mapped, self.current, selection, wish))
                for again, mapped in self._completed(made, part.agains, part.memory)
            ]
            with self.database.read() as connection:
                stored = stored_ledgers.ledgers(
                    connection,
                    (
                        (update.campaign, update.phone)
                        for _, mapped in done
                        if mapped is not None
                        for update in mapped.updates
                    ),
                )
            made.deliveries += len(part.items)
            made.passed_over += part.passed_over
            for again, mapped in done:
                _count(made, again, mapped, stored, selection)
            left = left[len(part.items) :]

    def _completed(
        self, plan: Plan, agains: Sequence[Again], memory: Memory
    ) -> list[tuple[Again, Mapped | None]]:
        asking = [a for a in agains if a.ready.mapped is None and a.mapping is not None]
        if self.desk is None or not asking:
            return [(again, again.ready.mapped) for again in agains]
        answers = self.desk.ask(
            [(a.ready.delivery, a.ready.event, a.mapping) for a in asking if a.mapping is not None]
        )
        made: dict[int, Mapped] = {}
        for again, answer in zip(asking, answers, strict=True):
            ready, failed = again.ready, failure(answer)
            if failed is not None:
                plan.failed.setdefault(ready.delivery.source, Counter())[reason(failed)] += 1
            elif again.mapping is not None:
                made[id(again)] = map_event(
                    ready.delivery, ready.event, again.mapping, records(answer), memory
                )
        return [(again, made.get(id(again), again.ready.mapped)) for again in agains]


def share(selection: Selection, begun: Scan, scan: Scan) -> float:
    """How much of a selection has been looked at, from 0 to 1."""
    if scan.ended:
        return 1.0
    if selection.states:
        within = scan.after_id / max(1, scan.up_to)
        return (scan.part + within) / len(selection.states)
    first, last = _time(begun.after), _time(begun.before)
    if selection.since is None:
        first = max(first, last - 365 * 86_400_000)
    return min(1.0, max(0.0, (_time(scan.after) - first) / max(1, last - first)))


def _time(receipt: str) -> int:
    try:
        return int(receipt[:12], 16)
    except ValueError:
        return 0


def _unseen(items: Sequence[Item], seen: set[tuple[str, int | None]]) -> Iterator[Item]:
    """The items less the events that an earlier page has brought."""
    for item in items:
        if item.ordinals is None:
            yield item
            continue
        new = frozenset(place for place in item.ordinals if (item.receipt, place) not in seen)
        seen.update((item.receipt, place) for place in new)
        if new:
            yield replace(item, ordinals=new)


def _parts(items: Iterator[Item]) -> Iterator[list[Item]]:
    part: list[Item] = []
    for item in items:
        part.append(item)
        if len(part) == AT_A_TIME:
            yield part
            part = []
    if part:
        yield part


def _limited(
    again: Again, mapped: Mapped | None, current: MappingSet, selection: Selection, wish: Wish
) -> Mapped | None:
    if mapped is None:
        return None
    return limited(
        mapped,
        again.earlier,
        named=current.campaigns,
        campaign=selection.campaign,
        marks=wish.marks,
    )


def _count(
    made: Plan,
    again: Again,
    mapped: Mapped | None,
    stored: Mapping[Place, Mapping[str, Any]],
    selection: Selection,
) -> None:
    made.versions[again.ready.version] += 1
    if mapped is None:
        made.look_ups += 1
        made.events["look_up"] += 1
        return
    made.events["updates" if mapped.updates else (mapped.state or State.DEAD).value] += 1
    if mapped.state is State.DEAD:
        known = mapped.reason[:200]
        more = len(made.problems) >= MOST_PROBLEMS and known not in made.problems
        made.problems["others" if more else known] += 1
    for update in mapped.updates:
        state = _expected(again, update, stored.get((update.campaign, update.phone), {}))
        made.updates[state] += 1
        made.opt_outs += update.opts_out and state == "to_send"
        made.marks += MARK in update.fields and state == "to_send"
    before = _sent(again.earlier, selection.campaign)
    changes = list(compare(before, updates_of(mapped)))
    about = {
        "receipt": again.ready.delivery.receipt,
        "source": again.ready.delivery.source,
        "event": again.ready.event.ordinal,
        "was": sorted({one.state.value for one in _newest(again.earlier)}),
        "would_be": "updates" if mapped.updates else (mapped.state or State.DEAD).value,
        "reason": mapped.reason,
    }
    made.difference.add(changes, about)


def _newest(earlier: Sequence[Earlier]) -> list[Earlier]:
    newest: dict[Place, Earlier] = {}
    for one in sorted(earlier, key=lambda one: (one.replay_id, one.id)):
        newest[one.campaign, one.phone] = one
    if len(newest) > 1:
        newest.pop(("", ""), None)
    return list(newest.values())


def _sent(earlier: Sequence[Earlier], campaign: str | None) -> dict[Place, Mapping[str, Json]]:
    """What was asked for last, by campaign and phone number."""
    return {
        (one.campaign, one.phone): one.fields
        for one in _newest(earlier)
        if one.campaign and campaign in (None, one.campaign)
    }


def _expected(again: Again, update: LeadUpdate, stored: Mapping[str, Any]) -> str:
    """``to_send``, or the state in which the update would end now without being sent."""
    ready = again.ready
    row = OpenUpdate(
        id=0,
        lead_id=0,
        state=State.WAITING,
        fields=dict(update.fields),
        opts_out=update.opts_out,
        event_time=update.said_at(ready.event),
        key=ready.event.key,
        doubtful=False,
        tries=0,
        accepted_at=ready.delivery.received_at,
        receipt=ready.delivery.receipt,
        source=ready.delivery.source,
        rules=update.rules,
        message="",
        replay_id=2**62,
    )
    plan = ledgers.plan(stored, [row], all_known=False, alone=False)
    return plan.settled[0][0].value if 0 in plan.settled else "to_send"
