"""How the value of a lead's field is written: an expression, or a mapping of keys."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from marshmallow import ValidationError

from bridge.map.kinds import (
    Constant,
    Expr,
    Fault,
    Kind,
    Many,
    Part,
    compiled,
    faulty,
    kind_of,
)
from bridge.map.lint import Use
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


class ValueKind(Kind):
    """The value of a field. ``region`` is that of phone numbers without ``+``."""

    what = "an expression or a mapping"

    def __init__(
        self, region: str, *, use: Use = Use.VALUE, phone: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.region, self.use, self.phone = region, use, phone
        keys: dict[str, Kind] = {
            "from": Expr(use),
            "all": Many(Expr(use), example="all: [contact.phone, contact.mobilephone]"),
            "first": Many(Expr(use), example="first: [contact.phone, contact.mobilephone]"),
            "value": Constant(),
            "to": Steps(region, default=()),
            "default": Constant(),
        }
        if phone:
            keys["region"] = Region(default=region)
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
        return Value(
            tuple(sources),
            constant=given["value"],
            every=given.get("all") is not None,
            steps=given["to"],
            default=given["default"],
            region=given.get("region") or self.region,
        )

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
