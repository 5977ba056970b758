"""Keys that are known, but stand in another part of the file: the commonest mistake of nesting."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache

from bridge.map.kinds import Kind
from bridge.map.parts import Many, Named, Part


def homes(kind: Kind, below: str = "") -> Iterator[tuple[str, str]]:
    """Every key of a shape with the key below which it stands; empty text for the top."""
    if isinstance(kind, Many | Named):
        yield from homes(kind.inner, below)
    inner = kind if isinstance(kind, Part) else getattr(kind, "part", None)
    if not isinstance(inner, Part):
        return
    for name, value in inner.keys.items():
        yield name, below
        yield from homes(value, name)


@lru_cache(maxsize=16)
def _by_name(shape: Kind) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, below in homes(shape):
        found.setdefault(name, []).append(below)
    return found


def where_else(shape: Kind, key: str, above: Sequence[str]) -> str:
    """What to do with a key that is known elsewhere; empty if it is not.

    ``above``: the keys above it in the file, from the top.
    """
    found = _by_name(shape).get(key, [])
    if not found or (above[-1] if above else "") in found:
        return ""
    below = next((name for name in reversed(above) if name in found), found[0])
    if not below:
        return f"`{key}` stands at the top of the file: take away its indentation, or move it."
    return f"`{key}` stands below `{below}:`: move it there, indented further than `{below}`."
