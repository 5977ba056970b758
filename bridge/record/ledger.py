"""The ledger of one lead in one campaign: per field, the newest value and whose it is.

Event time decides, not arrival. Two events of one field with equal times are ordered by their
keys, which are made from the events themselves, so that every order of arrival gives the same
result; at equal times ``do_not_call: true`` beats ``false``. Of one and the same event, what its
later replay says takes the place of what was said before.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from bridge.model import State

DO_NOT_CALL = "do_not_call"
MARK = "mark_as_unanswered"
CUSTOM = "custom_fields"
_CUSTOM_PREFIX = "custom_fields."
_CAPPED = frozenset({DO_NOT_CALL, MARK})
"""Fields whose time may be another than their event's, see ``_time``."""

Rank = tuple[int, bool, str, int]


class Update(Protocol):
    """What the ledger needs to know of an open lead update."""

    @property
    def id(self) -> int: ...
    @property
    def fields(self) -> Mapping[str, Any]: ...
    @property
    def event_time(self) -> int: ...
    @property
    def accepted_at(self) -> int: ...
    @property
    def received_at(self) -> int | None: ...
    @property
    def replay_id(self) -> int: ...
    @property
    def key(self) -> str: ...
    @property
    def doubtful(self) -> bool: ...
    @property
    def state(self) -> State: ...


class Entry(NamedTuple):
    """The newest value of one field, the event it came from, and whether the API refused it.

    ``replay``: the replay of that event which said so, 0 for its first way.
    """

    value: Any
    time: int
    key: str
    refused: bool = False
    replay: int = 0

    def rank(self, name: str) -> Rank:
        """What is compared: time, then a standing opt-out, then the key, then the replay."""
        return (self.time, name == DO_NOT_CALL and self.value is True, self.key, self.replay)


Ledger = dict[str, Entry]


def read(stored: Mapping[str, Any]) -> Ledger:
    """The ledger from its stored form: field → [value, time, key, refused, replay if any]."""
    return {name: Entry(*row) for name, row in stored.items()}


def write(ledger: Ledger) -> dict[str, Any]:
    """The stored form of a ledger."""
    return {
        name: [entry.value, entry.time, entry.key, entry.refused]
        + ([entry.replay] if entry.replay else [])
        for name, entry in ledger.items()
    }


def opted_out(ledger: Ledger) -> bool:
    """Whether the latch is set: the newest word on this lead is ``do_not_call: true``."""
    entry = ledger.get(DO_NOT_CALL)
    return entry is not None and entry.value is True


@dataclass(slots=True)
class Plan:
    """What is to be done for one lead now.

    ``payload``: fields to send, empty if there is nothing. ``carried``: updates whose result the
    call decides. ``settled``: updates that end without being sent: id → (state, message).
    ``left_out``: carried update → its fields that are not in the payload, and why.
    ``held_back``: how many updates wait for a later call. ``reasserts``: the opt-out goes out
    although no open update asks for it. ``echoes``: it replaces an opt-in, a call of which may
    still be on its way to the API, so it has to be sent once more a little later.
    """

    payload: dict[str, Any]
    carried: tuple[int, ...]
    settled: dict[int, tuple[State, str]]
    left_out: dict[int, str]
    held_back: int
    ledger: Ledger = field(repr=False)
    reasserts: bool = False
    echoes: bool = False


