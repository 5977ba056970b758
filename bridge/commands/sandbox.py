"""``crm-bridge sandbox``: the campaign API and HubSpot's contact read, on this machine."""

from __future__ import annotations

import sys

import click


@click.command(
    help="Run a local campaign API and HubSpot; --help lists the options.",
    context_settings={"ignore_unknown_options": True, "help_option_names": []},
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def command(arguments: tuple[str, ...]) -> None:
    from bridge.sandbox.serve import main  # noqa: PLC0415 - loaded when the command runs

    sys.exit(main(arguments))
