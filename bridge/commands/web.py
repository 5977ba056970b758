"""``crm-bridge web``: gunicorn with the bridge's configuration, in this process."""

from __future__ import annotations

import os
import sys

import click

from bridge.live import load
from bridge.operate.alerts import chosen
from bridge.settings import Settings
from bridge.store import revision
from bridge.store.database import Database


@click.command(help="Run the web process under gunicorn; settings HOST and PORT say where.")
def command() -> None:
    check_web(Settings.current())
    arguments = web_arguments()
    os.execv(arguments[0], arguments)  # noqa: S606 - our own interpreter, no shell


def check_web(settings: Settings) -> None:
    """Errors: whatever would keep the web process from starting, in words."""
    load(settings)
    chosen.channels(settings)
    chosen.policy(settings)
    database = Database(settings["DATABASE_URL"])
    revision.check(database)
    database.close()


def web_arguments() -> list[str]:
    """The command line of the web process."""
    return [sys.executable, "-m", "gunicorn", "--config", "python:bridge.gunicorn_conf"]
