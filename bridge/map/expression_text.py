"""A part of an expression as text again, for people: the parser keeps no places."""

from __future__ import annotations

import json
import re
from functools import reduce
from typing import Any

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_COMPARATORS = {"eq": "==", "ne": "!=", "lt": "<", "lte": "<=", "gt": ">", "gte": ">="}


def text_of(node: Any) -> str:
    """The text of a node of the parser's tree, with the brackets that it needs."""
    make = _TEXTS.get(node["type"])
    return make(node) if make is not None else "…"


def _children(node: Any) -> list[str]:
    return [text_of(child) for child in node["children"]]


def _field(node: Any) -> str:
    name = str(node["value"])
    return name if _PLAIN.match(name) else json.dumps(name, ensure_ascii=False)


def _literal(node: Any) -> str:
    value = node["value"]
    if isinstance(value, str):
        return "'" + value.replace("'", "\\'") + "'"
    return f"`{json.dumps(value, ensure_ascii=False)}`"


_LOOSER = {
    "or": frozenset({"pipe"}),
    "and": frozenset({"pipe", "or_expression"}),
    "not": frozenset({"pipe", "or_expression", "and_expression", "comparator"}),
}


def _operand(node: Any, inside: str) -> str:
    text = text_of(node)
    return f"({text})" if node["type"] in _LOOSER[inside] else text


def _slice(node: Any) -> str:
    start, stop, step = ("" if part is None else str(part) for part in node["children"])
    return f"[{start}:{stop}" + (f":{step}]" if step else "]")


def _path(node: Any) -> str:
    return reduce(_dotted, _children(node))


def _dotted(base: str, rest: str) -> str:
    if rest == "@" or not rest:
        return base
    if not base or base == "@":
        return rest
    return f"{base}{rest}" if rest.startswith("[") else f"{base}.{rest}"


def _projected(mark: str) -> Any:
    def make(node: Any) -> str:
        base, rest = _children(node)[:2]
        base = "" if base == "@" else base
        if _projects(node["children"][0]):
            return _dotted(base, rest)
        return _dotted(base + mark, rest)

    return make


def _projects(node: Any) -> bool:
    """Whether the brackets of a node make a projection by themselves."""
    kind: str = node["children"][-1]["type"] if node["type"] == "index_expression" else node["type"]
    return kind in ("slice", "flatten")


def _filter(node: Any) -> str:
    base, rest, holds = _children(node)
    return _dotted(f"{'' if base == '@' else base}[?{holds}]", rest)


def _pairs(node: Any) -> str:
    return "{" + ", ".join(_children(node)) + "}"


_TEXTS: dict[str, Any] = {
    "field": _field,
    "literal": _literal,
    "current": lambda _node: "@",
    "identity": lambda _node: "@",
    "index": lambda node: f"[{node['value']}]",
    "slice": _slice,
    "subexpression": _path,
    "index_expression": _path,
    "pipe": lambda node: " | ".join(_children(node)),
    "flatten": lambda node: f"{'' if _children(node)[0] == '@' else _children(node)[0]}[]",
    "projection": _projected("[*]"),
    "value_projection": _projected(".*"),
    "filter_projection": _filter,
    "comparator": lambda node: f" {_COMPARATORS[node['value']]} ".join(_children(node)),
    "and_expression": lambda node: " && ".join(_operand(c, "and") for c in node["children"]),
    "or_expression": lambda node: " || ".join(_operand(c, "or") for c in node["children"]),
    "not_expression": lambda node: f"!{_operand(node['children'][0], 'not')}",
    "multi_select_list": lambda node: f"[{', '.join(_children(node))}]",
    "multi_select_dict": _pairs,
    "key_val_pair": lambda node: f"{node['value']}: {_children(node)[0]}",
    "function_expression": lambda node: f"{node['value']}({', '.join(_children(node))})",
    "expref": lambda node: f"&{_children(node)[0]}",
}
