"""``crm-bridge mapping …``: get mapping files, check and compare them, see what they do."""

from __future__ import annotations

import click

from bridge.commands.lazy import LazyGroup

COMMANDS = {
    "init": ("mapping_init", "Copy the mapping files that come with the program."),
    "check": ("mapping_check", "Tell every mistake, and what can have no effect."),
    "try": ("mapping_try", "Show step by step what would become of a payload."),
    "test": ("mapping_test", "Run the cases, and tell what none of them reaches."),
    "case": ("mapping_case", "Make a case of a stored delivery, personal data replaced."),
    "diff": ("mapping_diff", "Show what two versions of a file make of its cases."),
    "shadow": ("mapping_shadow", "Show what two versions make of the last days' deliveries."),
    "schema": ("mapping_schema", "Write the JSON Schema by which editors complete and check."),
}


@click.group(
    cls=LazyGroup, modules=COMMANDS, help="Get, check, try, test and compare mapping files."
)
def command() -> None:
    pass
