"""A store full of rows as the pipeline leaves them, for measuring pages: millions within minutes.

One delivery per event over ninety days, a lead for every four in one of two campaigns; most are
confirmed, some are duplicates, dead, skipped, rejected, not found or stand; some were replayed. Of
the newest one in a hundred waits to be taken in, and as many for a look-up. One phone number has
one event in two hundred. Counts, clues, tries, contacts, refusals and actions as they belong to
them.
"""

from __future__ import annotations

import sys

from sqlalchemy import text

from bridge.clock import now_ms
from bridge.model import ContactRef
from bridge.store import clues, contacts, digest
from bridge.store.clues import Clue
from bridge.store.database import Connection, Database
from bridge.store.schema import metadata

AT_A_TIME = 50_000
DAYS = 90
DAY_MS = 86_400_000
NEVER = 2**62
BODY = '[{"id": "1234567890", "phone": "+14155550123", "dnc": true}]'

SERIES = {
    "sqlite": "WITH RECURSIVE s(n) AS (VALUES(:a) UNION ALL SELECT n + 1 FROM s WHERE n < :b) ",
    "postgresql": "WITH s AS (SELECT generate_series(CAST(:a AS bigint), CAST(:b AS bigint)) n) ",
}
LEAD = "((n / 4) * 4 + 1)"
"""The event whose number its lead has; every event of it is about the same phone number."""
HOT = "+14155550000"
"""The phone number that has a great many events."""
OF_HOT = "n % 200 = 99"


def fill(database: Database, events: int) -> None:
    """Make the rows of so many events, and all that goes with them."""
    now = now_ms()
    for start in range(1, events + 1, AT_A_TIME):
        with database.write() as connection:
            _rows(connection, start, min(events, start + AT_A_TIME - 1), events, now)
        if sys.stderr.isatty():
            print(f"\r{start + AT_A_TIME - 1:,} events", end="", file=sys.stderr, flush=True)
    for kind in ("beside", "counts", "found"):
        with database.write() as connection:
            {"beside": _beside, "counts": _counts, "found": _found}[kind](connection, events, now)
    _set_sequences(database)
    with database.write() as connection:
        connection.execute(text("ANALYZE"))


