"""What people did to the bridge by hand: who, when, what. Rows are added and never changed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, insert, select

from bridge import jsontext
from bridge.store.schema import operator_action


def note(
    connection: Connection,
    *,
    actor: str,
    action: str,
    subject: str,
    details: Mapping[str, Any],
    now: int,
) -> int:
    """Note an action in the transaction that carries it out; returns its id.

    ``actor``: ``user@host`` or who the console says it is. ``action``: such as
    ``campaign.pause``. ``subject``: what it was done to. ``details``: as JSON, without secrets.
    """
    key = connection.execute(
        insert(operator_action).values(
            at=now,
            actor=actor[:200],
            action=action,
            subject=subject[:200],
            details=jsontext.dumps(dict(details)),
        )
    ).inserted_primary_key
    if key is None:  # pragma: no cover - the table has a primary key
        raise LookupError("operator_action")
    return int(key[0])


def listing(
    connection: Connection,
    *,
    subject: str | None = None,
    before: int | None = None,
    limit: int = 50,
) -> list[dict[str, Any]]:
    """The newest actions, of all or on one subject, with ``details`` as an object."""
    query = select(operator_action).order_by(operator_action.c.id.desc()).limit(limit)
    if subject is not None:
        query = query.where(operator_action.c.subject == subject)
    if before is not None:
        query = query.where(operator_action.c.id < before)
    return [
        {**row._mapping, "details": jsontext.loads(row.details)}
        for row in connection.execute(query)
    ]
