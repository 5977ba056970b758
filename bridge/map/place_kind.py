"""Names of headers and query parameters, and places in a decoded body, as they are written."""

from __future__ import annotations

import re
from typing import Any

from marshmallow import ValidationError

from bridge.map.kinds import Definitions, Kind, Text, faulty, kind_of
from bridge.map.parts import Many
from bridge.map.substitution import missing_in
from bridge.model import Json

DEEPEST = 20

# RFC 9110, section 5.6.2: what a header name is made of.
_HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}", re.ASCII)


class HeaderName(Text):
    """The name of a header."""

    what = "the name of a header"

    def read(self, value: Json) -> Any:
        """The name as written."""
        text = str(super().read(value))
        if not missing_in(value) and not _HEADER.fullmatch(text):
            raise faulty(
                "bad-header-name",
                "is no name that a header can have.",
                "Write it as the CRM's documents do, such as X-Signature, without a colon.",
            )
        return text


class PlaceKind(Kind):
    """A place in the decoded body: ``a.b.c``, or a list of names where one holds a dot."""

    what = "a place in the body"

    def read(self, value: Json) -> Any:
        """The names from the outside in."""
        if isinstance(value, str):
            names = tuple(value.split("."))
        elif isinstance(value, list):
            names = Many(Text()).read(value)
        else:
            raise faulty(
                "wrong-type",
                f"must be a place in the body, not {kind_of(value)}.",
                self.hint() or "Write the names from the outside in: data.secret.",
            )
        if not all(name.strip() for name in names) or len(names) > DEEPEST:
            raise faulty(
                "bad-place",
                f"must be at most {DEEPEST} names with a dot between them.",
                "Write data.secret; a name that holds a dot needs a list: [data, my.secret].",
            )
        return tuple(str(name) for name in names)

    def json_schema(self, definitions: Definitions) -> dict[str, Json]:
        return {"anyOf": [Text().below(definitions), Many(Text()).below(definitions)]}


class OneOrMore(Kind):
    """One value of a kind, or a list of them."""

    def __init__(self, inner: Kind, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.inner = inner
        self.what = f"{inner.what} or a list"

    def read(self, value: Json) -> Any:
        """The values, as a tuple."""
        if isinstance(value, list):
            return Many(self.inner).read(value)
        return (self.inner.read(value),)

    def json_schema(self, definitions: Definitions) -> dict[str, Json]:
        return {"anyOf": [self.inner.below(definitions), Many(self.inner).below(definitions)]}


class ContentType(Text):
    """A media type, perhaps with its character set."""

    what = "a content type"

    _SHAPE = re.compile(
        r"[A-Za-z0-9.+-]{1,60}/[A-Za-z0-9.+-]{1,60}(?:; ?[a-z-]{1,20}=[A-Za-z0-9.-]{1,60})?",
        re.ASCII,
    )

    def read(self, value: Json) -> Any:
        """The content type."""
        text = str(super().read(value))
        if not self._SHAPE.fullmatch(text):
            raise faulty(
                "bad-content-type", "is no content type.", "Write text/xml; charset=utf-8."
            )
        return text


class Status(Kind):
    """A status that says no: 4xx or 5xx, and never 410."""

    what = "a status from 400 to 599"

    def read(self, value: Json) -> Any:
        """The number."""
        if isinstance(value, bool) or not isinstance(value, int) or not 400 <= value <= 599:
            raise ValidationError(
                faulty("bad-number", f"must be {self.what}.", f"Write {self.unset}.").messages
            )
        if value == 410:
            raise faulty(
                "status-gone",
                "is 410, at which CRMs delete or switch off their webhook.",
                f"Write {self.unset}.",
            )
        return value

    def json_schema(self, definitions: Definitions) -> dict[str, Json]:
        del definitions
        return {"type": "integer", "minimum": 400, "maximum": 599, "not": {"const": 410}}
