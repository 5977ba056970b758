"""How deep and how wide a document may be, and how much of it a message may show."""

from __future__ import annotations

import math
from typing import NamedTuple

from bridge.errors import DecodeError
from bridge.model import Json

LONGEST_QUOTE = 40
LEAST_OF_MEMBER = 4
"""The fewest bytes that a member of a JSON object takes: two quotation marks, a colon, a value."""

_NESTED = (dict, list)


class Bounds(NamedTuple):
    """The limits of one document; see ``decode``."""

    depth: int
    keys: int

    def require_depth(self, depth: int, where: str = "the body") -> None:
        """Errors: ``DecodeError`` if the depth is beyond the limit."""
        if depth > self.depth:
            raise DecodeError(f"{where}: nested deeper than {self.depth} levels")

    def require_keys(self, count: int, where: str = "the body") -> None:
        """Errors: ``DecodeError`` if there are more keys than the limit."""
        if count > self.keys:
            raise DecodeError(f"{where}: more than {self.keys} keys")

    def require_document(self, document: Json, text: bytes | None = None) -> None:
        """Check a whole document without recursion.

        ``text``: the JSON text that it was read from, if it was. What its brackets and its length
        rule out is not looked for: brackets stand in strings too, so they only say how much there
        may be at most.

        Errors: ``DecodeError`` if it is too deep, or one of its objects has too many members.
        """
        wide = text is None or (
            len(text) > LEAST_OF_MEMBER * self.keys and text.count(b":") > self.keys
        )
        # objects and lists that nobody has met yet, at most; each may stand in the one before it
        left = math.inf if text is None or wide else text.count(b"{") + text.count(b"[")
        level = [document] if isinstance(document, _NESTED) else []
        depth = 0
        while level:
            depth += 1
            left -= len(level)
            self.require_depth(depth)
            if wide:
                self.require_keys(
                    max((len(node) for node in level if isinstance(node, dict)), default=0),
                    "an object of the body",
                )
            if depth + left <= self.depth:
                return
            level = [
                value
                for node in level
                for value in (node.values() if isinstance(node, dict) else node)
                if type(value) is dict or type(value) is list  # a decoder makes nothing else
            ]


def quoted(text: str) -> str:
    """A piece of a body as a message may show it: cut short, control characters escaped."""
    cut = text if len(text) <= LONGEST_QUOTE else text[: LONGEST_QUOTE - 1] + "…"
    return ascii(cut) if not cut.isprintable() else repr(cut)
