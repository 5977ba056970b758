"""Whether the opt-outs of a file may be taken in before what came earlier."""

from __future__ import annotations

from collections.abc import Iterable

from bridge.map.expression import Expression, walk
from bridge.map.route import ALL, Route
from bridge.map.rules import Rule

_OPTED_OUT = frozenset({"_known", "opted_out"})


def holds_in_any_order(rules: Iterable[Rule]) -> bool:
    """Whether no opt-out is lost if an earlier event of its contact is mapped after it."""
    return not unrepeated(rules)


def unrepeated(rules: Iterable[Rule]) -> list[Rule]:
    """The rules whose opt-outs would be lost.

    One that goes to remembered numbers misses those that the earlier event brings, unless a rule
    repeats, with that event, that the contact is opted out, in all campaigns that were meant.
    """
    opting_out = [rule for rule in rules if rule.do_not_call is not None]
    repeated = [rule.route for rule in opting_out if _repeats(rule)]
    return [
        rule
        for rule in opting_out
        if rule.recalls
        and not _repeats(rule)
        and not any(_reaches(route, rule.route) for route in repeated)
    ]


def _repeats(rule: Rule) -> bool:
    """Whether the rule opts out because of what is remembered."""
    read = [] if rule.when is None else [rule.when]
    if rule.do_not_call is not None:
        read += rule.do_not_call.sources
    return any(one.names >= _OPTED_OUT and not _compared(one) for one in read)


def _compared(expression: Expression) -> bool:
    """Whether what is remembered is negated or compared: who knows then what it takes to hold."""
    return any(
        below["type"] == "field" and below["value"] == "_known"
        for node in walk(expression.tree)
        if node["type"] in ("not_expression", "comparator")
        for below in walk(node)
    )


def _reaches(route: Route, other: Route) -> bool:
    """Whether one speaks to all campaigns of the other, whatever the event."""
    if route.source is not None:
        return False
    return ALL in route.names or route == other
