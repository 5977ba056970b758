"""JMESPath: compiled once, evaluated often, never raising. The one home of jmespath.

The language: https://jmespath.org/specification.html. The parser is the library's; the frequent
kinds of node are turned into closures, which cost a fraction of a walk over the tree, and the
others are left to the library's interpreter.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeAlias

from jmespath import exceptions, functions, lexer, parser, visitor

from bridge.map.nearest import advice
from bridge.map.unusable import Unusable
from bridge.model import Json

LONGEST = 500
MOST_GROWTH = 1000
"""How often an expression may repeat what it is given; ``[@, @][] | [@, @][]`` does so 4 times."""

LONGEST_LIST = 100_000
"""Items of a list that an expression may make; what would be longer is absent."""

_DONE_BY_TRANSFORMS = frozenset({"lower", "upper", "trim", "replace", "split", "format", "date"})

Run: TypeAlias = Callable[[Json], Json]
_Node: TypeAlias = Any

_INTERPRETER = visitor.TreeInterpreter
FAILURES = (  # what ``run`` may raise
    exceptions.JMESPathError,
    ArithmeticError,
    AttributeError,
    LookupError,
    RecursionError,
    TypeError,
    ValueError,
)


class ExpressionError(ValueError):
    """An expression that cannot be compiled; ``hint`` says what to write.

    ``part`` is the piece of its text that is wrong, as far as that is known.
    """

    def __init__(self, message: str, hint: str, part: str = "") -> None:
        self.hint = hint
        self.part = part
        super().__init__(message)


class Expression:
    """A compiled expression. ``text`` is as written in the file, for people."""

    __slots__ = ("names", "run", "source", "text", "tree")

    def __init__(self, source: str, text: str | None = None) -> None:
        self.source = str(source)
        self.text = text or self.source
        self.tree = _parse(self.source)
        try:
            self.run: Run = _compile(self.tree)
            self.names = frozenset(
                node["value"] for node in walk(self.tree) if node["type"] == "field"
            )
            grows = growth(self.tree, {})
        except RecursionError:
            raise ExpressionError(
                f"`{self.text}` is nested too deeply.", "Split it over several rules."
            ) from None
        if grows > MOST_GROWTH:
            raise ExpressionError(
                f"`{self.text}` repeats what it is given more than {MOST_GROWTH} times.",
                "Take out lists of lists of the same thing.",
            )

    def get(self, view: Json, notes: list[str]) -> Json:
        """The value, None if absent; an expression that fails is absent and leaves a note."""
        try:
            return self.run(view)
        except FAILURES as error:
            notes.append(f"`{self.text}` gives nothing: {_why(error)}")
            return None

    def holds(self, view: Json, notes: list[str]) -> bool:
        """Whether the value is neither false, null nor something empty."""
        try:
            value = self.run(view)
        except FAILURES:
            value = self.get(view, notes)
        if value is True:
            return True
        return value is not None and value is not False and not is_false(value)

    def take(self, value: Json) -> Json:
        """The value for use in a transform. Errors: ``Unusable``."""
        try:
            return self.run(value)
        except FAILURES as error:
            raise Unusable(f"`{self.text}` gives nothing: {_why(error)}") from None


def _parse(source: str) -> _Node:
    if not source.strip():
        raise ExpressionError("the expression is empty.", "Write a path such as contact.phone.")
    if len(source) > LONGEST:
        raise ExpressionError(
            f"the expression has {len(source)} characters; {LONGEST} are the most.",
            "Split it over several rules.",
        )
    try:
        tree = parser.Parser().parse(source).parsed
    except exceptions.ParseError as error:
        at = getattr(error, "lex_position", None)
        token = getattr(error, "token_value", "")
        where = f" at character {at + 1} (`{token}`)" if isinstance(at, int) and token else ""
        raise ExpressionError(
            f"`{source}` is not a JMESPath expression{where}.",
            _hint(source, token),
            str(token) if token is not None else "",
        ) from None
    except FAILURES:
        raise ExpressionError(
            f"`{source}` is not a JMESPath expression.", "See https://jmespath.org/tutorial.html."
        ) from None
    _check_functions(tree, source)
    return tree


def growth(tree: _Node, grown: Mapping[str, int]) -> int:
    """A bound for how many times the result repeats what the expression is given.

    ``grown``: the same for names that stand for other expressions.
    """
    kind = tree["type"]
    if kind == "field":
        return grown.get(tree["value"], 1)
    if kind in _YES_OR_NO:
        return 1
    children = [child for child in tree.get("children", ()) if isinstance(child, dict)]
    below = [growth(child, grown) for child in children]
    if kind == "filter_projection":
        below = below[:2]
    if kind in _EITHER:
        return max(below, default=1)
    if kind in _ONE_AFTER_ANOTHER:
        product = 1
        for one in below:
            product = min(product * max(one, 1), MOST_GROWTH * MOST_GROWTH)
        return product
    return max(1, sum(below))


_YES_OR_NO = frozenset({"comparator", "not_expression"})
_EITHER = frozenset({"and_expression", "or_expression"})
_ONE_AFTER_ANOTHER = frozenset(
    {"subexpression", "pipe", "index_expression", "projection", "value_projection"}
    | {"filter_projection", "flatten"}
)
_INSTEAD = {"=": "==", "and": "&&", "or": "||", "not": "!", "is": "==", "<>": "!=", "===": "=="}


def _hint(source: str, token: Any) -> str:
    """What to write in place of a token that does not belong where it stands."""
    if isinstance(token, str) and token.lower() in _INSTEAD:
        return f"Write `{_INSTEAD[token.lower()]}`."
    if isinstance(token, int | float) and not isinstance(token, bool):
        return f"Numbers go in backticks: `{token}`."
    if isinstance(token, str) and token[:1] in ("'", '"', "`") and source.count(token[0]) % 2:
        return f"Close the text with {token[0]}."
    if source.count("(") > source.count(")"):
        return "Close the bracket with `)`."
    return (
        "Text goes in single quotes ('x'), numbers and true/false/null in backticks "
        "(`true`), odd field names in double quotes."
    )


def _check_functions(tree: _Node, source: str) -> None:
    for node in walk(tree):
        if node["type"] != "function_expression":
            continue
        name = node["value"]
        entry = functions.Functions.FUNCTION_TABLE.get(name)
        if entry is None:
            hint = advice(name, functions.Functions.FUNCTION_TABLE)
            if name in _DONE_BY_TRANSFORMS:
                hint = "Values are changed by transforms, such as {from: name, to: trim}."
            raise ExpressionError(
                f"`{source}` calls `{name}()`, which JMESPath does not have.", hint, name
            )
        signature, given = entry["signature"], len(node["children"])
        variadic = bool(signature) and bool(signature[-1].get("variadic"))
        if given < len(signature) or (given > len(signature) and not variadic):
            more = " or more" if variadic else ""
            raise ExpressionError(
                f"`{source}` calls `{name}()` with {given} argument{'' if given == 1 else 's'}.",
                f"Give it {len(signature)}{more}.",
                name,
            )


def parse(source: str) -> Any:
    """The tree of an expression, not compiled. Errors: ``ExpressionError``."""
    return _parse(source)


def evaluate(tree: Any, view: Json) -> Json:
    """What a part of an expression gives, None where it fails; for explanations, so not quick."""
    try:
        return _compile(tree)(view)
    except FAILURES:
        return None


def walk(tree: _Node) -> Iterable[_Node]:
    """Every node of a tree, from the top."""
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            yield node
            waiting.extend(node.get("children", ()))


def tokens(source: str) -> list[tuple[str, Any]]:
    """Kind and value of every token of an expression that parses."""
    return [(token["type"], token["value"]) for token in lexer.Lexer().tokenize(source)]


def _why(error: BaseException) -> str:
    if isinstance(error, exceptions.JMESPathTypeError):
        return f"{error.function_name}() cannot take a value of type {error.actual_type}"
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    if isinstance(error, TypeError):
        return "it compares or joins values of different types"
    return f"it fails ({type(error).__name__})"


def is_false(value: Json) -> bool:
    """Whether JMESPath takes a value for false: false, null, and what is empty."""
    if value is None or value is False:
        return True
    return not value and isinstance(value, _WHAT_CAN_BE_EMPTY)


_WHAT_CAN_BE_EMPTY = (str, list, dict)


# The rules of equality and order are the library's own: 1 is not true, and only numbers and texts
# have an order.
_COMPARE = _INTERPRETER.COMPARATOR_FUNC


def _compile(node: _Node) -> Run:
    make = _MAKERS.get(node["type"])
    if make is not None:
        return make(node)
    interpreter = _INTERPRETER()
    return lambda value: interpreter.visit(node, value)


def _field(node: _Node) -> Run:
    name = node["value"]
    return lambda value: value.get(name) if isinstance(value, dict) else None


def _path(names: Sequence[str]) -> Run:
    """Fields of fields, as most expressions are: ``contact.address.city``."""

    first, *others = names

    def run(value: Json) -> Json:
        found = value.get(first) if isinstance(value, dict) else None
        if found is None:
            return None
        for name in others:
            if not isinstance(found, dict):
                return None
            found = found.get(name)
        return found

    return run


def _subexpression(node: _Node) -> Run:
    if names := _names_of(node):
        return _path(names)
    steps = [_compile(child) for child in node["children"]]
    if len(steps) == 2:
        first, second = steps
        return lambda value: second(first(value))

    def run(value: Json) -> Json:
        for step in steps:
            value = step(value)
        return value

    return run


def _names_of(node: _Node) -> list[str]:
    """The names of a path; none if the expression is more than one."""
    if node["type"] == "field":
        return [node["value"]]
    if node["type"] != "subexpression":
        return []
    parts = [_names_of(child) for child in node["children"]]
    return [name for part in parts for name in part] if all(parts) else []


def _literal(node: _Node) -> Run:
    constant = node["value"]
    return lambda _value: constant


def _comparator(node: _Node) -> Run:
    kind = node["value"]
    compare = _COMPARE[kind]
    left, right = (_compile(child) for child in node["children"])
    literal = node["children"][1]
    constant, same = literal.get("value"), kind == "eq"
    if kind in ("eq", "ne") and literal["type"] == "literal" and _is_word(constant):
        if not isinstance(constant, str):
            return lambda value: (left(value) is constant) is same
        if node["children"][0]["type"] == "field":
            name = node["children"][0]["value"]
            return lambda value: (
                ((value.get(name) if isinstance(value, dict) else None) == constant) is same
            )
        return lambda value: (left(value) == constant) is same
    if kind in ("eq", "ne"):
        return lambda value: compare(left(value), right(value))

    def ordered(value: Json) -> Json:
        one, other = left(value), right(value)
        if _has_order(one) and _has_order(other):
            return compare(one, other)
        return None

    return ordered


def _is_word(constant: Json) -> bool:
    """Whether equality with it needs none of the library's care for 0 and 1."""
    return constant is None or isinstance(constant, (str, bool))


