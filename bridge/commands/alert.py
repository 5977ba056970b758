"""``crm-bridge alert …``: whether alerts arrive, and what was told."""

from __future__ import annotations

import click

from bridge.commands.lazy import LazyGroup

COMMANDS = {
    "test": ("alert_test", "Send a test by every channel, and say what came back."),
    "list": ("alert_list", "List what channels were told and have still to be told."),
}


@click.group(cls=LazyGroup, modules=COMMANDS, help="Whether alerts arrive, and what was told.")
def command() -> None:
    pass
