"""A delivery split into its events: identity, time and contacts of each."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from itertools import islice
from json.encoder import encode_basestring_ascii
from typing import Protocol

from bridge.clock import iso
from bridge.map.expression import Expression
from bridge.map.text import as_text, clean, ids_of
from bridge.map.times import AHEAD, EARLIEST, TimeFormat
from bridge.map.unusable import Unusable
from bridge.map.value import Value
from bridge.model import ContactRef, Delivery, Event, Json

MOST_SPLIT = 100_000
"""Events of a delivery from which on it is not split any further; the setting is far below."""


def too_many(count: int, most: int) -> str | None:
    """What becomes of a delivery that holds so many events, if that is more than ``most``."""
    if count <= most:
        return None
    least = "at least " if count >= MOST_SPLIT else ""
    return (
        f"the delivery holds {least}{count:,} events, and {most:,} are the most "
        "(BRIDGE_MAX_EVENTS): none is mapped or sent, it is one dead letter. Raise the limit and "
        "replay it, or send fewer at once"
    )


@dataclass(frozen=True, slots=True)
class EventPlan:
    """How a source's deliveries become events, compiled.

    ``each``: what an event holds of which every item is an event of its own. ``identity``: the
    expressions that name an event; ``by_content``: the whole event names it; ``within_s``: for
    how long after its receipt the same identity means a copy, None for ever. ``times``: where the
    time may stand, the first that can be read counts; none stands for the time of receipt.
    ``defined``: names that the file defines.
    """

    source: str
    events: Expression
    identity: tuple[Expression, ...]
    by_content: bool
    times: tuple[tuple[Expression, TimeFormat], ...]
    account: Expression | None
    contacts: tuple[Expression, ...]
    defined: tuple[tuple[str, Value], ...] = ()
    each: Expression | None = None
    within_s: int | None = None

    def split(self, document: Json, delivery: Delivery) -> list[Event]:
        """The events of a delivery. One that cannot be read carries its problem."""
        notes: list[str] = []
        found = self.events.get(document, notes)
        around = _around(document, delivery)
        if isinstance(found, dict):
            found = [found]
        if not isinstance(found, list) or notes:
            said = notes[0] if notes else f"`{self.events.text}` gives neither a list nor an object"
            return [self._unreadable(document, delivery, around, 0, f"no events: {said}")]
        views = islice(self._views(found, around), MOST_SPLIT)
        return [
            self._unreadable(item, delivery, around, place, "the event is null")
            if view is None
            else self._event(item, view, delivery, place)
            for place, (item, view) in enumerate(views)
        ]

    def views(self, document: Json, delivery: Delivery) -> Iterator[dict[str, Json]]:
        """What expressions see of each event, without what tells one event from another."""
        found = self.events.get(document, [])
        if isinstance(found, dict):
            found = [found]
        if not isinstance(found, list):
            return
        around = _around(document, delivery)
        for _, view in islice(self._views(found, around), MOST_SPLIT):
            if view is not None:
                self._define(view, [])
                yield view

    def count(self, document: Json, delivery: Carried) -> int:
        """How many events ``split`` gives, without looking at any of them."""
        notes: list[str] = []
        found = self.events.get(document, notes)
        if not isinstance(found, list) or notes:
            # one, or one that says why there are none, or what `each` makes of one
            found = [found if isinstance(found, dict) and not notes else None]
        if self.each is None:
            return min(len(found), MOST_SPLIT)
        around = _around(document, delivery)
        return sum(1 for _ in islice(self._views(found, around), MOST_SPLIT))

    def _views(
        self, found: list[Json], around: Mapping[str, Json]
    ) -> Iterator[tuple[Json, dict[str, Json] | None]]:
        """Every event with what expressions see of it; None for one that is null."""
        for item in found:
            if item is None:
                yield item, None
                continue
            own: dict[str, Json] = item if isinstance(item, dict) else {}
            view: dict[str, Json] = {**own, "_event": item, **around}
            if self.each is None:
                yield item, view
                continue
            several = self.each.get(view, [])
            # an event without any part is one event still, so that it is accounted for
            for one in several if isinstance(several, list) and several else [several or None]:
                yield item, {**view, "_item": one}

    def _unreadable(
        self, item: Json, delivery: Delivery, around: Mapping[str, Json], ordinal: int, why: str
    ) -> Event:
        return Event(
            ordinal,
            place_key(self.source, delivery.receipt, ordinal),
            delivery.received_at,
            True,
            {"_event": item, **around},
            problem=why,
        )

    def _event(self, item: Json, view: dict[str, Json], delivery: Delivery, ordinal: int) -> Event:
        notes: list[str] = []
        self._define(view, notes)
        time_ms, weak = self._time(view, delivery.received_at, notes)
        key = self._key(item, view, delivery, ordinal, notes)
        contacts = self._contacts(view, notes)
        received_at = delivery.received_at
        return Event(ordinal, key, time_ms, weak, view, None, tuple(notes), contacts, received_at)

    def _define(self, view: dict[str, Json], notes: list[str]) -> None:
        for name, value in self.defined:
            try:
                view[name] = value.get(view, notes)
            except Unusable as problem:
                view[name] = None
                notes.append(f"`{name}` is absent: {problem}")

    def _key(
        self, item: Json, view: Json, delivery: Delivery, ordinal: int, notes: list[str]
    ) -> str:
        parts: list[Json] | None = None
        if self.by_content:
            parts = self._content(item, view)
        elif self.identity:
            parts = [expression.get(view, notes) for expression in self.identity]
            if _blank(parts):
                parts = None
            elif None in parts:
                # what is left may be the same in many events, and none of them may be lost
                parts += self._content(item, view)
        if parts is not None:
            if self.within_s is not None:
                parts.append(delivery.received_at // (self.within_s * 1000))
            key = fingerprint(self.source, parts)
            if key is not None:
                return key
            notes.append("the event has no usable identity; it counts as new")
        return place_key(self.source, delivery.receipt, ordinal)

    def _content(self, item: Json, view: Json) -> list[Json]:
        return [item] if self.each is None else [item, view["_item"]]

    def _time(self, view: Json, received_at: int, notes: list[str]) -> tuple[int, bool]:
        if not self.times:
            return received_at, True
        ms: int | None = None
        problems: list[str] = []
        for expression, form in self.times:
            value = expression.get(view, notes)
            if value is None or value == "":
                continue
            try:
                ms = form.milliseconds(value)
                break
            except Unusable as problem:
                problems.append(str(problem))
        if ms is None:
            why = problems[0] if problems else "the event carries no time"
            notes.append(f"{why}; the time of receipt stands in")
            return received_at, True
        if ms < EARLIEST:
            notes.append("the time is out of range; the time of receipt stands in")
            return received_at, True
        if ms > received_at + AHEAD:
            notes.append(f"the time {iso(ms)} lies in the future; the time of receipt stands in")
            return received_at, True
        return ms, False

    def _contacts(self, view: Json, notes: list[str]) -> tuple[ContactRef, ...]:
        if not self.contacts:
            return ()
        account = account_of(self.account, view, notes)
        if len(self.contacts) == 1:
            found = ids_of(self.contacts[0].get(view, notes))
        else:
            found = ids_of([one for each in self.contacts for one in ids_of(each.get(view, notes))])
        return tuple([ContactRef(account, one) for one in found])


class Carried(Protocol):
    """A request's headers and query, as expressions see them."""

    @property
    def headers(self) -> Mapping[str, str]: ...
    @property
    def query(self) -> Mapping[str, str]: ...