def _has_order(value: Json) -> bool:
    return isinstance(value, _WHAT_HAS_ORDER) and not isinstance(value, bool)


_WHAT_HAS_ORDER = (int, float, str)


def _and(node: _Node) -> Run:
    *before, last = [_compile(one) for one in _chain(node)]

    def run(value: Json) -> Json:
        for one in before:
            found = one(value)
            if found is not True and is_false(found):
                return found
        return last(value)

    return run


def _or(node: _Node) -> Run:
    *before, last = [_compile(one) for one in _chain(node)]

    def run(value: Json) -> Json:
        for one in before:
            found = one(value)
            if found is True or not is_false(found):
                return found
        return last(value)

    return run


def _chain(node: _Node) -> list[_Node]:
    """The parts of ``a && b && c``, or of ``a || b || c``, which the parser nests."""
    parts: list[_Node] = []
    for child in node["children"]:
        parts += _chain(child) if child["type"] == node["type"] else [child]
    return parts


def _not(node: _Node) -> Run:
    inner = _compile(node["children"][0])
    return lambda value: is_false(inner(value))


def _list(node: _Node) -> Run:
    if all(child["type"] == "literal" for child in node["children"]):
        constant = [child["value"] for child in node["children"]]
        return lambda value: None if value is None else constant
    items = [_compile(child) for child in node["children"]]
    return lambda value: None if value is None else [item(value) for item in items]


