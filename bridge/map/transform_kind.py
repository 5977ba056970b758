"""How a transform is written in a mapping file: a word, or a word with parameters."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from marshmallow import ValidationError

from bridge.map import transforms
from bridge.map.expression_kind import Expr
from bridge.map.kinds import (
    Constant,
    Definitions,
    Kind,
    Number,
    Text,
    Word,
    about,
    faulty,
    kind_of,
    quoted,
)
from bridge.map.nearest import advice
from bridge.map.parts import Many, Named, Part
from bridge.map.phone import REGIONS
from bridge.map.substitution import missing_in
from bridge.map.times import FORMATS, FormatError, TimeFormat, time_format
from bridge.map.transforms import Transform
from bridge.model import Json

WITH_PARAMETERS = (
    "boolean",
    "contains",
    "date",
    "default",
    "e164",
    "join",
    "map",
    "null_if",
    "pick",
    "table",
    "truncate",
)
NAMES = tuple(sorted({*transforms.PLAIN, *WITH_PARAMETERS}))


class Region(Text):
    """The ISO code of a country."""

    def read(self, value: Json) -> Any:
        """The code."""
        code = str(super().read(value))
        if missing_in(value):
            return self.unset or "US"
        if code not in REGIONS:
            raise faulty("unknown-region", f"is no country code: {quoted(value)}.", "Write US.")
        return code


class Format(Text):
    """The name or pattern of a time format, checked together with its zone later."""


def checked_format(name: str, zone: str | None) -> TimeFormat:
    """The time format. Errors: ``ValidationError`` with a fault."""
    try:
        if missing_in(zone):
            zone = "UTC"
        return time_format("iso" if missing_in(name) else str(name), zone)
    except FormatError as error:
        hint = error.hint
        if any(word in str(name).upper() for word in ("YYYY", "DD.MM", "HH:MM")):
            hint = "Write a strptime pattern, such as %Y-%m-%d %H:%M:%S, and its zone."
        raise faulty("bad-time-format", f"is not usable: {error}", hint) from None


_TABLE = Part(
    {
        "table": Named(Constant(), required=True, example="table: {A: x}"),
        "otherwise": Constant(nullable=True),
    }
)


class _Separator(Kind):
    what = "text"

    def __init__(self, *, blank: bool, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.blank = blank

    def read(self, value: Json) -> Any:
        if not isinstance(value, str) or not (value or self.blank):
            raise self.wrong(value)
        return str(value)

    def json_schema(self, definitions: Definitions) -> dict[str, Json]:
        del definitions
        return {"type": "string"} if self.blank else {"type": "string", "minLength": 1}


_ITEMS = Part(
    {
        "any": Many(
            Constant(),
            required=True,
            example="any: [do not call, dnc]",
            metadata=about("Items of which one is enough.", ["do not call", "dnc"]),
        ),
        "separator": _Separator(
            blank=False,
            default=",",
            metadata=about("What stands between the items of a text.", ","),
        ),
    }
)


class _Items(Kind):
    what = "an item, or {any: [items], separator: text}"

    def read(self, value: Json) -> Any:
        """The items, and what stands between those of a text."""
        if isinstance(value, dict):
            given = _ITEMS.read(value)
            return given["any"], given["separator"]
        if isinstance(value, list):
            return Many(Constant()).read(value), ","
        return (Constant().deserialize(value),), ","

    def json_schema(self, definitions: Definitions) -> dict[str, Json]:
        one = Constant()
        return {
            "anyOf": [
                one.below(definitions),
                Many(one).below(definitions),
                _ITEMS.below(definitions),
            ]
        }


class _Where(Kind):
    what = "a mapping of names, or a list of them"

    def read(self, value: Json) -> Any:
        """The conditions in order, as a tuple."""
        one = _condition()
        return Many(one).read(value) if isinstance(value, list) else (one.read(value),)

    def json_schema(self, definitions: Definitions) -> dict[str, Json]:
        one = _condition()
        return {"anyOf": [one.below(definitions), Many(one).below(definitions)]}


def _condition() -> Named:
    return Named(Constant(), example="where: {primary: true}")


_PICK = Part(
    {
        "where": _Where(
            default=(),
            metadata=about(
                "What it must hold; of a list, the first that is met.", {"primary": True}
            ),
        ),
        "value": Expr(metadata=about("What is taken of it. Left out: the object.", "value")),
        "otherwise": Word(
            ("nothing", "first", "last"),
            default="nothing",
            metadata=about("What is taken when no object meets a condition.", "first"),
        ),
    }
)
_MAP = Part(
    {
        "key": Expr(required=True, example="key: key", metadata=about("Its key.", "key")),
        "value": Expr(
            required=True,
            example="value: value",
            metadata=about("Its value.", "value"),
        ),
    }
)


def _pick(given: Mapping[str, Any]) -> Transform:
    if not given["where"] and given["otherwise"] == "nothing":
        raise faulty("picks-nothing", "takes nothing.", "Write where: {primary: true}.")
    return transforms.pick_of(given["where"], given["value"], given["otherwise"])


class TransformKind(Kind):
    """One transform. ``region`` is that of phone numbers without ``+``."""

    what = "a transform"
    definition = "transform"

    def __init__(self, region: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.region = region
        self.makers: Mapping[str, tuple[Kind, Callable[[Any], Transform]]] = {
            "e164": (
                Part({"region": Region()}),
                lambda given: transforms.ToE164(given["region"], region),
            ),
            "boolean": (
                Part(
                    {
                        "true": Many(Constant(), required=True, example="true: [Do not call]"),
                        "false": Many(
                            Constant(), required=True, least=0, example="false: [Call me]"
                        ),
                    }
                ),
                _boolean,
            ),
            "date": (
                Part(
                    {
                        "from": Format(required=True, example=f"from: one of {', '.join(FORMATS)}"),
                        "zone": Text(),
                        "to": Word(("date", "datetime"), default="date"),
                    }
                ),
                lambda given: transforms.date_of(
                    checked_format(given["from"], given["zone"]), given["to"]
                ),
            ),
            "default": (Constant(), transforms.default_of),
            "null_if": (Many(Constant()), transforms.null_if_of),
            "contains": (_Items(), lambda given: transforms.contains_of(*given)),
            "pick": (_PICK, _pick),
            "map": (_MAP, lambda given: transforms.map_of(given["key"], given["value"])),
            "join": (_Separator(blank=True), transforms.join_of),
            "truncate": (Number(1, 10_000, whole=True), transforms.truncate_of),
        }

    def read(self, value: Json) -> Any:
        """The transform as a function."""
        if isinstance(value, str):
            return self.plain(value)
        if not isinstance(value, dict):
            raise faulty(
                "wrong-type",
                f"must be the name of a transform, not {kind_of(value)}.",
                f"Write one of: {', '.join(NAMES)}.",
            )
        if "table" in value:
            return self.table(value)
        if len(value) != 1:
            raise faulty(
                "one-transform", "must name one transform.", "Write a list, each after `- `."
            )
        name, given = next(iter(value.items()))
        entry = self.makers.get(name)
        if entry is None and name in transforms.PLAIN:
            raise faulty("no-parameters", f"`{name}` takes no parameters.", f"Write `{name}`.")
        if entry is None:
            raise ValidationError({name: faulty_list(name)})
        kind, make = entry
        try:
            return make(kind.deserialize(given))
        except ValidationError as error:
            raise ValidationError({name: error.messages}) from None

    def json_schema(self, definitions: Definitions) -> dict[str, Json]:
        words = sorted({*transforms.PLAIN, "e164"})
        given = [
            {
                "type": "object",
                "properties": {name: kind.below(definitions)},
                "required": [name],
                "additionalProperties": False,
            }
            for name, (kind, _) in self.makers.items()
        ]
        return {"anyOf": [{"enum": words}, *given, _TABLE.below(definitions)]}

    def plain(self, name: str) -> Transform:
        """A transform without parameters."""
        if name in transforms.PLAIN:
            return transforms.PLAIN[name]
        if name == "e164":
            return transforms.ToE164(None, self.region)
        if name in WITH_PARAMETERS:
            raise faulty(
                "parameters-missing",
                f"`{name}` needs its parameters.",
                f"Write {{{name}: …}}; docs/mappings.md shows each.",
            )
        raise ValidationError(faulty_list(name))

    def table(self, value: dict[str, Json]) -> Transform:
        """``{table: {…}, otherwise: z}``."""
        given = _TABLE.read(value)
        return transforms.table_of(given["table"], given["otherwise"], "otherwise" in value)


def faulty_list(name: str) -> list[Any]:
    """The fault of a transform that does not exist."""
    error = faulty("unknown-transform", f"`{name[:60]}` is no transform.", advice(name, NAMES))
    return list(error.messages)


def _boolean(given: Mapping[str, Any]) -> Transform:
    both = {transforms.folded(w) for w in given["true"]} & {
        transforms.folded(w) for w in given["false"]
    }
    if both:
        raise faulty("word-twice", "has a word for both true and false.", "Keep it in one list.")
    return transforms.boolean_of(given["true"], given["false"])
