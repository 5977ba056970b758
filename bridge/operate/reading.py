"""What both the console and the API read for one page: rows with all that belongs to them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bridge.operate.desk import Desk
from bridge.operate.finding import By, Found, find, of_phones
from bridge.operate.story import outcome_entry, story
from bridge.store import attempts, pages
from bridge.store.database import Connection
from bridge.store.pages import Wanted

MOST_OUTCOMES = 200
"""Outcomes that are shown beside one delivery."""


def outcome_page(desk: Desk, wanted: Wanted, *, before: int | None, limit: int) -> dict[str, Any]:
    """A page of outcomes, each with its calls."""
    with desk.database.read() as connection:
        page = pages.outcomes(connection, wanted, before=before, limit=limit)
        rows = _with_calls(connection, page.rows)
    return {"rows": rows, "cursor": page.cursor, "looked_through": page.looked_through}


def open_opt_outs(desk: Desk, most: int) -> list[dict[str, Any]]:
    """The oldest opt-outs that are not confirmed, of each state so many, each with its calls."""
    with desk.database.read() as connection:
        return _with_calls(connection, pages.open_opt_outs(connection, most))


def one_outcome(desk: Desk, id_: int) -> dict[str, Any] | None:
    """One outcome with its calls."""
    with desk.database.read() as connection:
        rows = _with_calls(connection, pages.outcomes_by_id(connection, [id_]))
    return rows[0] if rows else None


def one_delivery(desk: Desk, receipt: str) -> dict[str, Any] | None:
    """A delivery with body, events, outcomes, and what the mapping in force makes of it."""
    with desk.database.read() as connection:
        row = pages.delivery_by_receipt(connection, receipt)
        if row is None:
            return None
        events = pages.events_of_delivery(connection, row["id"])
        page = pages.outcomes(connection, Wanted(receipt=receipt), before=None, limit=MOST_OUTCOMES)
        told = _with_calls(connection, page.rows)
    trace = desk.trials.trace(receipt)
    return {**row, "events": events, "outcomes": told[::-1], "trace": trace}


def lead_found(connection: Connection, id_: int) -> Found | None:
    """The phone number of a lead, and the events that name it."""
    lead = pages.lead_by_id(connection, id_)
    return None if lead is None else of_phones(connection, lead["phone"], (lead["phone"],))


def lead_story(desk: Desk, id_: int, before: int | None) -> dict[str, Any] | None:
    """The story of the phone number of a lead, in all campaigns."""
    with desk.database.read() as connection:
        found = lead_found(connection, id_)
        return None if found is None else story(connection, found, desk.campaigns(), before=before)


def search(desk: Desk, text: str) -> dict[str, Any]:
    """What a text leads to: the stories of all that it may mean, in one."""
    with desk.database.read() as connection:
        found = whole_found(connection, text, desk.read_phone)
        told = story(connection, found, desk.campaigns())
        return {"understood_as": found.by.value, **told}


def whole_found(
    connection: Connection, text: str, read_phone: Callable[[str], tuple[str, ...]]
) -> Found:
    """What a text leads to, the events that its numbers lead to included."""
    found = find(connection, text, read_phone)
    if found.by in (By.EMAIL, By.CONTACT) and found.phones:
        named = of_phones(connection, text, found.phones)
        found = Found(found.by, found.text, found.phones, (*found.events, *named.events))
    return found


def _with_calls(connection: Connection, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    tries = attempts.of_outcomes(connection, [row["id"] for row in rows]) if rows else {}
    return [outcome_entry(row, tries.get(row["id"], [])) for row in rows]
