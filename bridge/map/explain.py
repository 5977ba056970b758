"""Why an expression holds for an event or does not, part by part and with the values it met."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from bridge.map.expression import evaluate, is_false
from bridge.map.expression_text import text_of
from bridge.model import Json


@dataclass(frozen=True, slots=True)
class Finding:
    """One condition of an expression: its text, whether it holds, the values that it met.

    ``holds`` None: it was not asked, since the conditions before it had decided.
    """

    text: str
    holds: bool | None
    values: dict[str, Json] = field(default_factory=dict)


def findings(tree: Any, view: Json) -> list[Finding]:
    """The conditions of an expression between ``&&`` and ``||``, in their order."""
    return list(_walk(tree, view, asked=True))


def _walk(node: Any, view: Json, *, asked: bool) -> Iterator[Finding]:
    kind = node["type"]
    if kind not in ("and_expression", "or_expression"):
        yield _leaf(node, view) if asked else Finding(text_of(node), None)
        return
    for child in node["children"]:
        yield from _walk(child, view, asked=asked)
        held = not is_false(evaluate(child, view)) if asked else False
        if asked and held == (kind == "or_expression"):
            asked = False


def _leaf(node: Any, view: Json) -> Finding:
    values = {}
    for path in _paths(node):
        values[text_of(path)] = evaluate(path, view)
    return Finding(text_of(node), not is_false(evaluate(node, view)), values)


def _paths(node: Any) -> Iterator[Any]:
    """The paths into the event that a condition reads, each once at its longest."""
    if node["type"] in ("literal", "current", "identity", "expref"):
        return
    if node["type"] in _PATHS:
        yield node
        return
    seen: set[str] = set()
    for child in node.get("children", ()):
        if isinstance(child, dict):
            for path in _paths(child):
                if text_of(path) not in seen:
                    seen.add(text_of(path))
                    yield path


_PATHS = frozenset(
    {
        "field",
        "subexpression",
        "index_expression",
        "projection",
        "value_projection",
        "filter_projection",
        "flatten",
    }
)


def alternatives(tree: Any) -> list[Any]:
    """The operands of every ``||`` of an expression, as far as ``&&`` and ``||`` reach."""
    found: list[Any] = []
    waiting = [tree]
    while waiting:
        node = waiting.pop(0)
        if node["type"] == "or_expression":
            found += [c for c in node["children"] if c["type"] != "or_expression"]
        if node["type"] in ("or_expression", "and_expression"):
            waiting += node["children"]
    return found


def decides(tree: Any, wanted: Any, view: Json) -> bool:
    """Whether an operand of a ``||`` is what decides for this event: it is asked, and it holds.

    An empty constant, such as the last operand of ``a || b || ''``, never holds: it decides where
    it is asked, since nothing before it did.
    """
    held = _asked_and_held(tree, wanted, view)
    return held is not None if is_empty(wanted) else held is True


def is_empty(node: Any) -> bool:
    """Whether a part of an expression is a constant that JMESPath takes for false."""
    return node["type"] == "literal" and is_false(node["value"])


def _asked_and_held(node: Any, wanted: Any, view: Json) -> bool | None:
    """None: the operand does not stand below, or was not asked."""
    if node is wanted:
        return not is_false(evaluate(node, view))
    if node["type"] not in ("and_expression", "or_expression"):
        return None
    for child in node["children"]:
        found = _asked_and_held(child, wanted, view)
        if found is not None:
            return found
        held = not is_false(evaluate(child, view))
        if held == (node["type"] == "or_expression"):
            return None
    return None
