"""How a mapping comes to its result for one event, step by step. Pure.

``mapping try`` prints it and the console shows it. It evaluates the same compiled mapping as the
worker does, once to see the steps and once for the result.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from bridge.clock import iso
from bridge.map.coverage import values_of
from bridge.map.explain import Finding, findings
from bridge.map.mapping import SourceMapping
from bridge.map.numbers import Numbers, ways_of
from bridge.map.rules import Rule
from bridge.map.unusable import Unusable
from bridge.map.value import Value
from bridge.model import Event, Found, Json, Known, LeadUpdate, Mapped, RuleTrace


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a value: an expression, a transform or a default, and what it gave."""

    what: str
    value: Json
    problem: str = ""


@dataclass(frozen=True, slots=True)
class FieldTrace:
    """How one field of a rule came to its value. ``problem``: why it cannot be used."""

    field: str
    steps: tuple[Step, ...]
    result: Json
    problem: str = ""


@dataclass(frozen=True, slots=True)
class RuleSteps:
    """What one rule did: whether it fired, the conditions that decided, its fields."""

    rule: str
    fired: bool
    why: str
    conditions: tuple[Finding, ...]
    fields: tuple[FieldTrace, ...]


@dataclass(frozen=True, slots=True)
class LookupTrace:
    """A look-up of the event: whose ids it asks for, and what was found."""

    lookup: str
    account: str
    ids: tuple[str, ...]
    records: tuple[Json, ...]
    missing: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class EventTrace:
    """Everything about one event. ``names``: the values of what the file defines."""

    event: Event
    names: Mapping[str, Json]
    look_ups: tuple[LookupTrace, ...]
    known: Known
    rules: tuple[RuleSteps, ...]
    mapped: Mapped

    def as_json(self) -> dict[str, Any]:
        """The trace as JSON, times as ISO 8601 in UTC."""
        event = self.event
        return {
            "time": iso(event.time_ms),
            "weak_time": event.weak_time,
            "key": event.key,
            "problem": event.problem,
            "notes": list(event.notes),
            "contacts": [ref._asdict() for ref in event.contacts],
            "names": dict(self.names),
            "look_ups": [asdict(one) for one in self.look_ups],
            "known": {"phones": list(self.known.phones), "opted_out": self.known.opted_out},
            "rules": [asdict(one) for one in self.rules],
            "updates": [update_json(update) for update in self.mapped.updates],
            "outcome": self.mapped.state.value if self.mapped.state else None,
            "erases": self.mapped.erase,
            "reason": self.mapped.reason,
        }


def update_json(update: LeadUpdate) -> dict[str, Any]:
    """A lead update as JSON."""
    return {
        "campaign": update.campaign,
        "phone_number": update.phone,
        **update.fields,
        "rules": list(update.rules),
        "notes": list(update.notes),
    }


def trace(
    mapping: SourceMapping, event: Event, found: Mapping[str, Found], known: Known
) -> EventTrace:
    """Follows one event through a mapping. ``found`` is by look-up name. Never raises."""
    mapped = mapping.apply(event, found, known)
    if event.problem is not None:
        return EventTrace(event, {}, (), known, (), mapped)
    view = mapping.view(event, found, known)
    told = list(zip(mapping.rules, mapped.trace, strict=True))
    applies = any(rule.skip is None and one.fired for rule, one in told)
    return EventTrace(
        event,
        {name: view.get(name) for name, _ in mapping.plan.defined},
        tuple(_look_ups(mapping, event, found)),
        known,
        tuple(
            _rule(mapping, rule, one.fired, _why(rule, one, applies), view) for rule, one in told
        ),
        mapped,
    )


def _why(rule: Rule, told: RuleTrace, applies: bool) -> str:
    """``applies``: whether a rule without a skip does; then no skip counts."""
    if rule.skip is not None and told.fired and applies:
        return f"its skip does not count, since another rule applies: {rule.skip}"
    return told.why


def _look_ups(
    mapping: SourceMapping, event: Event, found: Mapping[str, Found]
) -> Iterator[LookupTrace]:
    for wanted in mapping.wants(event):
        brought = found.get(wanted.lookup, Found())
        yield LookupTrace(
            wanted.lookup, wanted.account, wanted.ids, brought.records, brought.missing
        )


def _rule(
    mapping: SourceMapping, rule: Rule, fired: bool, why: str, view: Mapping[str, Json]
) -> RuleSteps:
    conditions = tuple(findings(rule.when.tree, view)) if rule.when is not None else ()
    if not fired or rule.skip is not None:
        return RuleSteps(rule.name, fired, why, conditions, ())
    fields = [_phones(mapping.phones[rule.phone], view)]
    fields += [_field(".".join(map(str, path)), value, view) for path, value in values_of(rule)]
    return RuleSteps(rule.name, fired, why, conditions, tuple(fields))


def _field(name: str, value: Value, view: Mapping[str, Json]) -> FieldTrace:
    steps = [*_sources(value, view)]
    now = steps[-1].value if steps else value.constant
    if not value.sources:
        steps.append(Step("the constant", now))
    for step, text in zip(value.steps, _named(value), strict=True):
        try:
            now = step(now)
        except Unusable as problem:
            steps.append(Step(text, None, str(problem)))
            return FieldTrace(name, tuple(steps), None, str(problem))
        steps.append(Step(text, now))
    if now is None and value.default is not None:
        now = value.default
        steps.append(Step("default", now))
    return FieldTrace(name, tuple(steps), now)


def _named(value: Value) -> tuple[str, ...]:
    if len(value.step_texts) == len(value.steps):
        return value.step_texts
    return tuple(f"transform {number}" for number, _ in enumerate(value.steps, 1))


def _sources(value: Value, view: Mapping[str, Json]) -> Iterator[Step]:
    """The sources that are asked, in order, up to the first that gives something."""
    for source in value.sources:
        notes: list[str] = []
        found = source.get(view, notes)
        yield Step(source.text, found, "; ".join(notes))
        if found is not None and not value.every:
            return


def _phones(value: Value, view: Mapping[str, Json]) -> FieldTrace:
    steps = [*_sources(value, view)] or [Step("the constant", value.constant)]
    steps += [Step(text, None) for text in value.step_texts if text != "e164"]
    phones = Numbers(ways_of([value]), view).of(0)
    region, unknown = value.region_in(view)
    region = region or f"unknown: {unknown}"
    steps.append(Step(f"phone numbers (country {region} where no + leads)", phones.numbers))
    return FieldTrace(
        "phone_number", tuple(steps), list(phones.numbers), "; ".join(phones.problems)
    )