def plan(
    stored: Mapping[str, Any],
    updates: Sequence[Update],
    *,
    all_known: bool,
    alone: bool,
    reassert: bool = False,
    ahead: bool = False,
) -> Plan:
    """Merge the open updates of one lead with its ledger.

    ``all_known``: a payload with custom fields carries every custom field that the ledger knows.
    ``alone``: the API refused the updates together, so send the opt-out by itself, and after it
    one update at a time. ``reassert``: send the opt-out of the ledger even if it is confirmed.
    ``ahead``: where one goes alone, an opt-out that has been tried so goes before the updates too.
    """
    ledger = read(stored)
    consent = ledger.get(DO_NOT_CALL)
    opted_in = consent is not None and consent.value is False
    said = [(update, _flat(update.fields)) for update in updates]
    _merge(ledger, said)
    latch = opted_out(ledger)
    if latch and not opted_in:
        opted_in = any(update.fields.get(DO_NOT_CALL) is False for update in updates)
    settled: dict[int, tuple[State, str]] = {}
    left_out: dict[int, str] = {}
    owned: list[tuple[Update, list[str]]] = []
    for update, pairs in said:
        own = _owned(ledger, pairs, update)
        blocked = _blocked_mark(ledger, update, latch) if MARK in own else None
        if blocked is not None:
            own.remove(MARK)
        if not own:
            names = [name for name, _ in pairs]
            settled[update.id] = _settle(update, blocked, replayed=_replayed(ledger, names, update))
            continue
        owned.append((update, own))
        if len(own) < len(pairs) and (why := _why_left_out(pairs, own, blocked)):
            left_out[update.id] = why
    by_itself = reassert and latch
    carried = (
        _one_at_a_time(owned, latch, left_out, ahead=ahead, by_itself=by_itself) if alone else owned
    )
    payload = {name: ledger[name].value for _, own in carried for name in own}
    reasserts = by_itself and not (alone and carried)
    if reasserts:
        payload[DO_NOT_CALL] = True
    held: set[str] = set()
    if carried is not owned:
        sending = {update.id for update, _ in carried}
        for update, own in owned:
            if update.id in sending:
                ledger = _refused(ledger, set(own) - payload.keys())
            else:
                held.update(own)
    return Plan(
        _nested(payload, ledger, held, all_known=all_known),
        tuple([update.id for update, _ in carried]),
        settled,
        left_out,
        len(owned) - len(carried),
        ledger,
        reasserts,
        latch and opted_in,
    )


Pairs = Collection[tuple[str, Any]]
"""The fields of an update, custom fields among them by their full names."""


def _merge(ledger: Ledger, said: Sequence[tuple[Update, Pairs]]) -> None:
    for update, pairs in said:
        key, replay = update.key, update.replay_id
        for name, value in pairs:
            time = _time(update, name, value) if name in _CAPPED else update.event_time
            old = ledger.get(name)
            if old is None or time > old.time:
                ledger[name] = Entry(value, time, key, False, replay)
            elif time == old.time:
                new = Entry(value, time, key, False, replay)
                if new.rank(name) > old.rank(name):
                    ledger[name] = new


def _why_left_out(pairs: Pairs, own: Sequence[str], blocked: tuple[State, str] | None) -> str:
    notes = [f"{MARK} left out: {blocked[1]}"] if blocked is not None else []
    notes += [
        f"{name} left out: a newer event has set it"
        for name, _ in pairs
        if name not in own and name != MARK
    ]
    return "; ".join(notes)


def _one_at_a_time(
    owned: list[tuple[Update, list[str]]],
    latch: bool,
    left_out: dict[int, str],
    *,
    ahead: bool,
    by_itself: bool,
) -> list[tuple[Update, list[str]]]:
    """The part of the updates that goes first when they were refused together.

    None of them where an opt-out goes again by itself and is to go ahead.
    """
    opt_outs = [(u, [DO_NOT_CALL]) for u, own in owned if latch and DO_NOT_CALL in own]
    fresh = [(u, own) for u, own in opt_outs if u.state is not State.STANDING]
    rest = [(u, own) for u, own in owned if not (latch and DO_NOT_CALL in own)]
    first = fresh or (ahead and (opt_outs or by_itself)) or not rest
    chosen = opt_outs if first else rest[:1]
    for update, own in owned:
        if any(update is u for u, _ in chosen) and chosen is opt_outs and len(own) > 1:
            others = ", ".join(sorted(set(own) - {DO_NOT_CALL}))
            note = f"{others} left out: the API did not take it beside the opt-out"
            before = left_out.get(update.id)
            left_out[update.id] = note if before is None else f"{before}; {note}"
    return chosen


