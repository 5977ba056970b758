"""How a replay is shown: its plan, and what has come of it."""

from __future__ import annotations

from typing import Any

import click

from bridge.commands.as_json import as_json
from bridge.steps.replay_control import Report
from bridge.steps.replay_plan import Plan

_SHOWN = 5


def print_plan(made: Plan) -> None:
    """Show the plan of a replay to a person."""
    if not made.deliveries:
        click.echo("nothing matches")
        return
    click.echo(f"{made.deliveries} deliveries, {sum(made.events.values())} events")
    for title, counted in (
        ("events that would end as", made.events),
        ("updates, as things stand", made.updates),
        ("against what was asked for before", made.difference.leads),
        ("fields that differ", made.difference.fields),
    ):
        if counted:
            told = ", ".join(f"{name} {count}" for name, count in sorted(counted.items()))
            click.echo(f"  {title}: {told}")
    click.echo(f"  of what would be sent: {made.opt_outs} opt-outs, {made.marks} marks")
    if made.passed_over:
        click.echo(f"  on their way by themselves, and left alone: {made.passed_over}")
    for source, reasons in sorted(made.failed.items()):
        for reason, count in reasons.most_common(_SHOWN):
            click.echo(f"  not looked up, of {source}: {count} events: {reason}")
    if made.look_ups:
        asked = bool(made.failed)
        click.echo(
            f"  {made.look_ups} events need a look-up: what they lead to shows when it runs"
            + ("" if asked else ", or with --look-up")
        )
    for problem, count in made.problems.most_common(_SHOWN):
        click.echo(f"  would be dead ({count}): {problem}")
    if (more := len(made.problems) - _SHOWN) > 0:
        rest = made.problems.total() - sum(n for _, n in made.problems.most_common(_SHOWN))
        click.echo(f"  and {more} more such reason{'' if more == 1 else 's'} ({rest} events)")
    _print_examples(made)
    click.echo("Nothing was done. To do it, add --run.")


def _print_examples(made: Plan) -> None:
    for example in made.difference.examples:
        was = ", ".join(example["was"]) or "not taken in"
        click.echo(
            f"{example['receipt']} event {example['event']}: {was} → {example['would_be']} "
            f"{example['reason']}".rstrip()
        )
        for lead in example["leads"]:
            click.echo(f"  {lead['phone_number']} in {lead['campaign']}: {lead['change']}")
            for one in lead["fields"]:
                click.echo(f"    {_change(one)}")
    rest = made.difference.different - len(made.difference.examples)
    if rest:
        click.echo(f"… and {rest} events more that differ (--examples)")


def _change(one: dict[str, Any]) -> str:
    sides = [repr(one[side]) if side in one else "–" for side in ("before", "after")]
    return f"{one['field']}: {sides[0]} → {sides[1]}"


def print_report(report: Report, json_: bool) -> None:
    """Show what has come of a replay."""
    if json_:
        as_json(report.as_json())
        return
    replay = report.replay
    done = f"{replay.deliveries_done} of {replay.deliveries} deliveries"
    click.echo(f"replay {replay.id}: {replay.state}, {done}, by mapping {replay.mapping}")
    for state, count in sorted(report.states.items()):
        click.echo(f"  {state.value}: {count}")
    if replay.trouble:
        click.echo(f"  trouble: {replay.trouble}")
