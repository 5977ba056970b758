"""Forms whose names carry structure in PHP's brackets: ``a[b][c]``, ``a[]``, ``a[0][b]``.

Source: https://www.php.net/manual/en/language.variables.external.php and
https://www.php.net/manual/en/faq.html.php#faq.html.arrays
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from bridge.errors import DecodeError
from bridge.model import Json
from bridge.receive.decode.bounds import Bounds, quoted
from bridge.receive.decode.form import form_pairs

# A name that does not have this shape to its end, such as "a[b" or "a[b]c", is a plain name.
_BRACKETED = re.compile(r"([^\[]+)((?:\[[^\]]*\])+)", re.DOTALL)
_KEY = re.compile(r"\[([^\]]*)\]", re.DOTALL)
_INDEX = re.compile(r"0|[1-9][0-9]{0,17}", re.ASCII)


@dataclass(slots=True)
class _Branch:
    """An object or list that is being built; ``next`` is the index that ``[]`` takes."""

    items: dict[str, _Branch | list[str]] = field(default_factory=dict)
    next: int = 0

    def claim(self, key: str) -> str:
        """The key as it is kept: ``[]`` gets the next index, like in PHP."""
        kept = key or str(self.next)
        if _INDEX.fullmatch(kept):
            self.next = max(self.next, int(kept) + 1)
        return kept


def decode_nested_form(body: bytes, bounds: Bounds) -> Json:
    """The document that the names describe; all values are text, empty ones are kept.

    Keys that are all indexes become a list in the order of the indexes; gaps are closed. A plain
    name that occurs more than once has a list, as in a flat form.

    Errors: ``DecodeError`` where one name is used both as a value and as an object or list.
    """
    tops: dict[str, _Branch | list[str]] = {}
    nodes = 0
    for name, value in form_pairs(body, bounds):
        path = path_of(name, bounds)
        # Every key counts, since a short name of brackets alone can open many levels.
        nodes += len(path)
        bounds.require_keys(nodes)
        items, key = tops, path[0]
        for below in path[1:]:
            branch = items.setdefault(key, _Branch())
            if not isinstance(branch, _Branch):
                raise _conflict(name)
            items, key = branch.items, branch.claim(below)
        leaves = items.setdefault(key, [])
        if isinstance(leaves, _Branch):
            raise _conflict(name)
        leaves.append(value)
    document = {key: _built(item) for key, item in tops.items()}
    bounds.require_document(document)
    return document


def path_of(name: str, bounds: Bounds | None = None) -> list[str]:
    """The keys that a name stands for, from the outside in; ``[]`` gives an empty one."""
    match = _BRACKETED.fullmatch(name)
    if match is None:
        return [name]
    if bounds is not None:
        bounds.require_depth(name.count("[") + 1, f"the name {quoted(name)}")
    return [match[1], *_KEY.findall(match[2])]


def _conflict(name: str) -> DecodeError:
    return DecodeError(f"the name {quoted(name)}: used both as a value and as an object or list")


def _built(item: _Branch | list[str]) -> Json:
    # Recursion is safe here: the depth of every name was checked before.
    if isinstance(item, list):
        return item[0] if len(item) == 1 else list(item)
    if all(_INDEX.fullmatch(key) for key in item.items):
        return [_built(item.items[key]) for key in sorted(item.items, key=int)]
    return {key: _built(below) for key, below in item.items.items()}