def _function(node: _Node) -> Run:
    name = node["value"]
    arguments = [_compile(child) for child in node["children"]]
    if name == "not_null":

        def first(value: Json) -> Json:
            for argument in arguments:
                found = argument(value)
                if found is not None:
                    return found
            return None

        return first
    if any(child["type"] == "expref" for child in node["children"]):
        interpreter = _INTERPRETER()
        return lambda value: interpreter.visit(node, value)
    call: Callable[[str, list[Json]], Json] = functions.Functions().call_function
    if name in _ON_TEXT and len(arguments) == 2:
        subject, part = arguments
        direct = _ON_TEXT[name]

        def on_text(value: Json) -> Json:
            whole, wanted = subject(value), part(value)
            if isinstance(wanted, str) and isinstance(whole, str):
                return direct(whole, wanted)
            if name == "contains" and isinstance(whole, list):
                return wanted in whole
            return call(name, [whole, wanted])

        return on_text
    return lambda value: call(name, [argument(value) for argument in arguments])


# The library checks types at length before it does these; text needs no such check.
_ON_TEXT: dict[str, Callable[[str, str], bool]] = {
    "starts_with": str.startswith,
    "ends_with": str.endswith,
    "contains": str.__contains__,
}


def _index(node: _Node) -> Run:
    place = node["value"]

    def run(value: Json) -> Json:
        if not isinstance(value, list):
            return None
        return value[place] if -len(value) <= place < len(value) else None

    return run


