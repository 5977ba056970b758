"""One expression against one document, for look-ups that declare where their rows are."""

from __future__ import annotations

from functools import lru_cache

from bridge.map.expression import Expression
from bridge.model import Json


@lru_cache(maxsize=1000)
def _compiled(expression: str) -> Expression:
    return Expression(expression)


def search(expression: str, document: Json) -> Json:
    """The value that a JMESPath expression finds; None if there is none."""
    return _compiled(expression).get(document, [])
