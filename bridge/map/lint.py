"""Expressions that compile but do not mean what their author thinks."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

from bridge.map.expression import Expression, tokens, walk

_COMPARATORS = frozenset({"eq", "ne", "lt", "gt", "lte", "gte"})
_CONSTANTS = frozenset({"true", "false", "null"})
_MEANT = {"yes": "true", "on": "true", "no": "false", "off": "false", "none": "null"}
_ALONE = frozenset(
    form for word in (*_CONSTANTS, *_MEANT) for form in (word, word.capitalize(), word.upper())
)
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_TEXT_FUNCTIONS = frozenset({"contains", "starts_with", "ends_with"})


class Use(Enum):
    """What an expression is for."""

    VALUE = auto()
    WHEN = auto()
    DO_NOT_CALL = auto()


@dataclass(frozen=True, slots=True)
class Trap:
    """One trap found; the message goes on from the key: "compares …"."""

    code: str
    message: str
    hint: str
    part: str = ""


def traps(expression: Expression, use: Use) -> Iterable[Trap]:
    """The traps in an expression."""
    yield from _words(expression)
    if use is Use.DO_NOT_CALL:
        if any(_swallows_false(node) for node in walk(expression.tree)):
            yield Trap(
                "or-swallows-false",
                "uses `||`, which takes an explicit false for nothing and goes on to the next.",
                "Write {first: [a, b]} in place of `a || b`.",
                "||",
            )
        yield from negations(expression)


def negations(expression: Expression) -> Iterable[Trap]:
    """``!x`` on a path: true also where the field is missing."""
    for node in walk(expression.tree):
        if node["type"] != "not_expression" or not _is_path(node["children"][0]):
            continue
        path = _path_text(node["children"][0])
        if path.startswith("_"):
            continue
        yield Trap(
            "not-of-missing",
            f"uses `!{path}`, which holds also where the field is missing: silence would become "
            "an opt-out.",
            f"Write {path} == `false`.",
            f"!{path}",
        )


def _words(expression: Expression) -> Iterable[Trap]:
    found = [("", ""), *tokens(expression.source), ("", "")]
    alone = len(found) in (3, 4)  # the lexer may add the end
    if alone and found[1][0] == "unquoted_identifier" and found[1][1] in _ALONE:
        word = found[1][1]
        constant = word.lower() if word.lower() in _CONSTANTS else _MEANT[word.lower()]
        yield Trap(
            "bare-constant",
            f"is the field named `{word}`, not the value.",
            f"Write `{constant}` in backticks, or {{value: {constant}}} for a constant.",
            str(word),
        )
        return
    by_setting = "${" in expression.text  # whose value may be any name
    plain = found[1][0] == "quoted_identifier" and _PLAIN.match(str(found[1][1]))
    if alone and plain and not by_setting:
        word = found[1][1]
        yield Trap(
            "double-quotes",
            f'is the field named "{word}", not that text.',
            f"Write {{value: {word}}} for a constant, or {word} without quotes for the field.",
            f'"{word}"',
        )
        return
    for before, token, after in zip(found, found[1:], found[2:], strict=False):
        kind, word = token
        beside = (before[0] in _COMPARATORS and after[0] not in ("dot", "lparen")) or (
            after[0] in _COMPARATORS and before[0] != "dot"
        )
        if kind == "unquoted_identifier" and word in _CONSTANTS and beside:
            yield Trap(
                "bare-constant",
                f"compares with the field named `{word}`, not with the value.",
                f"Write it in backticks: `{word}`.",
                str(word),
            )
        if kind == "quoted_identifier" and before[0] in _COMPARATORS and after[0] != "dot":
            yield Trap(
                "double-quotes",
                f'compares with the field named "{word}", not with that text.',
                f"Write single quotes: '{word}'.",
                f'"{word}"',
            )
    for node in walk(expression.tree):
        if node["type"] != "function_expression" or node["value"] not in _TEXT_FUNCTIONS:
            continue
        last = node["children"][-1]
        if last["type"] == "field" and ("quoted_identifier", last["value"]) in found:
            yield Trap(
                "double-quotes",
                f'looks for the content of the field "{last["value"]}", not for that text.',
                f"Write single quotes: '{last['value']}'.",
                f'"{last["value"]}"',
            )


def _swallows_false(node: Any) -> bool:
    return node["type"] == "or_expression" and not all(_is_boolean(c) for c in node["children"])


def _is_boolean(node: Any) -> bool:
    kind = node["type"]
    if kind in ("or_expression", "and_expression"):
        return all(_is_boolean(child) for child in node["children"])
    return kind in ("comparator", "not_expression") or (
        kind == "function_expression" and node["value"] in _TEXT_FUNCTIONS
    )


def _is_path(node: Any) -> bool:
    return node["type"] in ("field", "subexpression", "index_expression")


def _path_text(node: Any) -> str:
    if node["type"] == "field":
        return str(node["value"])
    if node["type"] == "index":
        return f"[{node['value']}]"
    return ".".join(
        _path_text(child) for child in node.get("children", ()) if isinstance(child, dict)
    )
