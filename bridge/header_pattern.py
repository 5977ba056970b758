"""How a header is written, as text with names in braces: ``t={timestamp};h={signature}``.

A pattern is literal text and names by turns, so reading one is a search for each literal in its
turn: no header, however made, takes longer than its length. And unlike a regular expression it
can be turned round, to write what a sender would.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

SIGNATURE = "signature"

_NAME = re.compile(r"\{([a-z][a-z0-9_]{0,30})\}", re.ASCII)


def names_of(pattern: str) -> tuple[str, ...]:
    """The names in a pattern, in order."""
    return tuple(_NAME.findall(pattern))


def pattern_problem(pattern: str) -> str | None:
    """What is wrong with a pattern, or None."""
    literals, names = _taken_apart(pattern)
    if names.count(SIGNATURE) != 1:
        return "must hold {signature} once"
    if len(set(names)) < len(names):
        return "holds a name twice"
    if any(not text for text in literals[1:-1]):
        return "has two names side by side, with nothing to tell where the one ends"
    if any("{" in text or "}" in text for text in literals):
        return "holds a brace that is no name: names are small letters, digits and _"
    return None


def read_pattern(pattern: str, text: str) -> dict[str, str] | None:
    """What stands for each name; None if the text is not of the pattern.

    Each name takes as little as it can, the last one what is left.
    """
    literals, names = _taken_apart(pattern)
    if not text.startswith(literals[0]):
        return None
    found: dict[str, str] = {}
    at = len(literals[0])
    for name, literal in zip(names, literals[1:], strict=True):
        last = len(found) == len(names) - 1
        if last:
            end = len(text) - len(literal)
            good = end >= at and text.endswith(literal)
        else:
            end = text.find(literal, at)
            good = end >= 0
        if not good:
            return None
        found[name] = text[at:end]
        at = end + len(literal)
    return found


def write_pattern(pattern: str, values: Mapping[str, str], otherwise: str) -> str:
    """The text with a value for each name; ``otherwise`` for names that have none."""
    return _NAME.sub(lambda found: values.get(found[1], otherwise), pattern)


def _taken_apart(pattern: str) -> tuple[list[str], list[str]]:
    pieces = _NAME.split(pattern)
    return pieces[::2], pieces[1::2]
