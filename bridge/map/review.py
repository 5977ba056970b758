"""Warnings about a mapping file that can be used: what is in it that can have no effect.

``mapping check`` prints them beside the mistakes; nothing here keeps a file from being used.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from bridge.errors import Mistake
from bridge.map.conditions import implies, never, tree_of
from bridge.map.coverage import Coverage, values_of
from bridge.map.document import Document, Path_
from bridge.map.expression import tokens
from bridge.map.mapping import SourceMapping
from bridge.map.order import unrepeated
from bridge.map.rules import Rule
from bridge.model import Json

_ALWAYS_THERE = ("_event", "_item", "_body", "_headers", "_query", "_known")
_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def review(
    mapping: SourceMapping, document: Document, coverage: Coverage | None, seen: frozenset[str]
) -> list[Mistake]:
    """The warnings about one file. ``coverage``: what its cases reach, None if it has none.

    ``seen``: the names at the top of the events of its cases.
    """
    found = [
        *_never(mapping, document),
        *_no_time(mapping, document),
        *_overruled(mapping, document),
        *_unrepeated(mapping, document),
        *_unused(mapping, document),
        *_defined_later(mapping, document),
        *_perhaps_misspelt(mapping, document, seen),
        *_bare_words(mapping, document, seen),
    ]
    uncovered = [] if coverage is None else not_covered(document, mapping.source.name, coverage)
    return [*document.finished(found), *uncovered]


def not_covered(document: Document, source: str, coverage: Coverage) -> list[Mistake]:
    """What no case of a source reaches."""
    told = f"Add a case to {source}.cases.yaml, or delete what nothing needs."
    return document.finished(
        document.mistake(
            branch.path if branch.kind != "fires" else (*branch.path, "name"),
            "not-covered",
            f"{branch.what}.",
            told,
            part=branch.part,
        )
        for branch in coverage.left()
    )


def _trees(mapping: SourceMapping) -> list[Any]:
    return [None if rule.when is None else tree_of(rule.when.text) for rule in mapping.rules]


def _never(mapping: SourceMapping, document: Document) -> Iterator[Mistake]:
    whens: list[tuple[Path_, str, str | None]] = [
        (("rules", place, "when"), f"the rule `{rule.name}` can never fire", rule.when.text)
        for place, rule in enumerate(mapping.rules)
        if rule.when is not None
    ]
    whens += [
        (
            ("enrich", plan.lookup.name, "when"),
            f"the look-up `{plan.lookup.name}` is never asked",
            plan.when.text,
        )
        for plan in mapping.lookup_plans
        if plan.when is not None
    ]
    for path, what, text in whens:
        tree = tree_of(text or "")
        if tree is not None and (why := never(tree)):
            yield document.mistake(
                path, "never-fires", f"{what}: {why}.", "Correct its `when`, or delete it."
            )


def _no_time(mapping: SourceMapping, document: Document) -> Iterator[Mistake]:
    where: Path_ = ("receive", "event_time")
    several = isinstance(document.data["receive"].get("event_time"), list)
    for place, (_, form) in enumerate(mapping.plan.times):
        if form.without_hours:
            yield document.mistake(
                (*where, place, "format") if several else (*where, "format"),
                "time-never-read",
                f"the pattern `{form.name}` does not say the hour of the day, so that no event has "
                "its time by it; the time of receipt stands in.",
                "Read the time from a field that has hours, with %H, or %I and %p.",
            )


def _overruled(mapping: SourceMapping, document: Document) -> Iterator[Mistake]:
    trees = _trees(mapping)
    for place, rule in enumerate(mapping.rules):
        if rule.when is not None and trees[place] is None:
            continue
        for other_place, other in enumerate(mapping.rules):
            if other_place == place or (other.when is not None and trees[other_place] is None):
                continue
            if not implies(trees[place], trees[other_place]) or other.skip is not None:
                continue
            line = document.place(("rules", other_place, "name"))[0]
            who = f"the rule `{other.name}` (line {line})"
            if rule.skip is not None:
                yield document.mistake(
                    ("rules", place, "skip"),
                    "skip-without-effect",
                    f"the reason of the rule `{rule.name}` is never given: {who} fires whenever "
                    "it does, and a skip counts only where no other rule fires.",
                    "Narrow the `when` of one of the two, or delete this rule.",
                )
                break
            if other_place < place and _covers(other, rule):
                yield from _set_before(mapping, document, place, other_place, who)


def _unrepeated(mapping: SourceMapping, document: Document) -> Iterator[Mistake]:
    if mapping.any_order:
        return
    for rule in unrepeated(mapping.rules):
        yield document.mistake(
            ("rules", mapping.rules.index(rule), "name"),
            "opt-out-not-repeated",
            f"the rule `{rule.name}` opts out the numbers that are remembered of a contact; one "
            "that comes later, or with an event that is taken in later, is not opted out.",
            "Add a rule with `when: _known.opted_out`, `yields_to_opt_in: true` and "
            "`do_not_call: {value: true}` for the same campaigns.",
        )


def _covers(first: Rule, second: Rule) -> bool:
    """Whether what the first rule says reaches every lead that the second one speaks of."""
    return first.phone == second.phone and (
        first.route == second.route or (first.route.source is None and "all" in first.route.names)
    )


def _set_before(
    mapping: SourceMapping, document: Document, place: int, other_place: int, who: str
) -> Iterator[Mistake]:
    rule, other = mapping.rules[place], mapping.rules[other_place]
    mine, theirs = dict(values_of(rule)), dict(values_of(other))
    raw = document.data["rules"]
    same = [
        path
        for path in mine
        if path in theirs and _written(raw[place], path) == _written(raw[other_place], path)
    ]
    if mine and len(same) == len(mine):
        yield document.mistake(
            ("rules", place, "name"),
            "rule-shadowed",
            f"the rule `{rule.name}` changes nothing: {who} fires whenever it does and sets the "
            "same.",
            "Delete one of the two, or correct its `when`.",
        )
        return
    for path in mine:
        if path in theirs and path not in same and path[0] != "do_not_call":
            yield document.mistake(
                ("rules", place, "lead", *path),
                "set-twice",
                f"`{'.'.join(map(str, path))}` is set by {who} as well, which stands first and "
                "fires whenever this one does; its value counts.",
                "Keep it in one of the two, or narrow the other's `when`.",
                key=True,
            )


def _written(rule: Mapping[str, Json], path: Path_) -> Json:
    value: Json = rule["lead"]
    for step in path:
        value = value[step] if isinstance(value, dict) else value
    return value


def _texts(value: Json, path: Path_ = ()) -> Iterator[tuple[Path_, str]]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _texts(item, (*path, key))
    elif isinstance(value, list):
        for place, item in enumerate(value):
            yield from _texts(item, (*path, place))
    elif isinstance(value, str):
        yield path, value


def _unused(mapping: SourceMapping, document: Document) -> Iterator[Mistake]:
    texts = [(path, set(_WORD.findall(text))) for path, text in _texts(document.data)]
    for section, names in _names(mapping).items():
        for name in names:
            forms = {name} if section == "define" else {name, f"{name}_all", f"{name}_missing"}
            if not any(words & forms for path, words in texts if path[:2] != (section, name)):
                what = "definition" if section == "define" else "look-up"
                yield document.mistake(
                    (section, name),
                    "unused-name",
                    f"nothing uses the {what} `{name}`.",
                    "Delete it, or correct the expression that was to use it.",
                    key=True,
                )


def _defined_later(mapping: SourceMapping, document: Document) -> Iterator[Mistake]:
    """Definitions that read one below them: they see a field of that name instead, or nothing."""
    names = [name for name, _ in mapping.plan.defined]
    for place, (name, value) in enumerate(mapping.plan.defined):
        later = set(names[place + 1 :])
        for read in dict.fromkeys(n for source in value.sources for n in _leading(source.text)):
            if read in later:
                line = document.place(("define", read), key=True)[0]
                yield document.mistake(
                    ("define", name),
                    "defined-later",
                    f"`define.{name}` reads `{read}`, which is defined below it (line {line}): "
                    "it sees the event's own field of that name, or nothing.",
                    f"Put `{read}` above it; definitions that read one another are not possible.",
                    key=True,
                )


def _names(mapping: SourceMapping) -> dict[str, Sequence[str]]:
    return {
        "define": [name for name, _ in mapping.plan.defined],
        "enrich": [plan.lookup.name for plan in mapping.lookup_plans],
    }


def _perhaps_misspelt(
    mapping: SourceMapping, document: Document, seen: frozenset[str]
) -> Iterator[Mistake]:
    """Names that no event of a case has, and that are almost a name of this file."""
    names = _names(mapping)
    looked_up = [f"{name}{end}" for name in names["enrich"] for end in ("", "_all", "_missing")]
    known = [*_ALWAYS_THERE, *names["define"], *looked_up]
    for path, text in _texts(document.data):
        if not _is_expression(path):
            continue
        for name in _leading(text):
            if name in seen or name in known:
                continue
            if not seen and f"_{name}" in _ALWAYS_THERE:
                continue  # `event` is a field of many CRMs, and no case can speak against it
            close = get_close_matches(name, known, n=1, cutoff=0.75)
            if close and not _extends(name, close[0]):
                yield document.mistake(
                    path,
                    "perhaps-misspelt",
                    f"`{name}` is no name of this file, and no case has such a field.",
                    f"Did you mean `{close[0]}`? A case whose event has the field ends this "
                    "warning.",
                    part=name,
                )


def _bare_words(
    mapping: SourceMapping, document: Document, seen: frozenset[str]
) -> Iterator[Mistake]:
    """Comparisons with a field that nothing shows to exist: often a text without its quotes."""
    known = {*seen, *_ALWAYS_THERE, *(name for many in _names(mapping).values() for name in many)}
    for path, text in _texts(document.data):
        if not _is_expression(path):
            continue
        for name in _compared(text):
            if name not in known:
                yield document.mistake(
                    path,
                    "perhaps-text",
                    f"compares with the field `{name}`, which no case has.",
                    f"For the text write '{name}' in single quotes. If the field is meant, a case "
                    "whose event has it ends this warning.",
                    part=name,
                )


def _compared(text: str) -> Iterator[str]:
    """The single names that stand on the right of a comparison."""
    try:
        found = tokens(text)
    except ValueError:
        return
    behind = [*found[2:], ("", "")]
    for before, (kind, value), after in zip(found, found[1:], behind, strict=False):
        alone = kind == "unquoted_identifier" and after[0] not in ("dot", "lparen", "lbracket")
        if alone and before[0] in ("eq", "ne"):
            yield value


def _extends(name: str, known: str) -> bool:
    """Whether one is the other with a word behind it, such as ``location`` and ``locationId``."""
    short, long = sorted((name, known), key=len)
    return name == known or (long.startswith(short) and len(long) - len(short) > 1)


def _is_expression(path: Path_) -> bool:
    if path[:1] == ("define",):
        return not {"value", "to", "default"} & set(path[2:])
    if path[:1] == ("rules",):
        below = path[2:3] in (("when",), ("lead",)) and not {"value", "to", "default"} & set(path)
        return below and path[-1] != "region"
    return path[2:3] in (("when",), ("ids",))


def _leading(text: str) -> Iterable[str]:
    """The names that an expression reads at the top of the event."""
    try:
        found = tokens(text)
    except ValueError:
        return
    depth = 0
    before = ""
    for place, (kind, value) in enumerate(found):
        if kind in ("lbracket", "filter", "lbrace"):
            depth += 1
        elif kind in ("rbracket", "rbrace"):
            depth -= 1
        after = found[place + 1][0] if place + 1 < len(found) else ""
        leads = depth == 0 and before not in ("dot", "pipe") and after != "lparen"
        if kind == "unquoted_identifier" and leads:
            yield value
        before = kind