def _rows(connection: Connection, first: int, last: int, events: int, now: int) -> None:
    engine = connection.dialect.name
    lite = engine == "sqlite"
    blob = "CAST(:body AS BLOB)" if lite else "convert_to(:body, 'UTF8')"
    true, false = ("1", "0") if lite else ("true", "false")
    at = f"(:now - ({events} - n) * {max(1, DAYS * DAY_MS // events)})"
    receipt = (
        f"printf('%012x%020x', {at}, n)"
        if lite
        else f"lpad(to_hex({at}), 12, '0') || lpad(to_hex(n), 20, '0')"
    )
    pad = "printf('%032d', {})" if lite else "lpad(CAST({} AS text), 32, '0')"
    number = f"'+1' || CAST(4160000000 + {LEAD} / 4 AS text)"
    phone = f"CASE WHEN {OF_HOT} THEN '{HOT}' ELSE {number} END"
    campaign = f"CASE WHEN ({LEAD} / 4) % 2 = 0 THEN 'one' ELSE 'two' END"
    stored, pending = f"n > {events - events // 100}", f"n > {events - events // 50}"
    state = (
        "CASE WHEN n % 50 = 0 THEN 'duplicate' WHEN n % 997 = 1 THEN 'dead' "
        "WHEN n % 10 = 3 THEN 'skipped' WHEN n % 200 = 1 THEN 'standing' "
        "WHEN n % 100 = 7 THEN 'not_found' WHEN n % 1000 = 11 THEN 'rejected' ELSE 'updated' END"
    )
    free = "(n % 50 = 0 OR n % 997 = 1 OR n % 10 = 3)"
    stands = f"(n % 200 = 1 AND NOT {free})"
    source = "CASE WHEN n % 10 < 9 THEN 'crm' ELSE 'unset' END"
    opts_out = f"CASE WHEN n % 4 = 1 AND NOT {free} THEN {true} ELSE {false} END"
    outcome = f"FROM s WHERE NOT ({pending})"
    statements = {
        "delivery (id, receipt, source, received_at, method, path, query, headers, body, "
        "address, scheme, state, version)": f"n, {receipt}, {source}, {at}, 'POST', "
        f"'/hooks/crm', '{{}}', '{{}}', {blob}, '192.0.2.1', 'bearer', "
        f"CASE WHEN {stored} THEN 'stored' ELSE 'done' END, "
        f"CASE WHEN {stored} THEN NULL ELSE 'v1' END FROM s",
        "event (id, delivery_id, ordinal, source, key, dedupe_key, duplicate_of, event_time, "
        "weak_time, state, lane, due_at, tries)": f"n, n, 0, {source}, {pad.format('n')}, "
        f"CASE WHEN n % 50 = 0 THEN NULL ELSE {pad.format('n')} END, "
        f"CASE WHEN n % 50 = 0 THEN n - 1 END, {at}, {false}, "
        f"CASE WHEN {pending} THEN 'pending' ELSE 'done' END, 1, "
        f"CASE WHEN {pending} THEN {at} ELSE {NEVER} END, 0 FROM s WHERE NOT ({stored})",
        "batch (id, campaign, started_at, elapsed_ms, leads, calls, status, detail)": "n, "
        f"{campaign}, {at}, 20, 4, 1, 200, '' FROM s WHERE n % 4 = 1",
        "lead (id, campaign, phone, ledger, opted_out, lane, due_at, fence, lease_owner, "
        "lease_until, tries, standing_tries, bare, reassert)": f"n, {campaign}, {number}, '{{}}', "
        f"{opts_out}, CASE WHEN {stands} THEN 4 ELSE 9 END, "
        f"CASE WHEN {stands} THEN {at} ELSE {NEVER} END, 1, "
        f"'', 0, 0, 0, {false}, {false} FROM s WHERE n % 4 = 1",
        "outcome (id, event_id, delivery_id, receipt, source, campaign, phone, lead_id, state, "
        "fields, opts_out, rules, event_time, key, version, accepted_at, decided_at, tries, "
        "doubtful, batch_id, message, replay_id)": f"n, n, n, {receipt}, {source}, "
        f"CASE WHEN {free} THEN '' ELSE {campaign} END, CASE WHEN {free} THEN '' ELSE {phone} END, "
        f"CASE WHEN {free} THEN NULL ELSE {LEAD} END, {state}, '{{}}', {opts_out}, "
        f"'[]', {at}, {pad.format('n')}, 'v1', {at}, "
        f"CASE WHEN {stands} THEN NULL ELSE {at} END, 1, {false}, "
        f"CASE WHEN {free} THEN NULL ELSE {LEAD} END, 'Lead updated successfully', "
        f"CASE WHEN n % 10 = 9 THEN 1 + n % 3 ELSE 0 END {outcome}",
        "attempt (outcome_id, batch_id, at, tries, state, message)": f"n, {LEAD}, {at}, 1, "
        f"'waiting', 'HTTP 503' {outcome} AND n % 20 = 5",
        "clue (digest, phone, event_id)": f"'#' || substr({pad.format('n')}, 1, 32) || "
        f"'000000', {number}, 0 {outcome} AND n % 4 = 1",
        "contact (source, account, contact_id, phones, opted_out, consent_time, seen_at)": "'crm', "
        f"'', CAST(n AS text), '[\"' || {number} || '\"]', {false}, 0, {at} FROM s WHERE n % 4 = 1",
    }
    given = {"a": first, "b": last, "now": now, "body": BODY}
    for head, rows in statements.items():
        statement = f"INSERT INTO {head} {SERIES[engine]} SELECT {rows}"
        if not lite:
            statement = f"{SERIES[engine]} INSERT INTO {head} SELECT {rows}"
        written = text(statement)
        connection.execute(written, {n: v for n, v in given.items() if f":{n}" in statement})


