"""``receive.verify``: its entries, and which of them prove nothing."""

from __future__ import annotations

from typing import Any

from marshmallow import ValidationError

from bridge.map.kinds import (
    Definitions,
    Fault,
    Flag,
    Kind,
    Text,
    about,
    faulty,
    kind_of,
)
from bridge.map.nearest import advice
from bridge.map.parts import Many
from bridge.map.scheme_build import Entry
from bridge.map.scheme_shapes import SHAPES
from bridge.model import Json

LISTS = ("all_of", "any_of")
SCHEMES = (*SHAPES, "none", *LISTS)
NONE_REASON = Text(
    example='none: "the CRM can set nothing but a URL"',
    metadata=about(
        "Why the sender signs nothing; only inside all_of, beside path.",
        "the CRM can set nothing but a URL",
    ),
)


class SchemeKind(Kind):
    """One entry of ``verify``, ``all_of`` or ``any_of``; ``inside`` says of which list."""

    what = "a scheme"
    definition = "scheme"

    def __init__(self, inside: str = "verify", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.inside = inside

    def read(self, value: Json) -> Any:
        """The entry."""
        if not isinstance(value, dict):
            raise faulty(
                "wrong-type",
                f"must be a scheme with its parameters, not {kind_of(value)}.",
                'Write - bearer: {token: "${NAME_OF_THE_SETTING}"}.',
            )
        try:
            optional: bool = Flag().read(value.get("optional", False))
        except ValidationError as error:
            raise ValidationError({"optional": error.messages}) from None
        names = [key for key in value if key != "optional"]
        if len(names) != 1:
            raise faulty(
                "one-scheme",
                "must name one scheme.",
                f"Write one of: {', '.join(SCHEMES)}; the next one after its own `- `.",
            )
        name = names[0]
        if name not in SCHEMES:
            fault = Fault("unknown-scheme", f"`{name[:60]}` is no scheme.", advice(name, SCHEMES))
            raise ValidationError({name: list[Any]([fault])})
        if optional and self.inside == "all_of":
            fault = Fault(
                "optional-part",
                "cannot be optional: all of these must pass.",
                "Make the whole all_of optional, or put any_of around it.",
            )
            raise ValidationError({"optional": list[Any]([fault])})
        try:
            return self._entry(name, value[name], optional)
        except ValidationError as error:
            raise ValidationError({name: error.messages}) from None

    def json_schema(self, definitions: Definitions) -> dict[str, Json]:
        shapes: dict[str, Kind] = {
            **SHAPES,
            "none": NONE_REASON,
            **{name: Many(SchemeKind(name)) for name in LISTS},
        }
        return {
            "anyOf": [
                {
                    "type": "object",
                    "properties": {
                        name: kind.below(definitions),
                        "optional": Flag().below(definitions),
                    },
                    "required": [name],
                    "additionalProperties": False,
                }
                for name, kind in shapes.items()
            ]
        }

    def _entry(self, name: str, value: Json, optional: bool) -> Entry:
        if name in LISTS:
            entry = Entry(name, {}, optional, Many(SchemeKind(name)).read(value))
            if name == "all_of" and not entry.proves:
                raise _proves_nothing("all of this together")
            if entry.name == "all_of":
                self._none_has_path(entry)
            return entry
        if name == "none":
            entry = Entry(name, {"why": str(NONE_REASON.read(value))}, optional)
        else:
            entry = Entry(name, SHAPES[name].read(value), optional)
        if self.inside != "all_of" and not entry.proves:
            raise _proves_nothing(f"`{name}`")
        return entry

    def _none_has_path(self, entry: Entry) -> None:
        names = [part.name for part in entry.parts]
        if "none" in names and "path" not in names:
            raise faulty(
                "none-without-path",
                "says that the sender signs nothing, and has no secret in the URL.",
                'Add - path: {token: "${NAME_OF_THE_SETTING}"}.',
            )


def _proves_nothing(what: str) -> ValidationError:
    return faulty(
        "proves-nothing",
        f"is not enough: {what} takes no secret, so anyone can pass.",
        'Put it into all_of, beside - path: {token: "${NAME_OF_THE_SETTING}"}.',
    )
