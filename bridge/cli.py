"""The command ``crm-bridge``. Each command lives in ``bridge/commands`` and is loaded when used."""

from __future__ import annotations

import gc
import io
import sys

import click

from bridge import __version__, logs
from bridge.commands.lazy import LazyGroup
from bridge.errors import BridgeError, MappingError, SettingError

YOUNG = 200_000
"""Objects that are made before Python looks for circles among them: more than a command loads, all
of which stays until it ends. At the standard 700 a sixth of a start would go into that."""

COMMANDS = {
    "run": ("run", "Run web and worker together on one machine."),
    "web": ("web", "Run the web process."),
    "worker": ("worker", "Run a worker process."),
    "healthcheck": ("healthcheck", "Ask whether web or worker of this machine are well."),
    "migrate": ("migrate", "Bring the database to this version's schema."),
    "settings": ("settings", "Print every setting, its value and its meaning."),
    "metrics": ("metrics", "List every metric that /metrics shows."),
    "sandbox": ("sandbox", "Run a local campaign API and HubSpot, for trying things out."),
    "send": ("send", "Sign a sample payload as the CRM would, and post it to a running bridge."),
    "outcomes": ("outcomes", "List what became of lead updates."),
    "deliveries": ("deliveries", "List the webhook requests that came in."),
    "replay": ("replay", "Map deliveries once more and send what comes of it, after a plan."),
    "refusals": ("refusals", "List requests that did not pass verification."),
    "campaigns": (
        "campaigns",
        "List campaigns, their condition and what waits for them; pause and resume.",
    ),
    "audit": ("audit", "Prove from the database that all that came in is accounted for."),
    "export": ("export", "Write a lead's or a period's record as evidence; verify such a file."),
    "alert": ("alert", "Send a test by every channel of alerts; list what they were told."),
    "retention": ("retention", "Erase what has become old; workers do it by themselves."),
    "erase": ("erase", "Erase what is kept of a person; an opt-out in force stays."),
    "mapping": ("mapping", "Get, check, try, test and compare mapping files."),
    "demo": ("demo", "Show the whole way on this machine, with real payloads."),
}


@click.group(
    cls=LazyGroup, modules=COMMANDS, context_settings={"help_option_names": ["-h", "--help"]}
)
@click.version_option(__version__, prog_name="crm-bridge")
def cli() -> None:
    """CRM webhooks in, campaign lead updates out: never lost, never reordered, never claimed
    without proof."""


def _set_up_log() -> None:
    """For commands that write a line all the same: standard output has what was asked for alone."""
    from bridge.settings import Settings  # noqa: PLC0415 - not needed for help

    try:
        logs.configure_by(Settings.current())
    except SettingError:  # the command says it, where it needs the setting
        logs.configure()


def main() -> None:
    """Run the command line; an error that is meant for a person is printed without a traceback.

    Exit status: 0 done, 1 the command found or met a problem, 2 it was called or set up wrongly.
    """
    gc.set_threshold(YOUNG, 20, 20)
    if isinstance(sys.stdout, io.TextIOWrapper):  # what its encoding lacks is written out
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        with logs.configured_later(_set_up_log):
            cli(standalone_mode=True)
    except MappingError as error:
        for mistake in error.mistakes:
            click.echo(str(mistake), err=True)
        count = len(error.mistakes)
        told = f"{count} mistake{'' if count == 1 else 's'} in the mapping files"
        click.echo(told, err=True)
        sys.exit(2)
    except BridgeError as error:
        click.echo(f"crm-bridge: {error}", err=True)
        sys.exit(2)
    finally:
        gc.freeze()  # the process ends; nothing needs to be taken apart first


if __name__ == "__main__":
    main()
