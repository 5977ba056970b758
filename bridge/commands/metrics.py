"""``crm-bridge metrics``: every metric that /metrics shows, and its meaning."""

from __future__ import annotations

import click

from bridge.commands.as_json import as_json
from bridge.commands.output import table
from bridge.operate.metrics.families import FAMILIES, Family, Kind


@click.command(help="List every metric that /metrics shows, with its labels and its meaning.")
@click.option("--json", "json_", is_flag=True, help="As JSON.")
@click.option("--markdown", is_flag=True, help="As docs/metrics.md.")
def command(json_: bool, markdown: bool) -> None:
    if markdown:
        click.echo(page(), nl=False)
        return
    rows = [
        {
            "name": family.name,
            "kind": family.kind.value,
            "labels": list(family.labels),
            "help": family.help,
            "buckets": list(family.bounds),
        }
        for family in FAMILIES
    ]
    if json_:
        as_json(rows)
    else:
        table(
            ("name", "kind", "labels", "help"),
            ({**row, "labels": " ".join(row["labels"])} for row in rows),  # type: ignore[arg-type]
        )


def page() -> str:
    """``docs/metrics.md``, made from the declarations."""
    lines = [
        "# Metrics",
        "",
        "`/metrics` speaks Prometheus' text format. It needs `Authorization: Bearer` with",
        "`BRIDGE_METRICS_TOKEN` or `BRIDGE_CONSOLE_TOKEN`; without either it is 404, and",
        "`BRIDGE_METRICS=open` lets everybody read it who reaches it.",
        "",
        "**Every web process tells the numbers of the whole bridge**, of all processes and nodes,",
        "since they stand in the database: scrape one of them, or the load balancer. Where several",
        "are scraped, take `max by (…)` over them, never `sum`. What a process counts beside its",
        "work is written every two seconds, and what is shown is kept for one; scrape every five",
        "or more. Labels are sources and campaigns of the mapping files and words of closed lists,",
        "never a lead, a number, an address or an event.",
        "",
        "In [monitoring/](monitoring): a scrape configuration, alert rules, and a dashboard for",
        "Grafana (Dashboards → New → Import). Tests hold all three against this list, which",
        "`crm-bridge metrics --markdown` makes.",
        "",
        "| metric | type | labels | meaning |",
        "| --- | --- | --- | --- |",
    ]
    lines += [_line(family) for family in FAMILIES]
    lines += [
        "",
        "Lanes: `opt_out` goes first, then `first` and `retry` by turns, `replay` behind them;",
        "`standing` holds opt-outs that are not confirmed. Outcomes are those of the README.",
    ]
    return "\n".join(lines) + "\n"


def _line(family: Family) -> str:
    labels = ", ".join(f"`{name}`" for name in family.labels) or "–"
    told = family.help
    if family.kind is Kind.HISTOGRAM:
        told += f" (up to {', '.join(f'{bound:g}' for bound in family.bounds)})"
    return f"| `{family.name}` | {family.kind.value} | {labels} | {told} |"