def _flat(fields: Mapping[str, Any]) -> Pairs:
    if CUSTOM not in fields:
        return fields.items()
    pairs: list[tuple[str, Any]] = []
    for name, value in fields.items():
        if name == CUSTOM:
            pairs += [(_CUSTOM_PREFIX + key, custom) for key, custom in value.items()]
        else:
            pairs.append((name, value))
    return pairs


def _nested(
    payload: dict[str, Any], ledger: Ledger, held: set[str], *, all_known: bool
) -> dict[str, Any]:
    """The payload in the API's shape; ``held`` are fields whose own turn comes later."""
    flat: dict[str, Any] = {}
    custom: dict[str, Any] = {}
    for name, value in payload.items():
        if name.startswith(_CUSTOM_PREFIX):
            custom[name.removeprefix(_CUSTOM_PREFIX)] = value
        else:
            flat[name] = value
    if custom and all_known:
        known = {
            k.removeprefix(_CUSTOM_PREFIX): entry.value
            for k, entry in ledger.items()
            if k.startswith(_CUSTOM_PREFIX) and not entry.refused and k not in held
        }
        custom = {**known, **custom}
    if custom:
        flat[CUSTOM] = custom
    return flat


def _owned(ledger: Ledger, pairs: Pairs, update: Update) -> list[str]:
    """The fields whose newest word is this update's."""
    key, replay, at = update.key, update.replay_id, update.event_time
    owned = []
    for name, _ in pairs:
        entry = ledger[name]
        if entry.key == key and entry.replay == replay:
            time = _time(update, name, entry.value) if name in _CAPPED else at
            if entry.time == time:
                owned.append(name)
    return owned


def _time(update: Update, name: str, value: Any) -> int:
    """The time that counts. What lets a lead be called is never newer than its receipt.

    A clock that is ahead must not have an opt-in beat an opt-out that comes a moment later.
    """
    if name == MARK or (name == DO_NOT_CALL and value is False):
        received_at = update.accepted_at if update.received_at is None else update.received_at
        return min(update.event_time, received_at)
    return update.event_time


def _blocked_mark(ledger: Ledger, update: Update, latch: bool) -> tuple[State, str] | None:
    """Why ``mark_as_unanswered`` may not travel for this update now; None if it may."""
    if latch:
        return State.SKIPPED, "the lead is opted out, so it is not put back into the call queue"
    consent = ledger.get(DO_NOT_CALL)
    if consent is not None and consent.time > _time(update, MARK, True):
        return State.SUPERSEDED, "a newer change of consent ends this wish to be called"
    if update.doubtful:
        return (
            State.UNCONFIRMED,
            "mark_as_unanswered was sent once without a trustworthy answer and is not sent again",
        )
    return None


def _replayed(ledger: Ledger, names: Sequence[str], update: Update) -> bool:
    """Whether a later replay of the update's own event has taken its place."""
    return all(
        ledger[name].key == update.key and ledger[name].replay > update.replay_id for name in names
    )


def _settle(
    update: Update, blocked: tuple[State, str] | None, *, replayed: bool
) -> tuple[State, str]:
    if blocked is not None:
        return blocked
    if update.doubtful and MARK in update.fields:
        return (
            State.UNCONFIRMED,
            "mark_as_unanswered was sent once without a trustworthy answer; newer events took over",
        )
    if replayed:
        return State.SUPERSEDED, "a later replay of this event has set the same fields"
    return State.SUPERSEDED, "a newer event has set the same fields"


def refuse(ledger: Ledger, updates: Sequence[Update]) -> Ledger:
    """Note that the API refused the values of these updates, so that they never ride along."""
    names = {
        name
        for update in updates
        for name in _owned(ledger, [p for p in _flat(update.fields) if p[0] in ledger], update)
        if name != DO_NOT_CALL
    }
    return _refused(ledger, names)


def _refused(ledger: Ledger, names: set[str]) -> Ledger:
    if not names:
        return ledger
    return ledger | {name: ledger[name]._replace(refused=True) for name in names}
