"""How the value of a lead's field is written: an expression, or a mapping of keys."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from marshmallow import ValidationError

from bridge.map.expression_kind import Expr, compiled
from bridge.map.kinds import Constant, Definitions, Fault, Kind, about, faulty, kind_of, plain
from bridge.map.lint import Use
from bridge.map.parts import Many, Part
from bridge.map.substitution import raw
from bridge.map.transform_kind import Region, TransformKind
from bridge.map.value import Value
from bridge.model import Json

SOURCES = ("from", "first", "all", "value")


class Steps(Kind):
    """A transform or a list of them."""

    def __init__(self, region: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.one = TransformKind(region)
        self.several = Many(self.one)

    def read(self, value: Json) -> Any:
        """The transforms in order, as a tuple."""
        if isinstance(value, list):
            return self.several.read(value)
        return (self.one.deserialize(value),)

    def json_schema(self, definitions: Definitions) -> dict[str, Json]:
        return {"anyOf": [self.one.below(definitions), self.several.below(definitions)]}


class RegionOf(Kind):
    """A country: its code, or where in the event the code stands. Gives both, each maybe None."""

    what = "a country code, or {from: expression, to: transforms, default: code}"

    def __init__(self, region: str, **kwargs: Any) -> None:
        super().__init__(default=(None, region), **kwargs)
        self.code = Region(default=region)
        self.part = Part(
            {
                "from": Expr(
                    required=True,
                    example="from: contact.country",
                    metadata=about(
                        "Expression for the code, of two letters; `UK` is taken for GB.",
                        "contact.country",
                    ),
                ),
                "to": Steps(
                    region,
                    default=(),
                    metadata=about("A transform, or a list of them applied in order.", "json"),
                ),
                "default": Region(
                    default=region,
                    metadata=about("The country where it gives nothing.", "DE"),
                ),
            }
        )

    def read(self, value: Json) -> Any:
        """The value that gives the code, and the code where it gives nothing."""
        if isinstance(value, str):
            return None, self.code.deserialize(value)
        if not isinstance(value, dict):
            raise self.wrong(value)
        given = self.part.read(value)
        steps, texts = given["to"], _texts_of(value.get("to"))
        return Value((given["from"],), steps=steps, step_texts=texts), given["default"]

    def json_schema(self, definitions: Definitions) -> dict[str, Json]:
        return {"anyOf": [self.code.below(definitions), self.part.below(definitions)]}


def _texts_of(written: Json) -> tuple[str, ...]:
    """The transforms of a value as text."""
    if written is None:
        return ()
    steps = written if isinstance(written, list) else [written]
    return tuple(
        str(raw(step)) if isinstance(step, str) else json.dumps(plain(step), ensure_ascii=False)
        for step in steps
    )


class ValueKind(Kind):
    """The value of a field. ``region`` is that of phone numbers without ``+``."""

    what = "an expression or a mapping"

    def __init__(
        self, region: str, *, use: Use = Use.VALUE, phone: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.region, self.use, self.phone = region, use, phone
        keys: dict[str, Kind] = {
            "from": Expr(use, metadata=about("Expression for the value.", "contact.phone")),
            "all": Many(
                Expr(use),
                example="all: [contact.phone, contact.mobilephone]",
                metadata=about(
                    "Every number that these expressions give; one lead for each.",
                    ["contact.phone", "contact.mobilephone"],
                ),
            ),
            "first": Many(
                Expr(use),
                example="first: [contact.phone, contact.mobilephone]",
                metadata=about(
                    "The first of these expressions that gives something; false, 0 and empty "
                    "text count.",
                    ["contact.phone", "contact.mobilephone"],
                ),
            ),
            "value": Constant(metadata=about("A constant.", True)),
            "to": Steps(
                region,
                default=(),
                metadata=about("A transform, or a list of them applied in order.", "trim"),
            ),
            "default": Constant(metadata=about("Used when the value is absent or null.", "none")),
        }
        if phone:
            keys["region"] = RegionOf(
                region,
                metadata=about(
                    "ISO code of the country of numbers without +, or where the event has it.",
                    {"from": "contact.country", "default": "DE"},
                ),
            )
        self.definition = "phone_value" if phone else "value"
        self.part = Part(keys, self._one_source)

    def read(self, value: Json) -> Any:
        """The compiled value."""
        if isinstance(value, str):
            return Value((compiled(value, self.use),), region=self.region)
        if not isinstance(value, dict):
            try:
                compiled(value, self.use)
            except ValidationError as error:
                raise error from None
            raise faulty("wrong-type", f"must be {self.what}, not {kind_of(value)}.")
        given = self.part.read(value)
        sources = given["first"] or given.get("all") or ()
        if given["from"] is not None:
            sources = (given["from"],)
        region_from, region = given.get("region") or (None, self.region)
        return Value(
            tuple(sources),
            constant=given["value"],
            every=given.get("all") is not None,
            steps=given["to"],
            default=given["default"],
            region=region,
            step_texts=_texts_of(value.get("to")),
            region_from=region_from,
        )

    def json_schema(self, definitions: Definitions) -> dict[str, Json]:
        mapping = self.part.below(definitions)
        if not self.phone:
            del mapping["properties"]["all"]
        several = [key for key in SOURCES if key in mapping["properties"]]
        mapping["oneOf"] = [
            *({"required": [key]} for key in several),
            {"required": ["default"], "not": {"anyOf": [{"required": [key]} for key in several]}},
        ]
        return {"anyOf": [Expr(self.use).below(definitions), mapping]}

    def _one_source(
        self, loaded: Mapping[str, Any], written: Mapping[str, Json]
    ) -> Iterable[tuple[str | None, Fault]]:
        del loaded
        if "all" in written and not self.phone:
            yield (
                "all",
                Fault(
                    "only-for-phones",
                    "is for `phone_number` only.",
                    "Write `first:` for the first value of several.",
                ),
            )
        given = [key for key in SOURCES if key in written]
        if len(given) > 1:
            yield (
                given[1],
                Fault(
                    "two-sources",
                    f"stands beside `{given[0]}`.",
                    f"Keep one of: {', '.join(given)}.",
                ),
            )
        if not given and not {"default"} & set(written):
            yield (
                None,
                Fault("no-source", "does not say where its value comes from.", "Write from: …"),
            )
