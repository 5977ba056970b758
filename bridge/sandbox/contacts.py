"""HubSpot contacts: set by the control interface, read in batches.

What a read answers is on the batch-read page of HubSpot's reference,
https://developers.hubspot.com/docs/api-reference/latest/crm/objects/objects/batch/get-objects:
every property value is a string; an empty one is null. A record that was merged away is answered
with the surviving one, under the survivor's id.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from bridge.sandbox.database import Json, now_ms, to_text

ALWAYS = ("createdate", "hs_object_id", "lastmodifieddate")
IF_NONE_NAMED = ("email", "firstname", "lastname")


def put_contact(connection: sqlite3.Connection, setting: Mapping[str, Json]) -> None:
    """Create or change one contact.

    ``properties`` are merged into those it has. ``privacy_deleted`` leaves nothing behind;
    ``merged_into`` leaves only the pointer to the survivor.
    """
    contact = setting["id"]
    if setting.get("privacy_deleted"):
        connection.execute("DELETE FROM contacts WHERE id = ?", (contact,))
        return
    row = connection.execute("SELECT * FROM contacts WHERE id = ?", (contact,)).fetchone()
    created, updated = setting.get("created_at"), setting.get("updated_at")
    now = now_ms()
    connection.execute(
        "INSERT OR REPLACE INTO contacts (id, properties, created_ms, updated_ms, archived,"
        " merged_into) VALUES (?, ?, ?, ?, ?, ?)",
        (
            contact,
            to_text(
                {
                    **(json.loads(row["properties"]) if row else {}),
                    **{
                        name: _as_property(value)
                        for name, value in setting.get("properties", {}).items()
                    },
                }
            ),
            _to_ms(created) if created else row["created_ms"] if row else now,
            _to_ms(updated) if updated else now,
            setting.get("archived", bool(row["archived"]) if row else False),
            setting.get("merged_into", row["merged_into"] if row else None),
        ),
    )


def read_batch(
    connection: sqlite3.Connection,
    ids: Sequence[str],
    properties: Sequence[str],
    *,
    archived: bool,
) -> tuple[list[Json], list[str]]:
    """The records that were found, each once, and the asked ids that gave none."""
    names = sorted({*ALWAYS, *(properties or IF_NONE_NAMED)})
    found: dict[str, Json] = {}
    missing: list[str] = []
    for asked in dict.fromkeys(ids):
        row = _survivor(connection, asked)
        if row is None or bool(row["archived"]) is not archived:
            missing.append(asked)
        else:
            found[row["id"]] = _record(row, names)
    return list(found.values()), missing


def all_contacts(connection: sqlite3.Connection) -> list[Json]:
    """Every contact as it is kept."""
    return [
        {
            **dict(row),
            "archived": bool(row["archived"]),
            "properties": json.loads(row["properties"]),
        }
        for row in connection.execute("SELECT * FROM contacts ORDER BY id")
    ]


def iso(ms: int) -> str:
    """Milliseconds since 1970 as HubSpot writes them: UTC, three decimals, ``Z``."""
    text = datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")


def _survivor(connection: sqlite3.Connection, contact: str) -> sqlite3.Row | None:
    seen: set[str] = set()
    while contact not in seen:
        seen.add(contact)
        row: sqlite3.Row | None = connection.execute(
            "SELECT * FROM contacts WHERE id = ?", (contact,)
        ).fetchone()
        if row is None or row["merged_into"] is None:
            return row
        contact = row["merged_into"]
    return None


def _record(row: sqlite3.Row, names: Sequence[str]) -> Json:
    created, updated = iso(row["created_ms"]), iso(row["updated_ms"])
    values = {
        **json.loads(row["properties"]),
        "createdate": created,
        "hs_object_id": row["id"],
        "lastmodifieddate": updated,
    }
    return {
        "id": row["id"],
        "properties": {name: values.get(name) for name in names},
        "createdAt": created,
        "updatedAt": updated,
        "archived": bool(row["archived"]),
    }


def _as_property(value: Json) -> str | None:
    if value is None or value == "":
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def _to_ms(when: datetime) -> int:
    return round(when.timestamp() * 1000)
