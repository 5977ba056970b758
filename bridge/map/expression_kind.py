"""A JMESPath expression in a mapping file: compiled once, its traps told."""

from __future__ import annotations

import re
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
from bridge.map.lint import Use, traps
from bridge.map.substitution import Filled, missing_in, raw
from bridge.model import Json


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
        expression = Expression(str(value), written)
    except ExpressionError as error:
        if not missing_in(value):
            raise _unreadable(error) from None
        # A bare placeholder such as test-NAME is no identifier; its underscored form is one.
        try:
            expression = Expression(str(value).replace("test-", "test_"), written)
        except ExpressionError:
            raise _unreadable(error) from None
    found = [Fault(t.code, t.message, t.hint, t.part) for t in traps(expression, use)]
    if found:
        raise ValidationError(list[Any](found))
    return expression


def _unreadable(error: ExpressionError) -> ValidationError:
    return faulty("bad-expression", f"cannot be read: {error}", error.hint, error.part)
