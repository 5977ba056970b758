"""``crm-bridge settings``: every setting, its value with secrets masked, and its meaning."""

from __future__ import annotations

from pathlib import Path

import click

from bridge.commands.as_json import as_json
from bridge.commands.output import table
from bridge.declared_settings import SETTINGS
from bridge.settings import Settings
from bridge.unknown_settings import advice, unknown_settings


@click.command(help="Print every setting, its value (secrets masked) and its meaning.")
@click.option("--json", "json_", is_flag=True, help="As JSON.")
@click.option("--markdown", is_flag=True, help="As docs/settings.md, defaults only.")
def command(json_: bool, markdown: bool) -> None:
    if markdown:
        click.echo(page(), nl=False)
        return
    settings = Settings.current()
    for name, near in unknown_settings(settings.environment, Path(settings["BRIDGE_MAPPINGS"])):
        click.echo(f"crm-bridge: {advice(name, near)}", err=True)
    rows = [
        {
            "name": s.name,
            "value": settings.shown(s.name),
            "default": "–" if s.default is None else str(s.default),
            "help": s.help,
        }
        for s in SETTINGS
    ]
    if json_:
        as_json(rows)
    else:
        table(("name", "value", "default", "help"), rows, text="help")


def page() -> str:
    """``docs/settings.md``, made from the declarations."""
    lines = [
        "# Settings",
        "",
        "From the environment; a file `.env` in the working folder is read beneath it.",
        "Every name also as `NAME_FILE`, a file that holds the value. For a secret,",
        "`NAME_PREVIOUS` is accepted beside `NAME` while it is being rotated. Mapping files bring",
        "settings of their own; `crm-bridge mapping check` names those that are missing.",
        "A name that begins with `BRIDGE_` and is no setting is warned of by web, worker and",
        "`crm-bridge settings`, with the nearest that is one.",
        "",
        "`crm-bridge settings` prints this table with the values in force.",
        "This page is made by `crm-bridge settings --markdown`.",
        "",
        "| name | default | meaning |",
        "| --- | --- | --- |",
    ]
    for s in SETTINGS:
        default = "–" if s.default is None else f"`{s.default}`"
        lines.append(f"| `{s.name}` | {default} | {s.help}{' (secret)' if s.secret else ''} |")
    return "\n".join(lines) + "\n"
