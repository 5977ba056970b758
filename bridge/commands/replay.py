"""``crm-bridge replay``: map deliveries once more and send what comes of it, after a plan."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import click

from bridge import logs
from bridge.commands.actor import actor
from bridge.commands.as_json import as_json
from bridge.commands.known import must_know_campaign, must_know_source
from bridge.commands.listings import before_option, json_option, limit_option, with_times
from bridge.commands.moments import Moment
from bridge.commands.output import progress, table
from bridge.commands.replay_shown import print_plan, print_report
from bridge.errors import ReplayError
from bridge.live import LiveMappings
from bridge.model import State
from bridge.settings import Settings
from bridge.steps import replay_control as control
from bridge.steps.equipment import Bounds
from bridge.steps.replay_choice import Choice
from bridge.steps.replay_lookups import Desk
from bridge.steps.replay_plan import Planner, Wish
from bridge.steps.replay_select import CURRENT, FAILED, Selection, with_mapping
from bridge.steps.token_keeper import BorrowedTokens
from bridge.store import mapping_versions, replays, revision
from bridge.store.database import Database
from bridge.store.replays import ReplayState

LOOK_EVERY_S = 0.5
LIST_COLUMNS = (
    "id",
    "created_at",
    "state",
    "mapping",
    "selection",
    "deliveries_done",
    "deliveries",
    "outcomes",
    "trouble",
)


@contextmanager
def _database(settings: Settings) -> Iterator[Database]:
    logs.configure_by(settings)
    database = Database(settings["DATABASE_URL"])
    try:
        revision.check(database)
        yield database
    finally:
        database.close()


@click.group(
    invoke_without_command=True,
    help="Map deliveries once more and send what comes of it. Without --run only a plan is shown: "
    "what would be sent, and how it differs from before. Nothing that is newer is undone.",
)
@click.option("--dead", is_flag=True, help="Dead letters: not read, looked up or mapped.")
@click.option("--failed", is_flag=True, help="Dead, rejected, not found or unconfirmed.")
@click.option(
    "--outcome",
    "states",
    multiple=True,
    type=click.Choice([s.value for s in State]),
    help="Events whose newest outcome is this; may be given several times.",
)
@click.option("--since", type=Moment(), help="Received since: 7d, 12h, or 2026-06-25T07:00Z.")
@click.option("--until", type=Moment(), help="Received before.")
@click.option("--source", help="Only this source.")
@click.option("--campaign", help="Only outcomes of this campaign, and send to no other.")
@click.option("--error", help="Only outcomes whose message holds this text.")
@click.option("--version", help="Only outcomes that this mapping version made.")
@click.option("--receipt", help="Only this delivery.")
@click.option("--all", "everything", is_flag=True, help="Whatever is stored.")
@click.option(
    "--mapping",
    default=CURRENT,
    show_default=True,
    help="Map by the current files, by the original version of each event, or by a version.",
)
@click.option(
    "--marks",
    is_flag=True,
    help="Send mark_as_unanswered too, where it was never sent; otherwise it is left out.",
)
@click.option("--rate", type=click.FloatRange(0.01, 10_000), help="Events a second.")
@click.option("--look-up", is_flag=True, help="In the plan, really ask the CRMs.")
@click.option(
    "--examples",
    type=click.IntRange(0, 1000),
    default=10,
    show_default=True,
    help="Differences that the plan shows.",
)
@click.option("--run", "run_", is_flag=True, help="Do it; needs a running worker.")
@click.option("--detach", is_flag=True, help="With --run: do not wait for the end.")
@json_option
@click.pass_context
def command(
    ctx: click.Context,
    dead: bool,
    failed: bool,
    states: tuple[str, ...],
    since: int | None,
    until: int | None,
    source: str | None,
    campaign: str | None,
    error: str | None,
    version: str | None,
    receipt: str | None,
    everything: bool,
    mapping: str,
    marks: bool,
    rate: float | None,
    look_up: bool,
    examples: int,
    run_: bool,
    detach: bool,
    json_: bool,
) -> None:
    if ctx.invoked_subcommand is not None:
        return
    _must_say(source=source, campaign=campaign, error=error, version=version, receipt=receipt)
    wanted = [*map(State, states), *((State.DEAD,) if dead else ()), *(FAILED if failed else ())]
    selection = Selection(
        since=since,
        until=until,
        source=source,
        campaign=campaign,
        states=tuple(dict.fromkeys(wanted)),
        error=error,
        version=version,
        receipt=receipt,
    )
    if selection == Selection() and not everything:
        raise click.UsageError(
            "say what to replay: --dead, --failed, --outcome, --since, --source, --campaign, "
            "--error, --version, --receipt, or --all."
        )
    settings = Settings.current()
    wish = Wish(mapping, marks)
    with _database(settings) as database:
        with database.read() as connection:
            if source is not None:
                must_know_source(connection, source)
            if campaign is not None:
                must_know_campaign(connection, campaign)
        if not run_:
            sys.exit(_plan(settings, database, selection, wish, examples, look_up, json_))
        pace = rate or settings["BRIDGE_REPLAY_RATE"]
        number = control.create(database, selection, wish, pace, actor=actor())
        sys.exit(_go(database, number, detach=detach, json_=json_))


@command.command("list", help="List replays, the newest first.")
@before_option
@limit_option
@json_option
def list_(before: int | None, limit: int, json_: bool) -> None:
    with _database(Settings.current()) as database, database.read() as connection:
        found = replays.listing(connection, before=before, limit=limit)
        rows = [report.as_json() for report in control.reports(connection, found)]
    if json_:
        as_json(rows)
    elif rows:
        table(LIST_COLUMNS, rows)
    else:
        click.echo("no replay was made yet")


@command.command(help="Show what has come of a replay.")
@click.argument("number", metavar="ID", type=int)
@json_option
def show(number: int, json_: bool) -> None:
    with _database(Settings.current()) as database:
        report = control.report_of(database, number)
    print_report(report, json_)


@command.command(help="Stop a replay where it is; what has left for the campaigns goes its way.")
@click.argument("number", metavar="ID", type=int)
def cancel(number: int) -> None:
    with _database(Settings.current()) as database:
        control.cancel(database, number)
        _note(database, "replay.cancel", number)
    click.echo(f"cancelled; to go on: crm-bridge replay resume {number}")


@command.command(help="Go on with a replay that was cancelled or broke off.")
@click.argument("number", metavar="ID", type=int)
@click.option("--rate", type=click.FloatRange(0.01, 10_000), help="Events a second from now on.")
@click.option("--detach", is_flag=True, help="Do not wait for the end.")
@json_option
def resume(number: int, rate: float | None, detach: bool, json_: bool) -> None:
    with _database(Settings.current()) as database:
        control.resume(database, number, rate)
        _note(database, "replay.resume", number)
        sys.exit(_go(database, number, detach=detach, json_=json_))


@command.command(help="List the mapping versions that are kept, the newest first.")
@click.option("--source", help="Only this source.")
@click.option("--text", "version", metavar="VERSION", help="Print this version, and no list.")
@limit_option
@json_option
def versions(source: str | None, version: str | None, limit: int, json_: bool) -> None:
    with _database(Settings.current()) as database, database.read() as connection:
        if version is not None:
            kept = mapping_versions.find(connection, version)
            if kept is None:
                raise ReplayError(f"there is no mapping version {version}.")
            click.echo(kept.text, nl=False)
            return
        rows = [
            with_times(row, "first_seen")
            for row in mapping_versions.listing(connection, source=source, limit=limit)
        ]
    if json_:
        as_json(rows)
    else:
        table(("version", "source", "first_seen"), rows)


def _must_say(**given: str | None) -> None:
    """Refuse an option that is there and empty, as from a variable that is not set: it would choose
    whatever is stored."""
    for name, text in given.items():
        if text is not None and not text.strip():
            raise click.UsageError(f"--{name} is empty. Say which, or leave it out.")


def _note(database: Database, action: str, number: int) -> None:
    with database.write() as connection:
        control.note(connection, action, number, actor(), {})


def _plan(
    settings: Settings,
    database: Database,
    selection: Selection,
    wish: Wish,
    examples: int,
    look_up: bool,
    json_: bool,
) -> int:
    live = LiveMappings(settings)
    with database.read() as connection:
        selection = with_mapping(connection, selection, wish.mapping)
    desk = Desk(wall=database.now_ms, keeper=BorrowedTokens(database)) if look_up else None
    planner = Planner(
        database,
        live.current(),
        Choice(live.compile),
        Bounds.of(settings),
        examples,
        desk,
    )
    try:
        with progress("looking") as tell:
            made = planner.plan(selection, wish, lambda share, n: tell(share, f"{n} deliveries"))
    finally:
        if desk is not None:
            desk.close()
    if json_:
        as_json({**made.as_json(), "look_ups_failed": made.failed})
    else:
        print_plan(made)
    return 0 if made.deliveries and not made.failed else 1


def _go(database: Database, number: int, *, detach: bool, json_: bool) -> int:
    """Prepare a replay and wait for its end. Exit status 1 if something did not end well."""
    try:
        if control.report_of(database, number).replay.state is ReplayState.PREPARING:
            with progress("selecting") as tell:
                control.prepare(database, number, lambda share, n: tell(share, f"{n} deliveries"))
        if not detach:
            with progress(f"replay {number}") as tell:
                while not (report := control.report_of(database, number)).settled:
                    replay = report.replay
                    done = f"{replay.deliveries_done} of {replay.deliveries} deliveries"
                    tell(report.share, replay.trouble or done)
                    time.sleep(LOOK_EVERY_S)
    except KeyboardInterrupt:
        try:
            control.cancel(database, number)
            _note(database, "replay.cancel", number)
            click.echo(f"cancelled; to go on: crm-bridge replay resume {number}", err=True)
        except ReplayError:
            click.echo("every delivery is mapped already; what is on its way goes on", err=True)
        return 1
    report = control.report_of(database, number)
    print_report(report, json_)
    if detach:
        return 0
    return 1 if report.failed or report.replay.state is ReplayState.CANCELLED else 0
