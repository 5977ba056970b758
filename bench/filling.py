"""Databases as time leaves them, filled by the database itself: a million events take a minute.

Every event has its delivery, its outcome and what it can be found by. ``Waiting``: each is of a
lead of its own, in the queue and due. ``Done``: a lead for every four events, all of them
confirmed a hundred to a call. Keys and digests are spread over their whole range, as hashes are,
so that indexes grow as they do in production.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from enum import Enum

from sqlalchemy import text

from bench.rig import Rig
from bridge.clock import now_ms
from bridge.model import Lane
from bridge.store.database import Connection
from bridge.store.schema import NEVER

AT_A_TIME = 50_000
EVENTS_OF_LEAD = 4
"""Events of one lead, of those that are done."""
BODY = (
    '{"event_id": "1234567890", "occurred_at": 1790000000000, "phone": "+14155550123", '
    '"firstname": "Jane", "lastname": "Doe", "email": "jane.doe@example.com", '
    '"hs_object_id": "1234567890", "lifecyclestage": "lead", "hs_lead_status": "OPEN", '
    '"company": "Example Incorporated", "city": "San Francisco", "country": "United States"}'
)
HEADERS = '{"content-type": "application/json", "user-agent": "HubSpot Webhooks 1.0"}'

_SERIES = {
    "sqlite": "WITH RECURSIVE s(n) AS (VALUES(:a) UNION ALL SELECT n + 1 FROM s WHERE n < :b) ",
    "postgresql": "WITH s AS (SELECT generate_series(CAST(:a AS bigint), CAST(:b AS bigint)) n) ",
}
_SPREAD = "({} * 2654435761 % 4294967296)"
_WORDS = {
    "sqlite": {
        "key": f"printf('%08x%024d', {_SPREAD.format('n')}, n)",
        "digest": f"printf('%08x%032d', {_SPREAD.format('n')}, n)",
        "body": "CAST(:body AS BLOB)",
        "false": "0",
    },
    "postgresql": {
        "key": f"lpad(to_hex{_SPREAD.format('n')}, 8, '0') || lpad(CAST(n AS text), 24, '0')",
        "digest": f"lpad(to_hex{_SPREAD.format('n')}, 8, '0') || lpad(CAST(n AS text), 32, '0')",
        "body": "convert_to(:body, 'UTF8')",
        "false": "false",
    },
}


class Rows(Enum):
    """What the rows have come to."""

    WAITING = "waiting"
    DONE = "done"


def lead_number(number: int) -> int:
    """The lead, as ``bench.sink.phone_of`` counts them, that a filled lead has: an even one."""
    return 2 * number


def receipt(number: int) -> str:
    """The receipt of a filled event."""
    return f"{number * 2654435761 % 2**32:08x}{number:024d}"


def new_lead_number(number: int) -> int:
    """A lead that no filling has, among those that it has; for every number below 3,500,000."""
    return 2 * (number * 1_000_003 % 3_500_000) + 1


_INDEXES = {
    "sqlite": "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL",
    "postgresql": "SELECT indexname, indexdef FROM pg_indexes "
    "WHERE schemaname = 'public' AND left(indexname, 3) = 'ix_'",
}


def fill(bridge: Rig, count: int, rows: Rows) -> None:
    """Fill an empty database with so many events. Indexes are made afterwards, in one go."""
    now = now_ms()
    with bridge.database.write() as connection:
        found = connection.exec_driver_sql(_INDEXES[connection.dialect.name])
        indexes = {row[0]: row[1] for row in found}
        for name in indexes:
            connection.exec_driver_sql(f"DROP INDEX {name}")
    for start in range(1, count + 1, AT_A_TIME):
        with bridge.database.write() as connection:
            last = min(count, start + AT_A_TIME - 1)
            for table in _tables(rows):
                _insert(connection, table, start, last, now)
    with bridge.database.write() as connection:
        if not bridge.database.is_sqlite:
            connection.exec_driver_sql("SET LOCAL maintenance_work_mem = '512MB'")
        for statement in indexes.values():
            connection.exec_driver_sql(statement)
    _tidy(bridge)


def _tidy(bridge: Rig) -> None:
    """What a database does in its own time, done now, so that it does not do it meanwhile."""
    if bridge.database.is_sqlite:
        with closing(sqlite3.connect(bridge.database.path or "")) as raw:
            raw.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return
    with bridge.database.write() as connection:
        for name in ("delivery", "event", "lead", "outcome", "batch"):
            connection.exec_driver_sql(
                f"SELECT setval(pg_get_serial_sequence('{name}', 'id'), max(id)) FROM {name}"
            )
    alone = bridge.database.engine.execution_options(isolation_level="AUTOCOMMIT")
    with alone.connect() as connection:
        connection.exec_driver_sql("VACUUM (ANALYZE)")
        connection.exec_driver_sql("CHECKPOINT")


@dataclass(frozen=True, slots=True)
class _Table:
    """What a table gets: for each number n, or for those that ``which`` holds of, a row."""

    name: str
    values: dict[str, str]
    which: str = "1 = 1"


def _tables(rows: Rows) -> list[_Table]:
    done = rows is Rows.DONE
    number = f"((n - 1) / {EVENTS_OF_LEAD if done else 1} + 1)"
    of_lead = f"n % {EVENTS_OF_LEAD} = 1" if done else "1 = 1"
    phone = f"'+1415' || CAST(2000000 + 2 * {number} AS text)"
    source = "'hubspot-workflow'"
    delivery = {
        "id": "n",
        "receipt": "<key>",
        "source": source,
        "received_at": ":now",
        "method": "'POST'",
        "path": "'/hooks/hubspot-workflow'",
        "query": "'{}'",
        "headers": ":headers",
        "body": "<body>",
        "address": "'192.0.2.1'",
        "scheme": "'hubspot_v2'",
        "state": "'done'",
        "version": "'v1'",
    }
    event = {
        "id": "n",
        "delivery_id": "n",
        "ordinal": "0",
        "source": source,
        "key": "<key>",
        "dedupe_key": "<key>",
        "event_time": ":now",
        "weak_time": "<false>",
        "state": "'done'",
        "lane": str(int(Lane.FIRST)),
        "due_at": str(NEVER),
        "tries": "0",
    }
    # without the backslash a colon would begin a parameter
    ledger = "'{\"first_name\"\\:[\"Jane\",' || :now || ',\"' || <key> || '\"]}'"
    lead = {
        "id": number,
        "campaign": "'main'",
        "phone": phone,
        "ledger": ledger if done else "'{}'",
        "opted_out": "<false>",
        "lane": str(int(Lane.IDLE if done else Lane.FIRST)),
        "due_at": str(NEVER) if done else ":now",
        "waiting_since": "NULL" if done else ":now",
        "fence": "1",
        "lease_owner": "''",
        "lease_until": "0",
        "tries": "0",
        "standing_tries": "0",
        "bare": "<false>",
        "reassert": "<false>",
    }
    outcome = {
        "id": "n",
        "event_id": "n",
        "delivery_id": "n",
        "receipt": "<key>",
        "source": source,
        "campaign": "'main'",
        "phone": phone,
        "lead_id": number,
        "state": "'updated'" if done else "'waiting'",
        "fields": '\'{"first_name"\\:"Jane"}\'',
        "opts_out": "<false>",
        "rules": "'[\"contact details\"]'",
        "event_time": ":now",
        "key": "<key>",
        "version": "'v1'",
        "accepted_at": ":now",
        "decided_at": ":now" if done else "NULL",
        "tries": "1" if done else "0",
        "doubtful": "<false>",
        "batch_id": "(n - 1) / 100 + 1" if done else "NULL",
        "message": "''",
    }
    contact = {
        "source": source,
        "account": "''",
        "contact_id": "'c' || <key>",
        "phones": f"'[\"' || {phone} || '\"]'",
        "opted_out": "<false>",
        "consent_time": "0",
        "seen_at": ":now",
    }
    batch = {
        "id": "(n - 1) / 100 + 1",
        "campaign": "'main'",
        "started_at": ":now",
        "elapsed_ms": "20",
        "leads": "100",
        "calls": "1",
        "status": "200",
        "detail": "''",
    }
    return [
        _Table("delivery", delivery),
        _Table("event", event),
        _Table("lead", lead, of_lead),
        _Table("outcome", outcome),
        _Table("contact", contact, of_lead),
        _Table("event_contact", {"contact": "<digest>", "event_id": "n"}),
        _Table("clue", {"digest": "<digest>", "phone": phone, "event_id": "0"}, of_lead),
        _Table("batch", batch, "n % 100 = 1" if done else "1 = 0"),
    ]


def _insert(connection: Connection, table: _Table, first: int, last: int, now: int) -> None:
    engine = connection.dialect.name
    head, series = f"INSERT INTO {table.name} ({', '.join(table.values)}) ", _SERIES[engine]
    rows = f"SELECT {', '.join(table.values.values())} FROM s WHERE {table.which}"
    for word, sql in _WORDS[engine].items():
        rows = rows.replace(f"<{word}>", sql)
    statement = f"{head}{series}{rows}" if engine == "sqlite" else f"{series}{head}{rows}"
    given = {"a": first, "b": last, "now": now, "body": BODY, "headers": HEADERS}
    connection.execute(text(statement), {n: v for n, v in given.items() if f":{n}" in statement})