def _beside(connection: Connection, _events: int, now: int) -> None:
    """Refusals, actions, replays, a mapping version: as many as there may well be."""
    engine = connection.dialect.name
    lite = engine == "sqlite"
    empty = "CAST('' AS BLOB)" if lite else "''::bytea"
    false = "0" if lite else "false"
    pad = "printf('%032d', n)" if lite else "lpad(CAST(n AS text), 32, '0')"
    many = {
        "refusal (receipt, source, received_at, address, network, reason, method, url, headers, "
        "body, size, passed_over)": f"{pad}, 'crm', {now} - (10000 - n) * 60000, '192.0.2.1', "
        f"'192.0.2.1', 'the token is wrong', 'POST', '/hooks/crm', '{{}}', {empty}, 0, 0",
        "operator_action (at, actor, action, subject, details)": f"{now} - (10000 - n) * 60000, "
        "'Ada (console, 192.0.2.1)', 'campaign.pause', 'one', '{}'",
    }
    replay = (
        "replay (created_at, state, selection, mapping, marks, rate, scan, deliveries, "
        "deliveries_done, next_at, owner, held_until, tries, trouble)"
    )
    few = f"{now}, 'done', '{{}}', 'current', {false}, 50, '{{}}', 10, 10, 0, '', 0, 0, ''"
    series = SERIES[engine]
    for head, rows, count in (*((h, r, 10_000) for h, r in many.items()), (replay, few, 200)):
        each = f"{series} SELECT {rows} FROM s" if lite else f"SELECT {rows} FROM s"
        whole = f"INSERT INTO {head} {each}" if lite else f"{series} INSERT INTO {head} {each}"
        connection.execute(text(whole), {"a": 1, "b": count})
    connection.execute(
        text(
            "INSERT INTO mapping_version (version, source, text, region, routing, first_seen) "
            f"VALUES ('v1', 'crm', 'source: crm', 'US', '{{}}', {now})"
        )
    )


def _counts(connection: Connection, _events: int, now: int) -> None:
    """What whoever changed outcomes would have noted."""
    insert = 'INSERT INTO tally (span, at, campaign, kind, slot, "count") SELECT '
    for span, length, since in ((1, 60_000, now - 2 * DAY_MS), (2, 3_600_000, 0)):
        hour = f"accepted_at / {length} * {length}"
        where = f"FROM outcome WHERE accepted_at >= {since}"
        connection.execute(
            text(f"{insert} {span}, {hour}, '', state, 0, count(*) {where} GROUP BY {hour}, state")
        )
        connection.execute(
            text(f"{insert} {span}, {hour}, '', 'accepted', 0, count(*) {where} GROUP BY {hour}")
        )
    where = "FROM outcome WHERE replay_id > 0 GROUP BY replay_id, state"
    connection.execute(text(f"{insert} 3, replay_id, '', state, 0, count(*) {where}"))
    grouped = "campaign, state, 0, count(*) FROM outcome GROUP BY campaign, state"
    connection.execute(text(f"{insert} 0, 0, {grouped}"))


def _found(connection: Connection, _events: int, now: int) -> None:
    """A person who is found by e-mail and by contact id, and the number with many events."""
    hashes = digest.load(connection)
    email = Clue(clues.of_email(hashes, "jane@example.com"), "+14160000100")
    clues.add(connection, [email, Clue(clues.of_email(hashes, "hot@example.com"), HOT)])
    jane = {ContactRef("", "jane"): (("+14160000100",), None, now)}
    contacts.remember(connection, "crm", jane, now)
    for campaign in ("one", "two"):
        first = "(SELECT min(id) FROM lead WHERE campaign = :campaign)"
        connection.execute(
            text(f"UPDATE lead SET phone = :phone WHERE id = {first}"),
            {"phone": HOT, "campaign": campaign},
        )


def _set_sequences(database: Database) -> None:
    """Ids were given by hand: let the next ones follow them."""
    if database.is_sqlite:
        return
    with database.write() as connection:
        for table in metadata.sorted_tables:
            column = next(iter(table.primary_key.columns))
            if column.name == "id":
                connection.execute(
                    text(
                        f"SELECT setval(pg_get_serial_sequence('{table.name}', 'id'), "
                        f"greatest(1, (SELECT max(id) FROM {table.name})))"
                    )
                )
