"""``crm-bridge audit``: received = accounted for, proven from the database alone."""

from __future__ import annotations

import sys
from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import Any

import click

from bridge.clock import now_ms
from bridge.commands.as_json import as_json
from bridge.commands.listings import json_option, opened
from bridge.commands.output import bars, table
from bridge.errors import StoreError
from bridge.operate import concern
from bridge.operate.audit import Audit, Report
from bridge.settings import Settings
from bridge.store import notices
from bridge.store.audit.found import Kind
from bridge.store.database import Database
from bridge.store.schema import NEVER

DAY_MS = 86_400_000
SHOWN = 200
"""Rows with a breach that are shown to people; JSON has all of them."""

AUDIT, FULL_AUDIT = "audit", "audit --full"
"""Under which names what they find is noted: each finds what the other does not."""

OPEN = {
    Kind.DELIVERY: {"stored"},
    Kind.EVENT: {"pending"},
    Kind.OUTCOME: {"waiting", "in_flight", "standing"},
}
PLURAL = {
    Kind.DELIVERY: "deliveries",
    Kind.EVENT: "events",
    Kind.OUTCOME: "outcomes",
    Kind.LEAD: "leads",
}


@click.command(
    help="Look at what is new or was open since the last audit; count every state, and name every "
    "row that breaks a promise. Ends with 0 if there is none, with 1 if there are, with 2 if it "
    "could not look. --full looks at every row there is, and stores no checkpoint. What is found "
    "shows in /healthz and goes out as an alert until an audit finds nothing."
)
@click.option("--full", is_flag=True, help="Look at every row.")
@json_option
def command(full: bool, json_: bool) -> None:
    period = round(Settings.current()["BRIDGE_STANDING_DAYS"] * DAY_MS)
    with opened() as database, bars() as tell:
        report = Audit(
            database,
            standing_period=period,
            full=full,
            progress=lambda kind, done, total: tell(PLURAL[kind], done, total),
        ).run()
        try:
            note(database, report)
        except StoreError as error:
            click.echo(f"What was found was not noted for alerts: {error}", err=True)
    if json_:
        as_json(as_document(report))
    else:
        _print(report)
    sys.exit(0 if report.clean else 1)


def note(database: Database, report: Report) -> None:
    """Note what was found for health and alerts, until an audit like this one finds nothing."""
    notes = {name: _notices(report, name) for name in (AUDIT, FULL_AUDIT)}
    with database.write() as connection:
        if not report.full:
            notices.note(connection, AUDIT, notes[AUDIT])
            return
        notices.note(connection, FULL_AUDIT, notes[FULL_AUDIT])
        if report.clean:  # it has read what the others have as well
            notices.note(connection, AUDIT, ())


def _notices(report: Report, process: str) -> list[notices.Notice]:
    found = Counter((breach.kind, breach.broken) for breach in report.breaches.values())
    now = now_ms()
    return [
        notices.Notice(
            process,
            concern.Kind.AUDIT_BREACH.value,
            f"{kind.value} {broken.code}",
            f"{count:,} {PLURAL[kind] if count > 1 else kind.value}: {broken.value}; "
            f"“crm-bridge {process}” names every row",
            count,
            now,
            NEVER,
        )
        for (kind, broken), count in found.items()
    ]


def as_document(report: Report) -> dict[str, Any]:
    """The report as it is printed with ``--json``."""
    return {
        "clean": report.clean,
        "full": report.full,
        **{PLURAL[kind]: _nested(report.counts[kind]) for kind in Kind},
        "refusals": report.refusals,
        "breaches": [
            {
                "kind": breach.kind.value,
                "id": breach.id,
                "code": breach.broken.code,
                "text": breach.broken.value,
                "detail": breach.detail,
            }
            for breach in sorted(report.breaches.values())
        ],
        "looked_at": report.looked_at,
        "snapshots": report.snapshots,
        "elapsed_ms": report.elapsed_ms,
        "checkpoint_trouble": report.trouble,
    }


def _nested(counts: Mapping[tuple[str, str], int]) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = defaultdict(dict)
    for (name, state), count in sorted(counts.items()):
        if count:
            found[name][state] = count
    return dict(found)


def _print(report: Report) -> None:
    rows = []
    for kind in Kind:
        for name, states in _nested(report.counts[kind]).items():
            told = ", ".join(f"{count:,} {state}" for state, count in states.items())
            total = f"{sum(states.values()):,}"
            shown = name or "(no campaign)"
            rows.append({"": PLURAL[kind], "of": shown, "in all": total, "states": told})
    for source, count in sorted(report.refusals.items()):
        rows.append({"": "refusals", "of": source, "in all": f"{count:,}", "states": "kept"})
    if rows:
        table(("", "of", "in all", "states"), rows)
    for kind, on_their_way in OPEN.items():
        click.echo(_equation(report, kind, on_their_way))
    if report.trouble:
        click.echo(f"The checkpoint was not stored: {report.trouble}", err=True)
    seconds = report.elapsed_ms / 1000
    how = "every row" if report.full else "what is new or was open"
    click.echo(f"Looked at {report.looked_at:,} rows ({how}) in {seconds:.1f} s.")
    if report.clean:
        click.echo("No row breaks a promise.")
        return
    breaches = sorted(report.breaches.values())
    for breach in breaches[:SHOWN]:
        detail = f" ({breach.detail})" if breach.detail else ""
        click.echo(f"{breach.kind.value} {breach.id}: {breach.broken.value}{detail}")
    if len(breaches) > SHOWN:
        click.echo(f"… and {len(breaches) - SHOWN:,} more; --json names them all.")
    count = len(breaches)
    click.echo(f"{count:,} promise{'' if count == 1 else 's'} broken.")


def _equation(report: Report, kind: Kind, open_: set[str]) -> str:
    counts = report.counts[kind]
    left = sum(count for (_, state), count in counts.items() if state in open_)
    total = sum(counts.values())
    return f"{total:,} {PLURAL[kind]} = {total - left:,} accounted for + {left:,} on their way"
