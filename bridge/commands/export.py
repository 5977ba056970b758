"""``crm-bridge export …``: the record of a lead or a period as a file that shows later changes."""

from __future__ import annotations

import click

from bridge.commands.lazy import LazyGroup

COMMANDS = {
    "lead": ("export_lead", "Export all that is known of a person."),
    "period": ("export_period", "Export whatever was received in a time and became of it."),
    "resume": ("export_resume", "Go on with the file of a period whose export broke off."),
    "verify": ("export_verify", "Verify a file, and name its first line that is wrong."),
}


@click.group(
    cls=LazyGroup,
    modules=COMMANDS,
    help="Write the record of a lead or of a period to a file, each line chained to the one before "
    "it, so that a later change shows; and verify such a file. Files hold personal data.",
)
def command() -> None:
    pass
