"""``crm-bridge worker``: what the web process has accepted is mapped, sent and recorded."""

from __future__ import annotations

import click

from bridge import logs
from bridge.settings import Settings


@click.command(help="Run a worker until SIGTERM; calls in flight are finished first.")
def command() -> None:
    from bridge import worker  # noqa: PLC0415 - loaded when the command runs

    settings = Settings.current()
    logs.configure_by(settings)
    logs.catch_all()
    worker.main(settings)
