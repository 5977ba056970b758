"""The kinds of fields that the API's answers are made of; every one is always there."""

from __future__ import annotations

from typing import Any

from marshmallow import fields, validate

from bridge.clock import iso


class Time(fields.String):
    """Milliseconds since 1970 UTC, written as a text such as ``2026-06-25T07:19:29.536Z``."""

    def _serialize(self, value: Any, *_: Any, **__: Any) -> str | None:
        return iso(value)


def text(said: str = "", *, maybe: bool = False) -> fields.String:
    """A text; ``maybe``: or null. ``said`` describes it."""
    return fields.String(required=True, allow_none=maybe, metadata=_said(said))


def number(said: str = "", *, maybe: bool = False) -> fields.Integer:
    """A whole number."""
    return fields.Integer(required=True, allow_none=maybe, metadata=_said(said))


def fraction(*, maybe: bool = False) -> fields.Float:
    """A number."""
    return fields.Float(required=True, allow_none=maybe)


def time(*, maybe: bool = False) -> Time:
    """A time in UTC."""
    return Time(required=True, allow_none=maybe, metadata={"format": "date-time"})


def flag(said: str = "", *, maybe: bool = False) -> fields.Boolean:
    """True or false."""
    return fields.Boolean(required=True, allow_none=maybe, metadata=_said(said))


def word(*words: str) -> fields.String:
    """One of these words."""
    return fields.String(required=True, validate=validate.OneOf(words))


def texts() -> fields.List[str]:
    """A list of texts."""
    return fields.List(fields.String(), required=True)


def sent() -> fields.Dict:
    """The fields of a lead update, under the name ``fields``."""
    return fields.Dict(keys=fields.String(), attribute="fields", data_key="fields", required=True)


def _said(text: str) -> dict[str, str]:
    return {"description": text} if text else {}
