"""The mapping versions that were ever in force: the text behind each, so that it can be used again.

An outcome names the version that made it; who stores an outcome has kept its version before.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

from sqlalchemy import Connection, select

from bridge import jsontext
from bridge.model import KeptMapping
from bridge.store.database import upsert
from bridge.store.schema import mapping_version


def unknown(connection: Connection, versions: Collection[str]) -> set[str]:
    """Of these versions, those that are not kept yet."""
    rows = connection.execute(
        select(mapping_version.c.version).where(mapping_version.c.version.in_(sorted(versions)))
    )
    return set(versions) - {row.version for row in rows}


def keep(connection: Connection, mappings: Iterable[KeptMapping], now: int) -> None:
    """Keep these; what is kept already stays as it is."""
    values = [
        {
            "version": kept.version,
            "source": kept.source,
            "text": kept.text,
            "region": kept.region,
            "routing": jsontext.dumps(kept.routing),
            "first_seen": now,
        }
        for kept in sorted(mappings, key=lambda kept: kept.version)
    ]
    if values:
        statement = upsert(connection, mapping_version)
        connection.execute(
            statement.on_conflict_do_nothing(index_elements=[mapping_version.c.version]), values
        )


def find(connection: Connection, version: str) -> KeptMapping | None:
    """The mapping of this version; None if it was never in force, or before versions were kept."""
    row = connection.execute(
        select(mapping_version).where(mapping_version.c.version == version)
    ).first()
    return None if row is None else _kept(row)


def newest(connection: Connection, source: str) -> KeptMapping | None:
    """The version of a source that was first seen last."""
    row = connection.execute(
        select(mapping_version)
        .where(mapping_version.c.source == source)
        .order_by(mapping_version.c.first_seen.desc())
        .limit(1)
    ).first()
    return None if row is None else _kept(row)


def listing(connection: Connection, *, source: str | None, limit: int) -> list[dict[str, Any]]:
    """The newest versions, without their texts."""
    query = select(
        mapping_version.c.version, mapping_version.c.source, mapping_version.c.first_seen
    ).order_by(mapping_version.c.first_seen.desc(), mapping_version.c.version)
    if source is not None:
        query = query.where(mapping_version.c.source == source)
    return [dict(row._mapping) for row in connection.execute(query.limit(limit))]


def _kept(row: Any) -> KeptMapping:
    return KeptMapping(row.version, row.source, row.text, row.region, jsontext.loads(row.routing))
