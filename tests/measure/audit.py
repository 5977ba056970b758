"""How long the audit takes over many events: ``python -m measure.audit [--events N] [--url …]``.

Run it from ``tests/``. It fills a database of its own with rows as the pipeline leaves them (one
delivery per event, a lead for every four, one event in fifty a duplicate, one in two hundred a
standing opt-out, the others confirmed), and prints the figures of the first audit, of one with
nothing new, of one after as many new events as an hour may bring, and of a full one. Without
``--url`` it takes SQLite in a temporary folder; ``--postgres`` starts a server of its own.
"""

from __future__ import annotations

import argparse
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import text
from store.postgres import running

from bridge.clock import now_ms
from bridge.operate.audit import Audit
from bridge.store.database import Connection, Database
from bridge.store.migrate import migrate

AT_A_TIME = 50_000
PERIOD = 1826 * 86_400_000
BODY = '{"subscriptionType": "contact.propertyChange", "objectId": 1234567890}'
NEVER = 2**62

SERIES = {
    "sqlite": "WITH RECURSIVE s(n) AS (VALUES(:a) UNION ALL SELECT n + 1 FROM s WHERE n < :b) ",
    "postgresql": "WITH s AS (SELECT generate_series(CAST(:a AS bigint), CAST(:b AS bigint)) n) ",
}
COPY, STANDS = "n % 50 = 0", "n % 200 = 1"
LEAD = "(n / 4) * 4 + 1"
"""The event whose number its lead has; every event of it is about the same phone number."""


def fill(connection: Connection, first: int, last: int, now: int) -> None:
    """Rows for the events with these numbers, which are their ids."""
    engine = connection.dialect.name
    blob = "CAST(:body AS BLOB)" if engine == "sqlite" else "convert_to(:body, 'UTF8')"
    pad = "printf('%032d', {})" if engine == "sqlite" else "lpad(CAST({} AS text), 32, '0')"
    true = "1" if engine == "sqlite" else "true"
    false = "0" if engine == "sqlite" else "false"
    key, original = pad.format("n"), pad.format("n - 1")
    opts_out = f"CASE WHEN {STANDS} THEN {true} ELSE {false} END"
    state = f"CASE WHEN {COPY} THEN 'duplicate' WHEN {STANDS} THEN 'standing' ELSE 'updated' END"
    statements = {
        "delivery (id, receipt, source, received_at, method, path, query, headers, body, "
        "address, scheme, state, version)": f"n, {key}, 'hubspot', :now, 'POST', "
        f"'/hooks/hubspot', '{{}}', '{{}}', {blob}, '192.0.2.1', 'hubspot_v3', 'done', 'v1' FROM s",
        "event (id, delivery_id, ordinal, source, key, dedupe_key, duplicate_of, event_time, "
        "weak_time, state, lane, due_at, tries)": "n, n, 0, 'hubspot', "
        f"CASE WHEN {COPY} THEN {original} ELSE {key} END, "
        f"CASE WHEN {COPY} THEN NULL ELSE {key} END, CASE WHEN {COPY} THEN n - 1 END, "
        f":now, {false}, 'done', 1, {NEVER}, 0 FROM s",
        "batch (id, campaign, started_at, elapsed_ms, leads, calls, status, detail)": "n, 'main', "
        ":now, 20, 4, 1, 200, '' FROM s WHERE n % 4 = 1",
        "lead (id, campaign, phone, ledger, opted_out, lane, due_at, fence, lease_owner, "
        "lease_until, tries, standing_tries, bare, reassert)": f"n, 'main', {pad.format('n')}, "
        f"CASE WHEN {STANDS} THEN '{{\"do_not_call\"' || chr_colon || '[true,' || :now || ',\"' "
        f"|| {key} || '\",false]}}' ELSE '{{}}' END, {opts_out}, "
        f"CASE WHEN {STANDS} THEN 4 ELSE 9 END, CASE WHEN {STANDS} THEN :now ELSE {NEVER} END, 1, "
        f"'', 0, 0, 0, {false}, {false} FROM s WHERE n % 4 = 1",
        "outcome (id, event_id, delivery_id, receipt, source, campaign, phone, lead_id, state, "
        "fields, opts_out, rules, event_time, key, version, accepted_at, decided_at, tries, "
        "doubtful, batch_id, message)": f"n, n, n, {key}, 'hubspot', "
        f"CASE WHEN {COPY} THEN '' ELSE 'main' END, "
        f"CASE WHEN {COPY} THEN '' ELSE {pad.format(LEAD)} END, "
        f"CASE WHEN {COPY} THEN NULL ELSE {LEAD} END, {state}, "
        f"CASE WHEN {STANDS} THEN '{{\"do_not_call\"' || chr_colon || 'true}}' ELSE '{{}}' END, "
        f"{opts_out}, '[]', :now, "
        f"CASE WHEN {COPY} THEN {original} ELSE {key} END, 'v1', :now, "
        f"CASE WHEN {STANDS} THEN NULL ELSE :now END, 1, {false}, "
        f"CASE WHEN {COPY} THEN NULL ELSE {LEAD} END, '' FROM s",
    }
    for head, rows in statements.items():
        # a colon before a letter would be a parameter
        statement = f"INSERT INTO {head} {SERIES[engine]} SELECT {rows}"
        if engine == "postgresql":
            statement = f"{SERIES[engine]} INSERT INTO {head} SELECT {rows}"
        written = text(statement.replace("chr_colon", "':'"))
        given = {"a": first, "b": last, "now": now, "body": BODY}
        connection.execute(written, {n: v for n, v in given.items() if f":{n}" in written.text})


def fill_up(database: Database, first: int, last: int) -> None:
    now = now_ms()
    for start in range(first, last + 1, AT_A_TIME):
        with database.write() as connection:
            fill(connection, start, min(last, start + AT_A_TIME - 1), now)


@contextmanager
def database_at(url: str | None, *, postgres: bool) -> Iterator[Database]:
    if postgres:
        with running() as server, database_at(server.url(server.create()), postgres=False) as one:
            yield one
        return
    with tempfile.TemporaryDirectory() as folder:
        database = Database(url or f"sqlite:///{Path(folder) / 'bridge.db'}", busy_timeout_s=60)
        migrate(database)
        yield database
        database.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--new", type=int, default=20_000)
    parser.add_argument("--postgres", action="store_true")
    parser.add_argument("--url")
    options = parser.parse_args()
    with database_at(options.url, postgres=options.postgres) as database:
        started = time.monotonic()
        fill_up(database, 1, options.events)
        print(f"{options.events:,} events made in {time.monotonic() - started:.0f} s", flush=True)
        if not database.is_sqlite:
            with database.write() as connection:
                connection.execute(text("ANALYZE"))
        clean = True
        for name, new, full in (
            ("the first", 0, False),
            ("nothing new", 0, False),
            (f"{options.new:,} new events", options.new, False),
            ("a full one", 0, True),
        ):
            if new:
                fill_up(database, options.events + 1, options.events + new)
            report = Audit(database, standing_period=PERIOD, full=full).run()
            clean = clean and report.clean
            memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            print(
                f"{name:20} {report.elapsed_ms / 1000:7.1f} s  {report.looked_at:>10,} rows read  "
                f"{len(report.breaches)} breaches  {memory:.0f} MB at most",
                flush=True,
            )
    sys.exit(0 if clean else 1)


if __name__ == "__main__":
    main()
