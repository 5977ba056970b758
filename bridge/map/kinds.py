"""The kinds of value a mapping file may hold, as marshmallow fields.

A field that cannot take its value raises ``ValidationError`` with ``Fault``s.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, TypeAlias

from marshmallow import ValidationError, fields

from bridge.map.substitution import Filled, missing_in, raw, reference
from bridge.model import Json


@dataclass(frozen=True, slots=True)
class Fault:
    """One mistake before its place is known. The message goes on from the key: "must be …".

    ``part`` is the piece of the value that is wrong, if not the whole.
    """

    code: str
    message: str
    hint: str = ""
    part: str = ""


def about(description: str, example: Json = None) -> dict[str, Json]:
    """What people are told of a key, in editors and in ``docs/mapping-reference.md``."""
    told: dict[str, Json] = {"description": description}
    return told if example is None else {**told, "example": example}


def faulty(code: str, message: str, hint: str = "", part: str = "") -> ValidationError:
    """The error that carries one fault."""
    return ValidationError([Fault(code, message, hint, part)])


def kind_of(value: Json) -> str:
    """What a value is, in words."""
    names = {
        type(None): "empty",
        bool: "true or false",
        int: "a number",
        float: "a number",
        list: "a list",
        dict: "a mapping",
    }
    return names.get(type(value), "text")


def quoted(value: Json) -> str:
    """A short text as written in the file, for a message."""
    text = str(raw(value))
    return f"`{text[:60]}…`" if len(text) > 60 else f"`{text}`"


Definitions: TypeAlias = dict[str, dict[str, Json]]
"""Schemas by name, for ``$defs``."""

SETTING: Mapping[str, Json] = {
    "type": "string",
    "pattern": r"^\$\{[A-Za-z_][A-Za-z0-9_]*(:-[^{}]*)?\}$",
}
"""A setting in place of a value that is no text."""


class Kind(fields.Field[Any]):
    """The base: a value that must be there unless said otherwise, and is never null."""

    what = "a value"
    definition = ""
    """The name under which the JSON Schema holds a kind that is used in many places."""

    def __init__(
        self,
        *,
        required: bool = False,
        default: Any = None,
        nullable: bool = False,
        example: str = "",
        metadata: Mapping[str, Any] | None = None,
    ) -> None:
        self.example = example
        self.unset = default
        self.nullable = nullable
        if required:
            super().__init__(required=True, metadata=metadata)
        else:
            super().__init__(load_default=default, allow_none=nullable, metadata=metadata)

    def make_error(self, key: str, **kwargs: Any) -> ValidationError:
        """The error for a value that is absent or null."""
        if key == "required":
            return faulty("missing-key", "is missing.", self.hint())
        if key == "null":
            return faulty("no-value", "has no value.", self.hint() or "Write one or delete it.")
        return super().make_error(key, **kwargs)

    def hint(self) -> str:
        """What to write."""
        return f"Write {self.example}." if self.example else ""

    def wrong(self, value: Json) -> ValidationError:
        """The error for a value of another kind."""
        return faulty("wrong-type", f"must be {self.what}, not {kind_of(value)}.", self.hint())

    def _deserialize(
        self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any
    ) -> Any:
        del attr, data, kwargs
        return self.read(value)

    def read(self, value: Json) -> Any:
        """The value as the bridge uses it. Errors: ``ValidationError`` with faults."""
        return value

    def json_schema(self, definitions: Definitions) -> dict[str, Json]:
        """What the value looks like in JSON Schema (draft 2020-12); empty: anything.

        What is used in many places goes into ``definitions``, by ``below``.
        """
        del definitions
        return {}

    def below(self, definitions: Definitions) -> dict[str, Json]:
        """The schema where another one refers to it: with what people are told of the key."""
        found = self._shape(definitions)
        if self.nullable:
            found = {"anyOf": [found, {"type": "null"}]}
        if "description" in self.metadata:
            found["description"] = self.metadata["description"]
        if "example" in self.metadata:
            found["examples"] = [self.metadata["example"]]
        if isinstance(self.unset, str | int | float) and not isinstance(self.unset, Filled):
            found["default"] = self.unset
        return found

    def _shape(self, definitions: Definitions) -> dict[str, Json]:
        if not self.definition:
            return dict(self.json_schema(definitions))
        if self.definition not in definitions:
            definitions[self.definition] = {}  # a kind may hold itself
            definitions[self.definition] = self.json_schema(definitions)
        return {"$ref": f"#/$defs/{self.definition}"}


class Text(Kind):
    """Text that is not blank."""

    what = "text"

    def read(self, value: Json) -> Any:
        """The text."""
        if not isinstance(value, str):
            raise faulty(
                "wrong-type",
                f"must be text, not {kind_of(value)}.",
                self.hint() or "Put it in quotes.",
            )
        if not value.strip():
            raise faulty("no-value", "is blank.", self.hint() or "Write a text.")
        return value

    def json_schema(self, definitions: Definitions) -> dict[str, Json]:
        del definitions
        return {"type": "string", "pattern": r"\S"}


class Flag(Kind):
    """true or false."""

    what = "true or false"

    def read(self, value: Json) -> Any:
        """The boolean; a setting may give it as text."""
        if missing_in(value):
            return self.unset
        if isinstance(value, Filled) and value in ("true", "false"):
            return value == "true"
        if isinstance(value, bool):
            return value
        word = value.strip().lower() if isinstance(value, str) else ""
        meant = "false" if word in ("no", "off", "false", "n", "f", "0") else "true"
        raise faulty(
            "wrong-type",
            f"must be true or false, not {quoted(value)}.",
            f"Write {meant}, without quotes.",
        )

    def json_schema(self, definitions: Definitions) -> dict[str, Json]:
        del definitions
        return {"anyOf": [{"type": "boolean"}, dict(SETTING)]}


class Number(Kind):
    """A number between two bounds; ``whole`` for integers."""

    def __init__(self, least: float, most: float, *, whole: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.least, self.most, self.whole = least, most, whole
        self.what = f"a {'whole ' if whole else ''}number from {least:.12g} to {most:.12g}"

    def read(self, value: Json) -> Any:
        """The number; a setting may give it as text."""
        if missing_in(value):
            return self.unset
        if isinstance(value, Filled):
            try:
                value = int(value) if self.whole else float(value)
            except ValueError:
                raise faulty("bad-number", f"must be {self.what}.", "Check the setting.") from None
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise faulty(
                "wrong-type",
                f"must be {self.what}, not {kind_of(value)}.",
                f"Write {self.unset if self.unset is not None else self.least:g}, without quotes.",
            )
        if not self.least <= value <= self.most or (self.whole and isinstance(value, float)):
            usual = self.unset if self.unset is not None else self.least
            raise faulty("bad-number", f"must be {self.what}.", f"Write {usual:g}, for example.")
        return value if self.whole else float(value)

    def json_schema(self, definitions: Definitions) -> dict[str, Json]:
        del definitions
        bounds = {"minimum": self.least, "maximum": self.most}
        return {"anyOf": [{"type": "integer" if self.whole else "number", **bounds}, dict(SETTING)]}


class Word(Kind):
    """One of a closed list of words."""

    def __init__(self, words: Iterable[str], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.words = tuple(words)
        self.what = "one of: " + ", ".join(self.words)

    def read(self, value: Json) -> Any:
        """The word."""
        if missing_in(value):
            return self.unset or self.words[0]
        if not isinstance(value, str):
            raise faulty(
                "wrong-type", f"must be {self.what}, not {kind_of(value)}.", "Write one of them."
            )
        if value not in self.words:
            # another word than the one meant would be worse than none: nearly the same, or all
            close = get_close_matches(value.strip().lower(), self.words, n=1, cutoff=0.75)
            choice = f"`{close[0]}`" if close else " or ".join(self.words)
            raise faulty("unknown-word", f"cannot be {quoted(value)}.", f"Write {choice}.")
        return str(value)

    def json_schema(self, definitions: Definitions) -> dict[str, Json]:
        del definitions
        return {"anyOf": [{"enum": list(self.words)}, dict(SETTING)]}


class SecretRef(Kind):
    """A secret: one ``${NAME}`` or a list of them, never the secret itself. Gives the names."""

    what = "the name of a setting"

    def read(self, value: Json) -> Any:
        """The names of the settings."""
        items = value if isinstance(value, list) else [value]
        names = [reference(item) for item in items]
        if not names or None in names:
            meant = re.fullmatch(r"\$\{?([A-Z][A-Z0-9_ -]*)\}?", value) if _is_text(value) else None
            name = re.sub(r"[ -]", "_", meant[1].strip()) if meant else "NAME_OF_THE_SETTING"
            first = "" if meant else "Put the secret into a setting and "
            raise faulty(
                "literal-secret",
                "must name a setting, and nothing else.",
                f'{first}{"write" if first else "Write"} "${{{name}}}"{" here" if first else ""}.',
            )
        return tuple(names)

    def json_schema(self, definitions: Definitions) -> dict[str, Json]:
        del definitions
        one = {"type": "string", "pattern": r"^\$\{[A-Za-z_][A-Za-z0-9_]*\}$"}
        return {"anyOf": [one, {"type": "array", "items": one, "minItems": 1}]}


def _is_text(value: Json) -> bool:
    return isinstance(value, str)


class Constant(Kind):
    """A text, number or boolean, as it stands."""

    what = "text, a number, true or false"

    def read(self, value: Json) -> Any:
        """The constant."""
        if isinstance(value, dict | list) or value is None:
            raise self.wrong(value)
        return str(value) if isinstance(value, str) else value

    def json_schema(self, definitions: Definitions) -> dict[str, Json]:
        del definitions
        return {"type": ["string", "number", "boolean"]}


class Template(Kind):
    """Any JSON."""

    def read(self, value: Json) -> Any:
        """The JSON with plain texts."""
        return plain(value)


def plain(value: Json) -> Json:
    """A tree with plain ``str`` in place of filled texts."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return str(value) if isinstance(value, str) else value
