"""A JMESPath expression in a mapping file: compiled once, its traps told."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

from marshmallow import ValidationError

from bridge.map.expression import LONGEST, Expression, ExpressionError
from bridge.map.kinds import (
    Definitions,
    Fault,
    Kind,
    faulty,
    kind_of,
    quoted,
)
from bridge.map.lint import Trap, Use, traps
from bridge.map.substitution import Filled, missing_in, raw
from bridge.model import Json

MOST_KEPT = 2_000
"""Expressions that are kept compiled: files repeat many of theirs, and ``mapping check`` reads each
file several times, as it is used and as its cases see it."""


class Expr(Kind):
    """A JMESPath expression, compiled; ``use`` decides which traps are looked for."""

    what = "an expression"

    def __init__(self, use: Use = Use.VALUE, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.use = use

    def read(self, value: Json) -> Any:
        """The compiled expression."""
        return compiled(value, self.use)

    def json_schema(self, definitions: Definitions) -> dict[str, Json]:
        del definitions
        return {"type": "string", "minLength": 1, "maxLength": LONGEST}


_NUMBER = re.compile(r"\+?[0-9][0-9 ().\-/]{4,}\Z|\+?\([0-9][0-9 ().\-/]{4,}\Z")


def compiled(value: Json, use: Use = Use.VALUE) -> Expression:
    """The expression in a text of the file. Errors: ``ValidationError`` with faults."""
    if not isinstance(value, str):
        word = {True: "true", False: "false"}.get(value) if isinstance(value, bool) else None
        hint = "Put the expression in quotes."
        if use is Use.WHEN and value is True:
            hint = "Leave `when` out: the rule then always applies."
        elif word is not None or isinstance(value, int | float):
            hint = f"For a constant write {{value: {word or value}}}."
        raise faulty("wrong-type", f"must be an expression, not {kind_of(value)}.", hint)
    if isinstance(value, Filled) and any(set(put) & set("'\"`\\") for put in value.put):
        raise faulty(
            "unsafe-setting",
            f"takes a setting that holds a quote, a backtick or a backslash: {quoted(value)}.",
            "Change that setting; inside an expression these would change its meaning.",
        )
    written = str(raw(value))
    if _NUMBER.match(written):
        raise faulty(
            "number-as-expression",
            f"must be an expression; {quoted(value)} is the number itself.",
            f'For a constant write {{value: "{written}"}}.',
        )
    try:
        expression, found = _compiled(str(value), written, use)
    except ExpressionError as error:
        if not missing_in(value):
            raise _unreadable(error) from None
        # A bare placeholder such as test-NAME is no identifier; its underscored form is one.
        try:
            expression, found = _compiled(str(value).replace("test-", "test_"), written, use)
        except ExpressionError:
            raise _unreadable(error) from None
    if found:
        faults = [Fault(trap.code, trap.message, trap.hint, trap.part) for trap in found]
        raise ValidationError(list[Any](faults))
    return expression


@lru_cache(maxsize=MOST_KEPT)
def _compiled(source: str, written: str, use: Use) -> tuple[Expression, tuple[Trap, ...]]:
    """The expression and its traps. Errors: ``ExpressionError``."""
    expression = Expression(source, written)
    return expression, tuple(traps(expression, use))


def _unreadable(error: ExpressionError) -> ValidationError:
    return faulty("bad-expression", f"cannot be read: {error}", error.hint, error.part)
