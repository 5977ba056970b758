"""Every call that came in, in the order in which it took effect, and what became of it."""

from __future__ import annotations

import json
import sqlite3

from bridge.sandbox.database import Json, now_ms, to_text


def begin(
    connection: sqlite3.Connection,
    *,
    endpoint: str,
    campaign: str | None,
    started_ms: int,
    elements: Json,
) -> int:
    """Note a call; its number, higher than that of every call before it."""
    cursor = connection.execute(
        "INSERT INTO calls (endpoint, campaign, started_ms, elements) VALUES (?, ?, ?, ?)",
        (endpoint, campaign, started_ms, None if elements is None else to_text(elements)),
    )
    assert cursor.lastrowid is not None  # noqa: S101 - an INSERT has one
    return cursor.lastrowid


def decide(
    connection: sqlite3.Connection, seq: int, *, status: int | None, applied: bool, mode: str
) -> None:
    """Note what the call did and which status it will be answered with; None: no answer."""
    connection.execute(
        "UPDATE calls SET status = ?, applied = ?, mode = ? WHERE seq = ?",
        (status, applied, mode, seq),
    )


def finish(connection: sqlite3.Connection, seq: int) -> None:
    """Note the time at which the answer leaves, or the connection is closed."""
    connection.execute("UPDATE calls SET finished_ms = ? WHERE seq = ?", (now_ms(), seq))


def calls(
    connection: sqlite3.Connection, *, after: int, endpoint: str | None, campaign: str | None
) -> list[Json]:
    """The calls with a number above ``after``; ``elements`` is the body, null if no JSON."""
    rows = connection.execute(
        "SELECT * FROM calls WHERE seq > ?1 AND (?2 IS NULL OR endpoint = ?2)"
        " AND (?3 IS NULL OR campaign = ?3) ORDER BY seq",
        (after, endpoint, campaign),
    )
    return [
        {
            **dict(row),
            "applied": bool(row["applied"]),
            "elements": json.loads(row["elements"]) if row["elements"] is not None else None,
        }
        for row in rows
    ]


def stats(connection: sqlite3.Connection) -> Json:
    """Counts of what there is and of what was called."""

    def count(sql: str) -> int:
        value: int = connection.execute(sql).fetchone()[0]
        return value

    def grouped(column: str) -> dict[str, int]:
        rows = connection.execute(
            f"SELECT {column}, count(*) FROM calls GROUP BY {column}"  # noqa: S608 - ours
        )
        return {"none" if value is None else str(value): number for value, number in rows}

    return {
        "campaigns": count("SELECT count(*) FROM campaigns"),
        "leads": count("SELECT count(*) FROM leads"),
        "do_not_call": count("SELECT count(*) FROM leads WHERE do_not_call"),
        "requeued": count("SELECT coalesce(sum(requeued), 0) FROM leads"),
        "queued_leads": count("SELECT count(*) FROM queued_leads"),
        "contacts": count("SELECT count(*) FROM contacts"),
        "calls": count("SELECT count(*) FROM calls"),
        "applied": count("SELECT count(*) FROM calls WHERE applied"),
        "by_endpoint": grouped("endpoint"),
        "by_status": grouped("status"),
        "by_mode": grouped("mode"),
    }
