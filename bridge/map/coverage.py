"""Which rules and branches of a mapping file its cases reach, and which they leave out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from bridge.map.conditions import tree_of, written_text
from bridge.map.document import Path_
from bridge.map.explain import alternatives, decides, is_empty
from bridge.map.expression import Expression
from bridge.map.mapping import SourceMapping
from bridge.map.rules import Rule
from bridge.map.value import Value
from bridge.model import Event, Found, Json, Known


@dataclass(frozen=True, slots=True)
class Branch:
    """Something in a mapping file that a case reaches or not.

    ``place`` counts what stands beside each other at one path; ``part`` is its text there.
    ``rule`` is that of the rule which must fire first; None if there is none.
    """

    path: Path_
    kind: str
    place: int
    what: str
    part: str = ""
    rule: int | None = None

    @property
    def key(self) -> tuple[Path_, str, int]:
        """The same in every variant of the file, whatever settings are filled in.

        An expression that gave a value in one place of the file need not do so in every other.
        """
        return (self.part,) if self.kind == "source" else self.path, self.kind, self.place


class Coverage:
    """What was reached so far. ``mapping`` is the file as its cases see it."""

    def __init__(self, mapping: SourceMapping) -> None:
        self._branches = list(_branches(mapping))
        self._reached: set[tuple[Path_, str, int]] = set()

    def add(
        self, mapping: SourceMapping, event: Event, found: Mapping[str, Found], known: Known
    ) -> None:
        """Notes what one event reaches. ``mapping`` may have been loaded with other settings."""
        for plan in mapping.lookup_plans:
            name = plan.lookup.name
            if name in found:
                self._reached.add((("enrich", name), "asked", 0))
                if found[name].records:
                    self._reached.add((("enrich", name), "found", 0))
        if event.problem is not None:
            return
        mapped = mapping.apply(event, found, known)
        view = mapping.view(event, found, known)
        for name, value in mapping.plan.defined:
            self._defined(("define", name), value, view)
        for place, (rule, trace) in enumerate(zip(mapping.rules, mapped.trace, strict=False)):
            if trace.fired:
                self._rule(mapping, place, rule, view)

    def _defined(self, path: Path_, value: Value, view: Json) -> None:
        for here, source in _sources_of(path, value):
            self._alternatives(here, source, view)
        if len(value.sources) > 1:
            self._value(path, value, view)

    def _rule(
        self, mapping: SourceMapping, place: int, rule: Rule, view: Mapping[str, Json]
    ) -> None:
        path = ("rules", place)
        self._reached.add((path, "fires", 0))
        if rule.when is not None:
            self._alternatives((*path, "when"), rule.when, view)
        for below, value in values_of(rule):
            self._value((*path, "lead", *below), value, view)
        if rule.skip is None:
            first = _first_use(mapping, rule.phone)
            self._value(("rules", first, "lead", "phone_number"), mapping.phones[rule.phone], view)
        if rule.route.source is not None:
            given = rule.route.source.get(view, [])
            for entry, key in enumerate(rule.route.table or ()):
                if key in {str(one) for one in (given if isinstance(given, list) else [given])}:
                    self._reached.add(((*path, "campaigns", "table", key), "route", entry))

    def _alternatives(self, path: Path_, expression: Expression, view: Json) -> None:
        for place, node in enumerate(alternatives(expression.tree)):
            if decides(expression.tree, node, view):
                self._reached.add((path, "or", place))

    def _value(self, path: Path_, value: Value, view: Json) -> None:
        gave = False
        for source in value.sources:
            found = source.get(view, [])
            if found is not None and found not in ("", []):
                gave = True
                self._reached.add(((source.text,), "source", 0))
                if not value.every:
                    break
        if not gave and value.default is not None:
            self._reached.add((path, "default", 0))

    def left(self) -> list[Branch]:
        """What no case reached; of a rule that never fires nothing but that."""
        silent = {b.rule for b in self._branches if b.kind == "fires" and not self._has(b)}
        found: dict[tuple[Path_, str, int], Branch] = {}
        for branch in self._branches:
            if not self._has(branch) and (branch.kind == "fires" or branch.rule not in silent):
                found.setdefault(branch.key, branch)
        return list(found.values())

    def counts(self) -> tuple[int, int]:
        """How many branches were reached, of how many."""
        keys = {branch.key for branch in self._branches}
        return len(keys & self._reached), len(keys)

    def _has(self, branch: Branch) -> bool:
        return branch.key in self._reached


def values_of(rule: Rule) -> Iterator[tuple[Path_, Value]]:
    """The values of a rule but for its number, with their paths below ``lead``."""
    if rule.do_not_call is not None:
        yield ("do_not_call",), rule.do_not_call
    for name, value, _ in rule.fields:
        yield (name,), value
    for name, value in rule.custom:
        yield ("custom_fields", name), value
    if rule.custom_all is not None:
        yield ("custom_fields",), rule.custom_all


def _first_use(mapping: SourceMapping, phone: int) -> int:
    return next(
        place
        for place, rule in enumerate(mapping.rules)
        if rule.skip is None and rule.phone == phone
    )


def _branches(mapping: SourceMapping) -> Iterator[Branch]:
    for name, defined in mapping.plan.defined:
        for here, source in _sources_of(("define", name), defined):
            yield from _or_branches(here, source, None)
        if len(defined.sources) > 1:
            yield from _value_branches(("define", name), defined, None)
    for plan in mapping.lookup_plans:
        path = ("enrich", plan.lookup.name)
        yield Branch(path, "asked", 0, f"no case asks the look-up `{plan.lookup.name}`")
        yield Branch(
            path, "found", 0, f"in no case the look-up `{plan.lookup.name}` finds a record"
        )
    phones: set[int] = set()
    for place, rule in enumerate(mapping.rules):
        path_ = ("rules", place)
        yield Branch(path_, "fires", 0, f"in no case the rule `{rule.name}` fires", rule=place)
        if rule.when is not None:
            yield from _or_branches((*path_, "when"), rule.when, place)
        for below, value in values_of(rule):
            yield from _value_branches((*path_, "lead", *below), value, place)
        if rule.skip is None and rule.phone not in phones:
            phones.add(rule.phone)
            number = (*path_, "lead", "phone_number")
            yield from _value_branches(number, mapping.phones[rule.phone], place)
        for entry, key in enumerate(rule.route.table or ()):
            table: Path_ = (*path_, "campaigns", "table", key)
            yield Branch(table, "route", entry, f"no case has the value `{key}`", rule=place)


def _or_branches(path: Path_, expression: Expression, rule: int | None) -> Iterator[Branch]:
    tree = tree_of(expression.text) or expression.tree
    for place, node in enumerate(alternatives(tree)):
        text = written_text(node)
        told = "is all that remains" if is_empty(node) else "is what holds"
        yield Branch(path, "or", place, f"in no case `{text}` {told}", text, rule)


def _sources_of(path: Path_, value: Value) -> Iterator[tuple[Path_, Expression]]:
    """The expressions of a value, with their paths where it is written as a mapping."""
    several = "all" if value.every else "first" if len(value.sources) > 1 else ""
    for place, source in enumerate(value.sources):
        yield ((*path, several, place) if several else (*path, "from")), source


def _value_branches(path: Path_, value: Value, rule: int | None) -> Iterator[Branch]:
    for here, source in _sources_of(path, value):
        told = f"in no case `{source.text}` gives a value"
        yield Branch(here, "source", 0, told, source.text, rule)
    if value.default is not None and value.sources:
        yield Branch(path, "default", 0, "no case needs the default", "default", rule)
