"""What can be said of a condition without any event: that it never holds, that another implies it.

A setting in an expression may have any value, so nothing is concluded from it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from bridge.map.expression import ExpressionError, evaluate, is_false, parse
from bridge.map.expression_text import text_of

_REFERENCE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-[^{}]*)?\}")
_MARK = "setting__"


def tree_of(written: str) -> Any:
    """The tree of an expression as written in the file; None where it cannot be told."""
    try:
        return parse(_REFERENCE.sub(lambda found: f"{_MARK}{found[1]}", written))
    except ExpressionError:
        return None


def written_text(node: Any) -> str:
    """The text of a part of such a tree, with its settings as the file has them."""
    return re.sub(_MARK + r"([A-Za-z0-9_]+)", r"${\1}", text_of(node))


def never(tree: Any) -> str:
    """Why a condition can never hold, in words; empty if it may."""
    if tree["type"] == "or_expression":
        reasons = [never(child) for child in tree["children"]]
        return reasons[0] if all(reasons) else ""
    parts = list(conjuncts(tree))
    for part in parts:
        if part["type"] == "or_expression":
            if reason := never(part):
                return reason
        elif _constant(part) and is_false(evaluate(part, {})):
            return "a part of it is always false"
    return _contradiction(parts)


def conjuncts(tree: Any) -> Iterator[Any]:
    """The conditions that must all hold."""
    if tree["type"] == "and_expression":
        for child in tree["children"]:
            yield from conjuncts(child)
    else:
        yield tree


def implies(specific: Any, general: Any) -> bool:
    """Whether ``general`` holds whenever ``specific`` does, as far as their texts show.

    None stands for a condition that always holds.
    """
    if general is None:
        return True
    if specific is None:
        return False
    has = {_same(part) for part in conjuncts(specific)}
    return all(_same(part) in has for part in conjuncts(general))


def _same(node: Any) -> str:
    return json.dumps(node, sort_keys=True, default=str)


def _constant(node: Any) -> bool:
    """Whether a condition reads nothing of the event, and no setting."""
    kind = node["type"]
    if kind == "literal":
        return _MARK not in str(node["value"])
    if kind in ("comparator", "not_expression", "and_expression", "or_expression"):
        return all(_constant(child) for child in node["children"])
    return False


def _contradiction(parts: list[Any]) -> str:
    """Why conditions cannot hold together."""
    values: dict[str, tuple[str, set[str]]] = {}
    texts = {_same(part) for part in parts}
    for part in parts:
        if part["type"] == "not_expression" and _same(part["children"][0]) in texts:
            return "it asks for something and for its opposite"
        allowed = _allowed(part)
        if allowed is None:
            continue
        path, words = allowed
        if path in values and not values[path][1] & words:
            one, other = min(values[path][1]), min(words)
            return f"the same field cannot be {one} and {other} at once"
        values[path] = (path, words & values[path][1] if path in values else words)
    for part in parts:
        if part["type"] == "comparator" and part["value"] == "ne":
            left, right = part["children"]
            known = values.get(_same(left))
            if right["type"] == "literal" and known and known[1] == {_word(right)}:
                return f"the same field cannot be and not be {_word(right)} at once"
    return ""


def _allowed(node: Any) -> tuple[str, set[str]] | None:
    """A path and the values that a condition leaves it, where it is such a condition."""
    if node["type"] == "comparator" and node["value"] == "eq":
        left, right = node["children"]
        if left["type"] == "literal":
            left, right = right, left
        if right["type"] == "literal" and left["type"] != "literal" and _constant(right):
            return _same(left), {_word(right)}
    if node["type"] == "function_expression" and node["value"] == "contains":
        listed, path = node["children"]
        items = listed.get("children") if listed["type"] == "multi_select_list" else None
        if items and all(item["type"] == "literal" and _constant(item) for item in items):
            return _same(path), {_word(item) for item in items}
    return None


def _word(literal: Any) -> str:
    return json.dumps(literal["value"], ensure_ascii=False, sort_keys=True)
