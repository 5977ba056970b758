"""Runs the cases of a mapping file: payload in, lead updates or the reason why not."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from bridge.errors import BridgeError
from bridge.map.case_file import Case, Expected, body_of, load_cases
from bridge.map.mapping import SourceMapping
from bridge.model import Delivery, Event, Found, Json, Mapped, Reading

Decode: TypeAlias = Callable[[Reading, bytes], Json]

_Rows: TypeAlias = dict[tuple[str, str], Mapping[str, Json]]


@dataclass(frozen=True, slots=True)
class CaseResult:
    """How a case went. ``differences`` are for people; none means that it passed."""

    name: str
    line: int
    differences: tuple[str, ...]

    @property
    def passed(self) -> bool:
        """Whether everything came as expected."""
        return not self.differences


def run_cases(mapping: SourceMapping, cases: Iterable[Case], *, decode: Decode) -> list[CaseResult]:
    """Runs cases through a mapping. ``decode`` reads a body as the receive stage would."""
    return [
        CaseResult(case.name, case.line, tuple(_differences(mapping, case, decode)))
        for case in cases
    ]


def _differences(mapping: SourceMapping, case: Case, decode: Decode) -> Iterable[str]:
    try:
        document = case.payload if case.body is None else decode(mapping.source.decode, case.body)
    except BridgeError as error:
        yield f"the body cannot be decoded: {error}"
        return
    delivery = Delivery(
        id=0,
        receipt="case",
        source=mapping.source.name,
        received_at=case.received_at,
        method="POST",
        query=case.query,
        headers=case.headers,
        body=body_of(case),
        scheme="case",
    )
    events = mapping.split(document, delivery)
    if len(events) != len(case.expect):
        yield f"expected {len(case.expect)} events, found {len(events)}"
        return
    for event, expected in zip(events, case.expect, strict=True):
        where = f"event {event.ordinal + 1}: " if len(events) > 1 else ""
        mapped = mapping.apply(event, found_for(mapping, event, case), case.known)
        for difference in _compare(mapping, mapped, expected):
            yield where + difference
        if mapped.erase != expected.erase:
            told = "the person is erased" if mapped.erase else "the person is not erased"
            yield f"{where}not expected: {told}"


def found_for(mapping: SourceMapping, event: Event, case: Case) -> dict[str, Found]:
    """What the look-ups of an event bring, by the word of its case."""
    found: dict[str, Found] = {}
    for wanted in mapping.wants(event):
        rows = case.found.get(wanted.lookup, {})
        found[wanted.lookup] = Found(
            tuple(rows[one] for one in wanted.ids if one in rows),
            tuple(one for one in wanted.ids if one not in rows),
        )
    return found


def _compare(mapping: SourceMapping, mapped: Mapped, expected: Expected) -> Iterable[str]:
    if expected.state:
        if mapped.state is None:
            rows = ", ".join(f"{u.phone} {_text(dict(u.fields))}" for u in mapped.updates)
            yield f"expected {expected.state}, found updates: {rows}"
        elif mapped.state.value != expected.state:
            yield f"expected {expected.state}, found {mapped.state.value}: {mapped.reason}"
        elif expected.reason not in mapped.reason:
            yield f"expected the reason to contain “{expected.reason}”, found “{mapped.reason}”"
        return
    if mapped.state is not None:
        yield f"expected updates, found {mapped.state.value}: {mapped.reason}"
        return
    wanted: _Rows = {}
    for campaigns, phone, fields in expected.updates:
        names = mapping.directory.configured if campaigns is None else campaigns
        wanted.update(dict.fromkeys(((name, phone) for name in names), fields))
    given: _Rows = {(u.campaign, u.phone): u.fields for u in mapped.updates}
    for key in sorted({*wanted, *given}):
        campaign, phone = key
        where = f"{phone} in {campaign}"
        if key not in given:
            yield f"{where}: expected {_text(wanted[key])}, found no update"
        elif key not in wanted:
            yield f"{where}: not expected, found {_text(given[key])}"
        else:
            yield from _fields(where, wanted[key], given[key])


def _fields(where: str, wanted: Mapping[str, Json], given: Mapping[str, Json]) -> Iterable[str]:
    for name in sorted({*wanted, *given}):
        if name not in given:
            yield f"{where}: expected {name} {_text(wanted[name])}, found none"
        elif name not in wanted:
            yield f"{where}: {name} not expected, found {_text(given[name])}"
        elif _text(wanted[name]) != _text(given[name]):
            yield f"{where}: expected {name} {_text(wanted[name])}, found {_text(given[name])}"


def _text(value: Json) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True)


__all__ = ["Case", "CaseResult", "Decode", "load_cases", "run_cases"]
