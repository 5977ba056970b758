"""``crm-bridge web``: gunicorn with the bridge's configuration, in this process."""

from __future__ import annotations

import errno
import os
import socket
import sys
import time

import click

from bridge.errors import SettingError
from bridge.live import load
from bridge.operate.alerts import chosen
from bridge.settings import Settings
from bridge.store import revision
from bridge.store.database import Database

PORT_PATIENCE_S = 5.0
"""How long whoever listens on the port may take to end; gunicorn waits as long."""


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
    check_port(settings)


def check_port(settings: Settings, patience_s: float = PORT_PATIENCE_S) -> None:
    """Errors: ``SettingError`` if nobody can listen on HOST and PORT, or somebody does."""
    if os.environ.get("LISTEN_FDS"):  # the socket is given, and open already
        return
    host, port = settings["HOST"].strip("[]"), settings["PORT"]
    deadline = time.monotonic() + patience_s
    while True:
        try:
            with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as trial:
                trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                trial.bind((host, port))
                return
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise SettingError(
                    f"nobody can listen on {host}, port {port} ({error.strerror}). "
                    "Set HOST and PORT to an address and a port that this user may take."
                ) from None
        if time.monotonic() > deadline:
            raise SettingError(
                f"port {port} of {host} is taken: another process listens there, perhaps another "
                "bridge. End it, or set PORT to a free port."
            )
        time.sleep(0.1)


def web_arguments() -> list[str]:
    """The command line of the web process."""
    return [sys.executable, "-m", "gunicorn", "--config", "python:bridge.gunicorn_conf"]
