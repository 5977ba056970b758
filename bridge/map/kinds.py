"""The kinds of value a mapping file may hold, as marshmallow fields.

A field that cannot take its value raises ``ValidationError`` with ``Fault``s; ``report`` turns a
whole tree of them into mistakes with line and column.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from marshmallow import EXCLUDE, Schema, ValidationError, fields, validates_schema

from bridge.map.document import Document, Path_
from bridge.map.expression import Expression, ExpressionError
from bridge.map.lint import Use, traps
from bridge.map.nearest import advice
from bridge.map.substitution import Filled, missing_in, raw, reference
from bridge.model import Json

MOST_ADVICE = 50
"""Unknown keys of one mapping for which the nearest spelling is looked for, which takes time."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One mistake before its place is known. The message goes on from the key: "must be …"."""

    code: str
    message: str
    hint: str = ""


def faulty(code: str, message: str, hint: str = "") -> ValidationError:
    """The error that carries one fault."""
    return ValidationError([Fault(code, message, hint)])


def about(description: str, example: Json = None) -> dict[str, Json]:
    """What the JSON Schema and the reference tell of a key."""
    return {"description": description} | ({} if example is None else {"example": example})


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


class Kind(fields.Field[Any]):
    """The base: a value that must be there unless said otherwise, and is never null."""

    what = "a value"

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
        raise faulty("wrong-type", f"must be true or false, not {quoted(value)}.", "Write true.")


class Number(Kind):
    """A number between two bounds; ``whole`` for integers."""

    def __init__(self, least: float, most: float, *, whole: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.least, self.most, self.whole = least, most, whole
        self.what = f"a {'whole ' if whole else ''}number from {least:g} to {most:g}"

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
            close = get_close_matches(value, self.words, n=1, cutoff=0.75)
            choice = f"`{close[0]}`" if close else " or ".join(self.words)
            raise faulty("unknown-word", f"cannot be {quoted(value)}.", f"Write {choice}.")
        return str(value)


class Expr(Kind):
    """A JMESPath expression, compiled; ``use`` decides which traps are looked for."""

    what = "an expression"

    def __init__(self, use: Use = Use.VALUE, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.use = use

    def read(self, value: Json) -> Any:
        """The compiled expression."""
        return compiled(value, self.use)


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
    try:
        expression = Expression(str(value), written)
    except ExpressionError as error:
        if not missing_in(value):
            raise faulty("bad-expression", f"cannot be read: {error}", error.hint) from None
        # A bare placeholder such as test-NAME is no identifier; its underscored form is one.
        try:
            expression = Expression(str(value).replace("test-", "test_"), written)
        except ExpressionError:
            raise faulty("bad-expression", f"cannot be read: {error}", error.hint) from None
    found = [Fault(trap.code, trap.message, trap.hint) for trap in traps(expression, use)]
    if found:
        raise ValidationError(list[Any](found))
    return expression


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


class SecretRef(Kind):
    """A secret: one ``${NAME}`` or a list of them, never the secret itself. Gives the names."""

    what = "the name of a setting"

    def read(self, value: Json) -> Any:
        """The names of the settings."""
        items = value if isinstance(value, list) else [value]
        names = [reference(item) for item in items]
        if not names or None in names:
            raise faulty(
                "literal-secret",
                "must name a setting, and nothing else.",
                'Put the secret into a setting and write "${NAME_OF_THE_SETTING}" here.',
            )
        return tuple(names)


class Constant(Kind):
    """A text, number or boolean, as it stands."""

    what = "text, a number, true or false"

    def read(self, value: Json) -> Any:
        """The constant."""
        if isinstance(value, dict | list) or value is None:
            raise self.wrong(value)
        return str(value) if isinstance(value, str) else value


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


class Shape(Schema):
    """A mapping with fixed keys. Any other key is a mistake with the nearest spelling."""

    class Meta:
        unknown = EXCLUDE

    @validates_schema(pass_original=True, skip_on_field_errors=False)
    def _no_other_keys(self, data: Any, original: Any, **kwargs: Any) -> None:
        del data, kwargs
        known = set(self.fields)
        unknown = [key for key in original if key not in known]
        others = {
            key: [Fault("unknown-key", "is not known here.", advice(key, known) if few else "")]
            for place, key in enumerate(unknown)
            for few in (place < MOST_ADVICE,)
        }
        if others:
            raise ValidationError(dict[str, Any](others))


Check = Callable[[Mapping[str, Any], Mapping[str, Json]], Iterable[tuple[str | None, Fault]]]


class Part(Kind):
    """A mapping with fixed keys, and what must hold between them."""

    what = "a mapping"

    def __init__(self, keys: Mapping[str, Kind], check: Check | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.keys = keys
        self.shape = Shape.from_dict(dict[str, Any](keys))()
        self.check = check

    def read(self, value: Json) -> Any:
        """The values by key, those left out at their defaults."""
        if not isinstance(value, dict):
            raise faulty(
                "wrong-type",
                f"must be a mapping, not {kind_of(value)}.",
                self.hint() or advice("", self.keys),
            )
        errors: dict[str, Any] = {}
        try:
            loaded: Mapping[str, Any] = self.shape.load(value)
        except ValidationError as error:
            errors = dict[str, Any](error.messages_dict)
            loaded = error.valid_data if isinstance(error.valid_data, dict) else {}
        for key, fault in self.check(loaded, value) if self.check else ():
            if key not in errors:
                errors.setdefault(key or "_schema", []).append(fault)
        if errors:
            raise ValidationError(errors)
        return loaded


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
            document.add(path, fault.code, message, fault.hint, key=fault.code == "unknown-key")
        else:
            document.add(path, "invalid", f"`{dotted(path)}`: {fault}")


def dotted(path: Sequence[str | int]) -> str:
    """``rules[2].lead.email`` for a path."""
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text
