"""``event_id`` and ``event_time``: how they are written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from marshmallow import ValidationError

from bridge.map.expression import Expression
from bridge.map.expression_kind import Expr
from bridge.map.kinds import Definitions, Kind, Number, Text, about, faulty, kind_of
from bridge.map.parts import Many, Part
from bridge.map.times import FORMATS
from bridge.map.transform_kind import Format, checked_format
from bridge.model import Json

CONTENT = "content"
RECEIVED = "received"


@dataclass(frozen=True, slots=True)
class Identity:
    """What names an event: expressions, or the whole event; ``within_s`` as in ``EventPlan``."""

    parts: tuple[Expression, ...] = ()
    by_content: bool = False
    within_s: int | None = None


NO_IDENTITY = Identity()


class _Of(Kind):
    what = "a list of expressions, or the word content"

    def read(self, value: Json) -> Any:
        """The expressions, or the word ``content``."""
        if value == CONTENT:
            return CONTENT
        if isinstance(value, str):
            raise faulty(
                "wrong-type", "must be a list of expressions.", f'Write event_id: ["{value}"].'
            )
        return Many(Expr()).read(value)

    def json_schema(self, definitions: Definitions) -> dict[str, Json]:
        return {"anyOf": [{"const": CONTENT}, Many(Expr()).below(definitions)]}


_OF = Part(
    {
        "of": _Of(
            required=True,
            example="of: content",
            metadata=about("Expressions, or content for the whole event.", CONTENT),
        ),
        "within": Number(
            1,
            31_536_000,
            whole=True,
            required=True,
            example="within: 3600",
            metadata=about("Seconds of receipt within which the same identity means a copy.", 3600),
        ),
    }
)


class IdentityKind(Kind):
    """``event_id``: a list, the word ``content``, or ``{of: …, within: seconds}``."""

    what = "a list of expressions, the word content, or {of: …, within: seconds}"

    def read(self, value: Json) -> Any:
        """The identity."""
        within: int | None = None
        of = _Of()
        if isinstance(value, dict):
            given = _OF.read(value)
            found, within = given["of"], given["within"]
        else:
            found = of.read(value)
        if found == CONTENT:
            return Identity(by_content=True, within_s=within)
        return Identity(found, within_s=within)

    def json_schema(self, definitions: Definitions) -> dict[str, Json]:
        return {"anyOf": [_Of().below(definitions), _OF.below(definitions)]}


_TIME = Part(
    {
        "from": Expr(
            required=True,
            example="from: occurredAt",
            metadata=about("Expression for the time.", "occurredAt"),
        ),
        "format": Format(
            required=True,
            example=f"format: one of {', '.join(FORMATS)}",
            metadata=about(f"{', '.join(FORMATS)}, or a strptime pattern.", "unix_ms"),
        ),
        "zone": Text(
            example="zone: UTC",
            metadata=about(
                "IANA time zone of times without an offset; patterns without %z need it.",
                "America/New_York",
            ),
        ),
    }
)


class EventTimeKind(Kind):
    """``event_time``: one place and format, a list of them, or the word ``received``."""

    what = "{from: …, format: …}, a list of these, or the word received"

    def read(self, value: Json) -> Any:
        """Expression and format of each; none for the time of receipt."""
        if value == RECEIVED:
            return ()
        if isinstance(value, list):
            return Many(_Time()).read(value)
        return (_Time().read(value),)

    def json_schema(self, definitions: Definitions) -> dict[str, Json]:
        one = _Time()
        return {
            "anyOf": [
                {"const": RECEIVED},
                one.below(definitions),
                Many(one).below(definitions),
            ]
        }


class _Time(Kind):
    def read(self, value: Json) -> Any:
        if not isinstance(value, dict):
            raise faulty(
                "wrong-type",
                f"must be {EventTimeKind.what}, not {kind_of(value)}.",
                "Write {from: occurredAt, format: unix_ms}, or received.",
            )
        given = _TIME.read(value)
        try:
            return given["from"], checked_format(given["format"], given["zone"])
        except ValidationError as error:
            at = "zone" if "is not a time zone" in str(error) else "format"
            raise ValidationError({at: error.messages}) from None

    def json_schema(self, definitions: Definitions) -> dict[str, Json]:
        return _TIME.below(definitions)
