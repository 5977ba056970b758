"""``crm-bridge mapping schema``: the JSON Schema of mapping files, campaigns and cases."""

from __future__ import annotations

from pathlib import Path

import click

from bridge.map.reference import page
from bridge.map.schema import schema_text, schemas

KINDS = tuple(name.removesuffix(".json") for name in schemas())


@click.command("schema")
@click.argument("kind", type=click.Choice(KINDS), default=KINDS[0])
@click.option(
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    help="Write all of them into this folder, such as mappings/schema.",
)
@click.option("--markdown", is_flag=True, help="Print docs/mapping-reference.md instead.")
def command(kind: str, output: Path | None, markdown: bool) -> None:
    """Print the JSON Schema (draft 2020-12) of a mapping file, of campaigns.yaml or of a case file.

    Editors find it by the first line of a file, a comment of `yaml-language-server`.
    """
    if markdown:
        click.echo(page(), nl=False)
        return
    if output is None:
        click.echo(schema_text(schemas()[f"{kind}.json"]), nl=False)
        return
    try:
        output.mkdir(parents=True, exist_ok=True)
        for name, schema in schemas().items():
            (output / name).write_text(schema_text(schema), encoding="utf-8")
            click.echo(output / name)
    except OSError as error:
        raise click.ClickException(f"{output} cannot be written ({error.strerror}).") from None
