"""Words without which a body holds no opt-out, read off the rules of a mapping file.

A condition that compares something of the event with a text can only hold where that text stands
in the body, and one that asks for a field only where its name does. So most bodies can be told to
hold no opt-out by looking for a few words in them, at a tenth of what it takes to decode them and
to ask the rules. Words are only given where every rule that may opt out needs one of them; what is
not understood makes them unknown, never fewer.

They hold for JSON without a backslash: there every text of the document stands in the body as it
is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

from bridge.map.events import EventPlan
from bridge.map.expression import evaluate, is_false
from bridge.map.rules import Rule
from bridge.map.value import Value
from bridge.model import Json

MOST_WORDS = 32
"""Looking for more than so many would take as long as decoding does."""

Words: TypeAlias = frozenset[str]
"""At least one of them stands in the body; without any, what they are of is never the case."""

_Node: TypeAlias = Any

_NEVER: Words = frozenset()
_FROM_THE_BODY: Words = frozenset()
_OUTSIDE = frozenset({"_headers", "_query"})
"""What expressions see of a request beside its body."""
_ALWAYS_THERE = frozenset({"_body", "_event", "_item"})
_ON_TEXT = frozenset({"starts_with", "ends_with", "contains"})
_OF_A_LIST = frozenset({"index_expression", "projection", "filter_projection", "flatten"})
"""They give nothing where there is no list to begin with."""
_YES_OR_NO = frozenset({"comparator", "not_expression", "index"})
"""They hold no text; an index by itself gives an item of what it stands behind."""
_ONE_OF_THEM = frozenset({"and_expression", "or_expression", "multi_select_list"})
_INSIDE = _OF_A_LIST | {"subexpression", "pipe"}
"""What stands behind their first part sees what that gives, and nothing else."""


class _Told(NamedTuple):
    """What is known of a value. ``texts``: all that it may be or hold and that does not stand in
    the body. ``there``: words that it needs to be anything but null; ``true``: to be taken for
    true. None: unknown."""

    texts: Words | None
    there: Words | None
    true: Words | None


_UNKNOWN = _Told(None, None, None)


class _Scope(NamedTuple):
    """What names stand for. ``fixed``: what they have in every event."""

    defined: Mapping[str, _Told]
    fixed: Mapping[str, Json]


def opt_out_words(
    plan: EventPlan, rules: Iterable[Rule], fixed: Mapping[str, Json]
) -> Words | None:
    """Words of which one stands in every JSON body with an opt-out; None if there is no telling.

    ``fixed``: what rules see of look-ups and memory before there are any.
    """
    try:
        return _words(plan, rules, fixed)
    except RecursionError:
        return None


def _words(plan: EventPlan, rules: Iterable[Rule], fixed: Mapping[str, Json]) -> Words | None:
    nothing = _Scope({}, {})
    made = [_texts(plan.events.tree, None)]
    if plan.each is not None:
        made.append(_texts(plan.each.tree, nothing))
    if any(texts != _FROM_THE_BODY for texts in made):
        return None  # events hold what the file says
    defined: dict[str, _Told] = {}
    for name, value in plan.defined:
        defined[name] = _told(value, _Scope(defined, {}))
    scope = _Scope(defined, fixed)
    needed = [
        None if rule.when is None else _true(rule.when.tree, scope)
        for rule in rules
        if rule.do_not_call is not None and not _opts_in(rule.do_not_call)
    ]
    return _any(needed)


def _opts_in(value: Value) -> bool:
    return not value.sources and not value.steps and value.constant is False


def _told(value: Value, scope: _Scope) -> _Told:
    if not value.sources or value.steps or value.default is not None:
        return _UNKNOWN
    trees = [source.tree for source in value.sources]
    return _Told(*(_any(of(tree, scope) for tree in trees) for of in (_texts, _there, _true)))


def _any(found: Iterable[Words | None]) -> Words | None:
    """Where one of several is the case; unknown if one of them is, or if they are too many.

    Definitions made of one another would else hold ever more words, each a set of its own.
    """
    words: set[str] = set()
    for one in found:
        if one is None:
            return None
        words |= one
    return frozenset(words) if len(words) <= MOST_WORDS else None


def _all(found: Iterable[Words | None]) -> Words | None:
    """Where all of several are the case: the words that tell most."""
    known = [one for one in found if one is not None]
    return min(known, key=lambda one: (len(one), -min(map(len, one), default=0)), default=None)


def _texts(node: _Node, scope: _Scope | None) -> Words | None:
    """The texts that a value may be or hold and that do not stand in the body.

    ``scope`` None: the expression sees something of the body and nothing else.
    """
    kind, children = node["type"], node.get("children", ())
    if kind == "field":
        return _texts_of(node["value"], scope)
    if kind == "literal":
        return _held(node["value"])
    if kind in ("current", "identity"):
        return _FROM_THE_BODY if scope is None else None
    if kind in _YES_OR_NO or (kind == "function_expression" and node["value"] in _ON_TEXT):
        return _FROM_THE_BODY
    if kind in _INSIDE:
        first, *behind = children
        return _any([_texts(first, scope), *(_texts(child, None) for child in behind)])
    if kind in _ONE_OF_THEM or (kind == "function_expression" and node["value"] == "not_null"):
        return _any(_texts(child, scope) for child in children)
    return None


def _texts_of(name: str, scope: _Scope | None) -> Words | None:
    if scope is None:
        return _FROM_THE_BODY
    if name in scope.fixed:
        return _held(scope.fixed[name])
    if name in scope.defined:
        return scope.defined[name].texts
    return None if name in _OUTSIDE else _FROM_THE_BODY


def _held(value: Json) -> Words:
    """All texts of a value."""
    if isinstance(value, str):
        return frozenset((value,))
    if isinstance(value, dict):
        return frozenset(value).union(*map(_held, value.values()))
    return frozenset().union(*map(_held, value)) if isinstance(value, list) else frozenset()


def _there(node: _Node, scope: _Scope) -> Words | None:
    """Words that a value needs to be anything but null."""
    kind, children = node["type"], node.get("children", ())
    if _is_fixed(node, scope):
        return _NEVER if evaluate(node, dict(scope.fixed)) is None else None
    if kind == "field":
        name = node["value"]
        if name in scope.fixed or name in _OUTSIDE | _ALWAYS_THERE:
            return None
        told = scope.defined.get(name)
        return frozenset((name,)) if told is None else told.there
    if kind == "subexpression":
        return _of_field(node, scope, _there)
    if kind in _OF_A_LIST or kind == "and_expression":
        return _there(children[0], scope)
    if kind == "or_expression" or (kind, node.get("value")) == ("function_expression", "not_null"):
        return _any(_there(child, scope) for child in children)
    return None


def _true(node: _Node, scope: _Scope) -> Words | None:
    """Words that a value needs to be taken for true."""
    kind, children = node["type"], node.get("children", ())
    if _is_fixed(node, scope):
        return _NEVER if is_false(evaluate(node, dict(scope.fixed))) else None
    if kind == "field" and node["value"] not in scope.fixed and node["value"] in scope.defined:
        return scope.defined[node["value"]].true
    if kind == "comparator":
        return _compared(node, scope)
    if kind == "and_expression":
        return _all(_true(child, scope) for child in children)
    if kind == "or_expression":
        return _any(_true(child, scope) for child in children)
    if kind == "function_expression" and node["value"] in _ON_TEXT and len(children) == 2:
        whole, part = children
        return _on_text(node["value"], whole, part, scope)
    if kind == "function_expression" and node["value"] == "not_null":
        return _any(_true(child, scope) for child in children)
    if kind in _OF_A_LIST:
        return _true(children[0], scope)
    if kind == "subexpression":
        return _of_field(node, scope, _true)
    return _there(node, scope)


def _of_field(
    node: _Node, scope: _Scope, needs: Callable[[_Node, _Scope], Words | None]
) -> Words | None:
    """Fields of something: that has to be there, and each of their names in the body."""
    first, *behind = node["children"]
    if any(child["type"] != "field" for child in behind):
        return None
    names = [child["value"] for child in behind] if _texts(first, scope) == _FROM_THE_BODY else []
    return _all([needs(first, scope), *(frozenset((name,)) for name in names)])


def _compared(node: _Node, scope: _Scope) -> Words | None:
    left, right = node["children"]
    if left["type"] == "literal":
        left, right = right, left
    if right["type"] != "literal":
        return None
    constant = right["value"]
    if node["value"] == "ne":
        return _there(left, scope) if constant is None else None
    if constant is None:
        return None
    equal = node["value"] == "eq" and isinstance(constant, str)
    return _all([_there(left, scope), _one_of([constant], left, scope) if equal else None])


def _on_text(name: str, whole: _Node, part: _Node, scope: _Scope) -> Words | None:
    """``starts_with``, ``ends_with`` and ``contains`` with a text that the file has."""
    if part["type"] == "literal" and isinstance(part["value"], str):
        word, held = part["value"], _texts(whole, scope)
        if not word or held is None or any(word in text for text in held):
            return None
        return frozenset((word,))
    listed = _listed(whole) if name == "contains" else None
    return None if listed is None else _one_of(listed, part, scope)


def _one_of(texts: Sequence[Json], node: _Node, scope: _Scope) -> Words | None:
    """A value that is one of these texts, which then stands in the body."""
    held = _texts(node, scope)
    if held is None or not all(isinstance(one, str) and one for one in texts):
        return None
    words = frozenset(texts)
    return None if words & held else words


def _listed(node: _Node) -> Sequence[Json] | None:
    """The items of a list that the file has."""
    if node["type"] == "literal":
        return node["value"] if isinstance(node["value"], list) else None
    children = node.get("children", ())
    if node["type"] == "multi_select_list" and all(c["type"] == "literal" for c in children):
        return [child["value"] for child in children]
    return None


def _is_fixed(node: _Node, scope: _Scope) -> bool:
    """Whether a value is the same in every event."""
    kind, children = node["type"], node.get("children", ())
    if kind == "field":
        return node["value"] in scope.fixed
    if kind in ("current", "identity"):
        return False
    if kind in _INSIDE:
        return _is_fixed(children[0], scope)
    return all(_is_fixed(child, scope) for child in children if isinstance(child, dict))