def _around(document: Json, delivery: Carried) -> dict[str, Json]:
    """What expressions see beside their event."""
    return {
        "_body": document,
        "_headers": dict(delivery.headers),
        "_query": dict(delivery.query),
    }


def _blank(value: Json) -> bool:
    """Whether nothing in a value tells one event from another."""
    if isinstance(value, list):
        return all(map(_blank, value))
    return value is None or value is False or value in ("", {})


def account_of(expression: Expression | None, view: Json, notes: list[str]) -> str:
    """The account that an expression names; empty text if none."""
    if expression is None:
        return ""
    return clean(as_text(expression.get(view, notes)) or "").strip()


_CANONICAL = json.JSONEncoder(ensure_ascii=True, sort_keys=True, separators=(",", ":")).encode


def place_key(source: str, receipt: str, ordinal: int) -> str:
    """The key of an event that nothing but its place in its delivery names: made of the JSON text
    of a list of the three."""
    text = f"[{encode_basestring_ascii(source)},{encode_basestring_ascii(receipt)},{ordinal}]"
    return blake2b(text.encode("ascii"), digest_size=16).hexdigest()


def fingerprint(source: str, parts: Iterable[Json]) -> str | None:
    """The key of an event that these parts name, 32 hexadecimal digits: made of the canonical JSON
    text of a list of the source and the list of parts. None if they have no such text.

    Keys tell a copy from its event for as long as events are kept: they must never change.
    """
    try:
        text = ",".join([_canonical(part) for part in parts])
    except (ValueError, TypeError, RecursionError):
        return None
    text = f"[{encode_basestring_ascii(source)},[{text}]]"
    return blake2b(text.encode("ascii"), digest_size=16).hexdigest()


def _canonical(value: Json) -> str:
    """JSON text in ASCII with sorted names. What most parts are needs no encoder to be set up."""
    if type(value) is str:
        return encode_basestring_ascii(value)
    if type(value) is int:
        return repr(value)
    return _CANONICAL(value)