def _flatten(node: _Node) -> Run:
    base = _compile(node["children"][0])

    def run(value: Json) -> Json:
        found = base(value)
        if not isinstance(found, list):
            return None
        merged: list[Json] = []
        for item in found:
            if isinstance(item, list):
                merged.extend(item)
            else:
                merged.append(item)
            if len(merged) > LONGEST_LIST:
                raise ValueError("a list grows too long")
        return merged

    return run


def _projection(node: _Node) -> Run:
    base, each = (_compile(child) for child in node["children"])

    def run(value: Json) -> Json:
        found = base(value)
        if not isinstance(found, list):
            return None
        return [one for one in map(each, found) if one is not None]

    return run


def _filter(node: _Node) -> Run:
    base, each, holds = (_compile(child) for child in node["children"])

    def run(value: Json) -> Json:
        found = base(value)
        if not isinstance(found, list):
            return None
        kept = (each(item) for item in found if not is_false(holds(item)))
        return [one for one in kept if one is not None]

    return run


_MAKERS: dict[str, Callable[[_Node], Run]] = {
    "field": _field,
    "subexpression": _subexpression,
    "literal": _literal,
    "comparator": _comparator,
    "and_expression": _and,
    "or_expression": _or,
    "not_expression": _not,
    "multi_select_list": _list,
    "function_expression": _function,
    "index": _index,
    "index_expression": _subexpression,
    "pipe": _subexpression,
    "flatten": _flatten,
    "projection": _projection,
    "filter_projection": _filter,
    "current": lambda _node: lambda value: value,
    "identity": lambda _node: lambda value: value,
}
