"""The shapes of a mapping file: lists, named things and mappings with fixed keys.

A shape gathers the faults of everything below it; ``report`` turns a whole tree of them into
mistakes with line and column.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from marshmallow import ValidationError, missing

from bridge.map.document import Document, Path_
from bridge.map.kinds import Definitions, Fault, Kind, faulty, kind_of
from bridge.map.nearest import advice
from bridge.model import Json

MOST_ADVICE = 50
"""Unknown keys of one mapping for which the nearest spelling is looked for, which takes time."""


class Many(Kind):
    """A list of one kind, not empty."""

    what = "a list"

    def __init__(self, inner: Kind, *, least: int = 1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.inner, self.least = inner, least

    def read(self, value: Json) -> Any:
        """The items, as a tuple."""
        if not isinstance(value, list):
            raise faulty(
                "wrong-type",
                f"must be a list, not {kind_of(value)}.",
                self.hint() or "Write its items below, each after `- `.",
            )
        if len(value) < self.least:
            raise faulty("empty-list", "is an empty list.", self.hint() or "Write an item.")
        items, errors = [], {}
        for index, item in enumerate(value):
            try:
                items.append(self.inner.deserialize(item))
            except ValidationError as error:
                errors[index] = error.messages
        if errors:
            raise ValidationError(dict[str, Any](errors))  # type: ignore[arg-type]
        return tuple(items)

    def json_schema(self, definitions: Definitions) -> dict[str, Json]:
        least = {"minItems": self.least} if self.least else {}
        return {"type": "array", "items": self.inner.below(definitions), **least}


class Named(Kind):
    """A mapping whose keys are names of the author's choice."""

    what = "a mapping of names"

    def __init__(self, inner: Kind, *, least: int = 1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.inner, self.least = inner, least

    def read(self, value: Json) -> Any:
        """The values by name."""
        if not isinstance(value, dict):
            raise self.wrong(value)
        if len(value) < self.least:
            raise faulty("empty-mapping", "is empty.", self.hint() or "Write `name: value`.")
        found: dict[str, Any] = {}
        errors: dict[str, Any] = {}
        for key, item in value.items():
            try:
                found[key] = self.inner.deserialize(item)
            except ValidationError as error:
                errors[key] = error.messages
        if errors:
            raise ValidationError(errors)
        return found

    def json_schema(self, definitions: Definitions) -> dict[str, Json]:
        least = {"minProperties": self.least} if self.least else {}
        inner = self.inner.below(definitions)
        return {"type": "object", "additionalProperties": inner, **least}


def _advice(key: str, value: Json, known: set[str]) -> str:
    """What to do about a key that is not known. One without a value was no key to its author."""
    if value is not None:
        return advice(key, known)
    word, _, rest = key.partition(" ")
    if word in known and rest:
        return f"Write a colon behind `{word}`: `{word}: {rest}`."
    return (
        f"{advice(key, known)} If it belongs to the value before it, put both in brackets: "
        f"[a, {key}]."
    )


Check = Callable[[Mapping[str, Any], Mapping[str, Json]], Iterable[tuple[str | None, Fault]]]


class Part(Kind):
    """A mapping with fixed keys, and what must hold between them.

    ``check`` says it; ``one_of`` tells the JSON Schema of keys of which exactly one must be there.
    Any other key is a mistake with the nearest spelling.
    """

    what = "a mapping"

    def __init__(
        self,
        keys: Mapping[str, Kind],
        check: Check | None = None,
        *,
        one_of: Sequence[str] = (),
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.keys = keys
        self.one_of = one_of
        self.check = check

    def read(self, value: Json) -> Any:
        """The values by key, those left out at their defaults."""
        if not isinstance(value, dict):
            raise faulty(
                "wrong-type",
                f"must be a mapping, not {kind_of(value)}.",
                self.hint() or advice("", self.keys),
            )
        loaded: dict[str, Any] = {}
        errors: dict[str, Any] = {}
        for name, kind in self.keys.items():
            try:
                loaded[name] = kind.deserialize(value.get(name, missing))
            except ValidationError as error:
                errors[name] = error.messages
        errors |= self._unknown(value)
        for key, fault in self.check(loaded, value) if self.check else ():
            if key not in errors:
                errors.setdefault(key or "_schema", []).append(fault)
        if errors:
            raise ValidationError(errors)
        return loaded

    def _unknown(self, value: Mapping[str, Json]) -> dict[str, list[Fault]]:
        known = set(self.keys)
        unknown = [key for key in value if key not in known]
        return {
            key: [Fault("unknown-key", "is not known here.", hint)]
            for place, key in enumerate(unknown)
            for hint in (_advice(key, value[key], known) if place < MOST_ADVICE else "",)
        }

    def json_schema(self, definitions: Definitions) -> dict[str, Json]:
        found: dict[str, Json] = {
            "type": "object",
            "properties": {name: kind.below(definitions) for name, kind in self.keys.items()},
            "additionalProperties": False,
        }
        if required := [name for name, kind in self.keys.items() if kind.required]:
            found["required"] = required
        if self.one_of:
            found["oneOf"] = [{"required": [name]} for name in self.one_of]
        return found


def load_part(part: Part, value: Json, document: Document) -> Mapping[str, Any] | None:
    """A whole file by its part; None if it has mistakes, which are then in the document."""
    try:
        loaded: Mapping[str, Any] = part.read(value)
    except ValidationError as error:
        report(document, error.messages)
        return None
    return loaded


def report(document: Document, messages: Any, path: Path_ = ()) -> None:
    """Adds every fault of an error tree to the document, with its place."""
    if isinstance(messages, dict):
        for key, below in messages.items():
            report(document, below, path if key == "_schema" else (*path, key))
        return
    for fault in messages if isinstance(messages, list) else [messages]:
        if isinstance(fault, dict):
            report(document, fault, path)
        elif isinstance(fault, Fault):
            message = f"`{dotted(path)}` {fault.message}" if path else f"the file {fault.message}"
            at_key = fault.code == "unknown-key"
            document.add(path, fault.code, message, fault.hint, key=at_key, part=fault.part)
        else:
            document.add(path, "invalid", f"`{dotted(path)}`: {fault}")


def dotted(path: Sequence[str | int]) -> str:
    """``rules[2].lead.email`` for a path."""
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text
