"""The sandbox's SQLite file: its tables and its transactions.

Times are integers, milliseconds since 1970-01-01 UTC. A process that is killed loses nothing that
was answered for; a machine that loses power may (``synchronous=NORMAL``), which is enough here.
"""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

Json: TypeAlias = Any
"""A decoded JSON document."""

TABLES = """
CREATE TABLE IF NOT EXISTS campaigns (id TEXT PRIMARY KEY) WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS leads (
    campaign TEXT NOT NULL REFERENCES campaigns (id),
    phone_number TEXT NOT NULL,
    first_name TEXT,
    last_name TEXT,
    email TEXT,
    do_not_call INTEGER NOT NULL DEFAULT 0,
    custom_fields TEXT NOT NULL DEFAULT '{}',
    answered INTEGER NOT NULL DEFAULT 0,
    requeued INTEGER NOT NULL DEFAULT 0,
    changed_ms INTEGER NOT NULL,
    changed_by INTEGER,
    PRIMARY KEY (campaign, phone_number)
) WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS queued_leads (
    id INTEGER PRIMARY KEY,
    campaign TEXT NOT NULL,
    due_ms INTEGER,
    call INTEGER NOT NULL,
    lead TEXT NOT NULL
);

CREATE TABLE IF NOT EXISTS contacts (
    id TEXT PRIMARY KEY,
    properties TEXT NOT NULL,
    created_ms INTEGER NOT NULL,
    updated_ms INTEGER NOT NULL,
    archived INTEGER NOT NULL DEFAULT 0,
    merged_into TEXT
) WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS calls (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    endpoint TEXT NOT NULL,
    campaign TEXT,
    started_ms INTEGER NOT NULL,
    finished_ms INTEGER,
    status INTEGER,
    applied INTEGER NOT NULL DEFAULT 0,
    mode TEXT NOT NULL DEFAULT 'ok',
    elements TEXT
);

CREATE TABLE IF NOT EXISTS behaviour (
    scope TEXT PRIMARY KEY,
    steps TEXT NOT NULL,
    fallback TEXT,
    drawn INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
"""


def now_ms() -> int:
    """The wall clock, in milliseconds since 1970-01-01 UTC."""
    return time.time_ns() // 1_000_000


def to_text(document: Json) -> str:
    """A document as compact JSON text, characters kept as they are."""
    return json.dumps(document, ensure_ascii=False, separators=(",", ":"))


class Database:
    """One SQLite file, one connection, one transaction at a time."""

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        self._connection = sqlite3.connect(
            path, isolation_level=None, check_same_thread=False, timeout=10
        )
        self._connection.row_factory = sqlite3.Row
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = NORMAL")
        self._connection.execute("PRAGMA foreign_keys = ON")
        self._connection.executescript(TABLES)

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All of it or nothing; whoever comes second waits. Never sleep inside."""
        with self._lock:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")

    def close(self) -> None:
        """Give the file back."""
        with self._lock:
            self._connection.close()
