"""Reading the bulk endpoint's reply: one result per lead, none lost, none invented. Pure.

https://docs.voiceaiwrapper.app/api-reference/leads-v2/bulk-update-in-voice-campaign documents
``{"status", "message", "results": [{"index", "phone_number", "success", "message"}]}``. The
overall status stays ``success`` while a row fails, so only a row that names the lead by index
and phone number speaks for it. Everything else is *unknown*.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal

from bridge import jsontext
from bridge.model import Result, Verdict

MESSAGE_LENGTH = 300


def read_reply(
    phones: Sequence[str], body: bytes, *, order: Literal["in_order", "any_order"] = "in_order"
) -> tuple[Result, ...]:
    """One result per phone number sent, in that order, from the body of a 2xx reply.

    ``in_order``: a reply counts only if its rows stand in the order of the request, so that one
    that was shuffled on its way confirms nothing. ``any_order``: index and phone number together
    name the lead, wherever the row stands.
    """
    try:
        document = _document(body)
    except (ValueError, RecursionError):
        return _all_unknown(phones, "the reply is not JSON, or names a key twice")
    if not isinstance(document, dict) or not isinstance(document.get("results"), list):
        return _all_unknown(phones, "the reply has no list of results")
    if document.get("status") != "success":
        return _all_unknown(phones, "the reply's overall status is not success")
    if _as_it_went(document["results"], phones):
        return tuple([_said(row) for row in document["results"]])
    rows = [_Row(n, row) for n, row in enumerate(document["results"]) if isinstance(row, dict)]
    mentions = _mentions(rows, phones)
    return tuple(_result(n, phone, mentions.get(n, []), order) for n, phone in enumerate(phones))


def _document(body: bytes) -> Any:
    """The JSON of a reply in which no object names a key twice. Errors: ValueError, RecursionError.

    A text that comes out the same when it is written again has lost nothing: no key stood twice.
    """
    with suppress(ValueError, TypeError):
        document = jsontext.loads(body)
        if jsontext.dump_bytes(document) == body:
            return document
    return json.loads(body, object_pairs_hook=_without_repeats)


def _as_it_went(rows: Sequence[Any], phones: Sequence[str]) -> bool:
    """Whether each lead has the one row at its own place: nothing is left to be found out."""
    if not len(rows) == len(phones) == len(set(phones)):
        return False
    for place, (row, phone) in enumerate(zip(rows, phones, strict=True)):
        if type(row) is not dict or row.get("phone_number") != phone:
            return False
        index = row.get("index")
        if type(index) is not int or index != place:
            return False
    return True


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object; one that names a key twice says two things, so it says nothing."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands twice")
    return found


@dataclass(frozen=True, slots=True)
class _Row:
    """A row of the reply, and where it stands."""

    position: int
    content: dict[str, Any]


def _mentions(rows: Sequence[_Row], phones: Sequence[str]) -> dict[int, list[_Row]]:
    """Place of each lead in the request → the rows that speak of it, by index or by number."""
    places = {phone: n for n, phone in enumerate(phones)}
    found: dict[int, list[_Row]] = {}
    for row in rows:
        index, phone = row.content.get("index"), row.content.get("phone_number")
        named = {index} if type(index) is int and 0 <= index < len(phones) else set()
        if isinstance(phone, str) and phone in places:
            named.add(places[phone])
        for place in named:
            found.setdefault(place, []).append(row)
    return found


def _all_unknown(phones: Sequence[str], why: str) -> tuple[Result, ...]:
    return tuple(Result(Verdict.UNKNOWN, why) for _ in phones)


def _result(place: int, phone: str, rows: Sequence[_Row], order: str) -> Result:
    if not rows:
        return Result(Verdict.UNKNOWN, "the reply has no row for this lead")
    if len(rows) > 1:
        return Result(Verdict.UNKNOWN, "the reply names this lead more than once")
    row = rows[0].content
    if type(row.get("index")) is not int or row["index"] != place:
        return Result(Verdict.UNKNOWN, "the reply's row for this lead has another index")
    if row.get("phone_number") != phone:
        return Result(Verdict.UNKNOWN, "the reply's row for this lead names another phone number")
    if order == "in_order" and rows[0].position != place:
        return Result(Verdict.UNKNOWN, "the reply's rows do not stand in the order of the request")
    return _said(row)


def _said(row: dict[str, Any]) -> Result:
    """What the one row of a lead says of it."""
    success, message = row.get("success"), _text(row.get("message"))
    if success is True:
        return Result(Verdict.CONFIRMED, message)
    if success is False:
        missing = "not found" in message.lower()
        return Result(Verdict.NOT_FOUND if missing else Verdict.REJECTED, message)
    return Result(Verdict.UNKNOWN, "the reply's row does not say whether it succeeded")


def _text(value: object) -> str:
    """Text from outside as it may be stored; PostgreSQL takes no NUL."""
    if not isinstance(value, str):
        return ""
    if value.isprintable():
        return value[:MESSAGE_LENGTH]
    return "".join(c if c.isprintable() else " " for c in value[:MESSAGE_LENGTH])
