"""Reading the bulk endpoint's reply: one result per lead, none lost, none invented. Pure.

https://docs.voiceaiwrapper.app/api-reference/leads-v2/bulk-update-in-voice-campaign documents
``{"status", "message", "results": [{"index", "phone_number", "success", "message"}]}``. The
overall status stays ``success`` while a row fails, so only a row that names the lead by index
and phone number speaks for it. Everything else is *unknown*.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from bridge.jsontext import loads
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
        document = loads(body)
    except ValueError:
        return _all_unknown(phones, "the reply is not JSON")
    if not isinstance(document, dict) or not isinstance(document.get("results"), list):
        return _all_unknown(phones, "the reply has no list of results")
    if document.get("status") != "success":
        return _all_unknown(phones, "the reply's overall status is not success")
    rows = document["results"]
    named = _rows_by_index(rows, len(phones), order)
    return tuple(_result(phone, named.get(i, [])) for i, phone in enumerate(phones))


def _all_unknown(phones: Sequence[str], why: str) -> tuple[Result, ...]:
    return tuple(Result(Verdict.UNKNOWN, why) for _ in phones)


def _rows_by_index(rows: list[Any], count: int, order: str) -> dict[int, list[dict[str, Any]]]:
    named: dict[int, list[dict[str, Any]]] = {}
    for position, row in enumerate(rows):
        if not isinstance(row, dict):
            continue
        index = row.get("index")
        if type(index) is not int or not 0 <= index < count:
            continue
        moved = order == "in_order" and position != index
        named.setdefault(index, []).append({**row, "moved": moved})
    return named


def _result(phone: str, rows: list[dict[str, Any]]) -> Result:
    if not rows:
        return Result(Verdict.UNKNOWN, "the reply has no row for this lead")
    if len(rows) > 1:
        return Result(Verdict.UNKNOWN, "the reply names this lead more than once")
    row = rows[0]
    if row.get("phone_number") != phone:
        return Result(Verdict.UNKNOWN, "the reply's row for this lead names another phone number")
    if row["moved"]:
        return Result(Verdict.UNKNOWN, "the reply's rows do not stand in the order of the request")
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
    return "".join(c if c.isprintable() else " " for c in value[:MESSAGE_LENGTH])
