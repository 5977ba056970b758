"""Runs the cases of a mapping file: payload in, lead updates or the reason why not."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from bridge.errors import BridgeError
from bridge.map.case_file import WAITS, Case, Expected, body_of, load_cases
from bridge.map.coverage import Coverage
from bridge.map.mapping import SourceMapping
from bridge.model import Delivery, Event, Found, Json, Mapped, Reading
from bridge.places import with_lists, without

Decode: TypeAlias = Callable[[Reading, bytes], Json]

Under: TypeAlias = Callable[[SourceMapping, Mapping[str, str]], SourceMapping]

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


def run_cases(
    mapping: SourceMapping,
    cases: Iterable[Case],
    *,
    decode: Decode,
    under: Under | None = None,
    coverage: Coverage | None = None,
) -> list[CaseResult]:
    """Runs cases through a mapping. ``decode`` reads a body as the receive stage would.

    ``under`` gives the mapping with the settings that a case brings; ``coverage`` takes down what
    the cases reach.
    """
    results: list[CaseResult] = []
    for case in cases:
        found = mapping
        try:
            if case.settings:
                found = _with_settings(mapping, case, under)
            told = tuple(_differences(found, case, decode, coverage))
        except BridgeError as error:
            told = (f"cannot be run: {error}",)
        results.append(CaseResult(case.name, case.line, told))
    return results


def _with_settings(mapping: SourceMapping, case: Case, under: Under | None) -> SourceMapping:
    if under is None:
        raise BridgeError("it brings settings, and none can be set here")
    return under(mapping, case.settings)


def events_of(mapping: SourceMapping, case: Case, decode: Decode) -> list[Event]:
    """The events of a case, as of the delivery once it is stored. Errors: ``DecodeError``."""
    source = mapping.source
    if case.body is None:
        document = with_lists(case.payload, source.decode.lists)
    else:
        document = decode(source.decode, case.body)
    delivery = Delivery(
        id=0,
        receipt="case",
        source=source.name,
        received_at=case.received_at,
        method="POST",
        query={k: text for k, text in case.query.items() if k not in source.drop.query},
        headers={k: text for k, text in case.headers.items() if k not in source.drop.headers},
        body=body_of(case),
        scheme="case",
    )
    return mapping.split(without(document, source.drop.body), delivery)


def _differences(
    mapping: SourceMapping, case: Case, decode: Decode, coverage: Coverage | None
) -> Iterable[str]:
    try:
        events = events_of(mapping, case, decode)
    except BridgeError as error:
        yield f"the body cannot be decoded: {error}"
        return
    for name in sorted(set(case.fails) - mapping.lookups.keys()):
        yield f"`fails` names {name}, and the mapping has no such look-up"
    made = [mapped_for(mapping, event, case) for event in events]
    if coverage is not None:
        for event, mapped in zip(events, made, strict=True):
            if mapped is not None:
                coverage.add(mapping, event, found_for(mapping, event, case), case.known)
    if len(events) != len(case.expect):
        yield f"expected {len(case.expect)} events, found {len(events)}"
        return
    for event, mapped, expected in zip(events, made, case.expect, strict=True):
        where = f"event {event.ordinal + 1}: " if len(events) > 1 else ""
        failed = _failed(mapping, event, case)
        for difference in _of_event(mapping, mapped, failed, expected):
            yield where + difference


def mapped_for(mapping: SourceMapping, event: Event, case: Case) -> Mapped | None:
    """What becomes of an event of a case; None while it waits for a look-up that fails."""
    found = found_for(mapping, event, case)
    failed = _failed(mapping, event, case)
    if failed:
        return mapping.spared(event, found, case.known, failed)
    return mapping.apply(event, found, case.known)


def _failed(mapping: SourceMapping, event: Event, case: Case) -> list[str]:
    return [one.lookup for one in mapping.wants(event) if one.lookup in case.fails]


def found_for(mapping: SourceMapping, event: Event, case: Case) -> dict[str, Found]:
    """What the look-ups of an event bring, by the word of its case."""
    found: dict[str, Found] = {}
    for wanted in mapping.wants(event):
        if wanted.lookup in case.fails:
            continue
        rows = case.found.get(wanted.lookup, {})
        found[wanted.lookup] = Found(
            tuple(rows[one] for one in wanted.ids if one in rows),
            tuple(one for one in wanted.ids if one not in rows),
        )
    return found


def _expectation(expected: Expected) -> str:
    if expected.state == WAITS:
        return f"that it waits for {expected.reason}"
    return expected.state or "updates"


def _of_event(
    mapping: SourceMapping, mapped: Mapped | None, failed: list[str], expected: Expected
) -> Iterable[str]:
    if mapped is None:
        if expected.state != WAITS or expected.reason not in failed:
            yield f"expected {_expectation(expected)}, found that it waits for {', '.join(failed)}"
        return
    yield from _compare(mapping, mapped, expected)
    if mapped.erase != expected.erase:
        told = "the person is erased" if mapped.erase else "the person is not erased"
        yield f"not expected: {told}"


def _compare(mapping: SourceMapping, mapped: Mapped, expected: Expected) -> Iterable[str]:
    if expected.state:
        if mapped.state is None:
            rows = ", ".join(
                f"{u.phone} in {u.campaign} {_text(dict(u.fields))}" for u in mapped.updates
            )
            yield f"expected {_expectation(expected)}, found updates: {rows}"
        elif mapped.state.value != expected.state:
            yield f"expected {_expectation(expected)}, found {mapped.state.value}: {mapped.reason}"
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
