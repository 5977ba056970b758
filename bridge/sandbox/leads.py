"""Campaigns and their leads, and what an update does to a lead.

Meaning of the fields: the campaign API's reference,
https://docs.voiceaiwrapper.app/api-reference/leads-v2/bulk-update-in-voice-campaign. Phone numbers
match exactly as written; the reference does not say more.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from typing import Literal, TypeAlias

from bridge.sandbox.database import Json, now_ms, to_text

CustomFields: TypeAlias = Literal["merge", "replace"]

PLAIN = ("first_name", "last_name", "email", "do_not_call")


def put_campaign(connection: sqlite3.Connection, campaign: str) -> None:
    """Make the campaign exist."""
    connection.execute("INSERT OR IGNORE INTO campaigns (id) VALUES (?)", (campaign,))


def has_campaign(connection: sqlite3.Connection, campaign: str) -> bool:
    """Whether the campaign exists."""
    found = connection.execute("SELECT 1 FROM campaigns WHERE id = ?", (campaign,)).fetchone()
    return found is not None


def apply_update(
    connection: sqlite3.Connection,
    campaign: str,
    fields: Mapping[str, Json],
    *,
    call: int | None,
    custom_fields: CustomFields,
) -> bool:
    """Change what ``fields`` names of one lead; False if the campaign has no such lead.

    ``mark_as_unanswered`` acts only on a lead that is answered now: it clears that and counts one
    more return to the call queue.
    """
    row = connection.execute(
        "SELECT custom_fields, answered FROM leads WHERE campaign = ? AND phone_number = ?",
        (campaign, fields["phone_number"]),
    ).fetchone()
    if row is None:
        return False
    changes: dict[str, Json] = {name: fields[name] for name in PLAIN if name in fields}
    if "custom_fields" in fields:
        kept = json.loads(row["custom_fields"]) if custom_fields == "merge" else {}
        changes["custom_fields"] = to_text({**kept, **fields["custom_fields"]})
    if "answered" in fields:
        changes["answered"] = fields["answered"]
    requeued = int(bool(fields.get("mark_as_unanswered") and row["answered"]))
    if requeued:
        changes["answered"] = False
    changes |= {"changed_ms": now_ms(), "changed_by": call}
    names = ", ".join(f"{name} = ?" for name in changes)
    connection.execute(
        f"UPDATE leads SET {names}, requeued = requeued + ?"  # noqa: S608 - names are ours
        " WHERE campaign = ? AND phone_number = ?",
        (*changes.values(), requeued, campaign, fields["phone_number"]),
    )
    return True


def put_lead(connection: sqlite3.Connection, fields: Mapping[str, Json]) -> None:
    """Set a lead as the control interface asks; made if it is not there."""
    add_lead(connection, fields["campaign"], fields["phone_number"], call=None)
    apply_update(connection, fields["campaign"], fields, call=None, custom_fields="replace")


def add_lead(
    connection: sqlite3.Connection, campaign: str, phone: str, *, call: int | None
) -> bool:
    """Make an empty lead; False, and nothing changed, if it is there already."""
    added = connection.execute(
        "INSERT OR IGNORE INTO leads (campaign, phone_number, changed_ms, changed_by)"
        " VALUES (?, ?, ?, ?)",
        (campaign, phone, now_ms(), call),
    )
    return added.rowcount == 1


def add_new_lead(
    connection: sqlite3.Connection, campaign: str, lead: Mapping[str, Json], *, call: int
) -> None:
    """Make a lead with its fields. One that is there already stays as it is, opt-out and all."""
    if add_lead(connection, campaign, lead["phone_number"], call=call):
        apply_update(connection, campaign, lead, call=call, custom_fields="replace")


def queue_lead(
    connection: sqlite3.Connection,
    campaign: str,
    lead: Mapping[str, Json],
    *,
    call: int,
    due_ms: int | None,
) -> None:
    """Remember a lead that is to appear at ``due_ms``; None: only when told to settle."""
    connection.execute(
        "INSERT INTO queued_leads (campaign, due_ms, call, lead) VALUES (?, ?, ?, ?)",
        (campaign, due_ms, call, to_text(dict(lead))),
    )


def settle(connection: sqlite3.Connection, *, until_ms: int | None) -> int:
    """Let the queued leads appear that are due by then, or all of them; says how many."""
    due = connection.execute(
        "SELECT * FROM queued_leads WHERE ?1 IS NULL OR due_ms <= ?1 ORDER BY id", (until_ms,)
    ).fetchall()
    for row in due:
        add_new_lead(connection, row["campaign"], json.loads(row["lead"]), call=row["call"])
        connection.execute("DELETE FROM queued_leads WHERE id = ?", (row["id"],))
    return len(due)


def all_leads(connection: sqlite3.Connection, campaign: str | None) -> list[Json]:
    """Every field of every lead, of one campaign or of all, by campaign and phone number.

    ``changed_by`` is the number of the call that changed it last, null where that was the
    control interface.
    """
    rows = connection.execute(
        "SELECT * FROM leads WHERE ?1 IS NULL OR campaign = ?1 ORDER BY campaign, phone_number",
        (campaign,),
    )
    return [
        {
            **dict(row),
            "do_not_call": bool(row["do_not_call"]),
            "answered": bool(row["answered"]),
            "custom_fields": json.loads(row["custom_fields"]),
        }
        for row in rows
    ]
