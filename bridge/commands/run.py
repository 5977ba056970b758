"""``crm-bridge run``: web and worker on one machine; if either dies, the whole stops."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading

import click

from bridge import logs
from bridge.commands.web import check_web, web_arguments
from bridge.settings import Settings
from bridge.store.database import Database
from bridge.store.migrate import migrate

STOP_S = 75.0

log = logs.get("run")


@click.command(help="Migrate, then run web and worker; ends with 1 if either of them dies.")
def command() -> None:
    settings = Settings.current()
    logs.configure_by(settings)
    database = Database(settings["DATABASE_URL"])
    migrate(database)
    database.close()
    check_web(settings)
    worker = [sys.executable, "-m", "bridge.cli", "worker"]
    sys.exit(supervise({"web": web_arguments(), "worker": worker}))


def supervise(commands: dict[str, list[str]]) -> int:
    """Run all of these until one ends or we are asked to stop; then stop the rest.

    Returns 0 if we were asked to stop and all ended well, otherwise 1.
    """
    wake = threading.Event()
    asked = threading.Event()

    def on_signal(_number: int, _frame: object) -> None:
        asked.set()
        wake.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, on_signal)
    children = {
        name: subprocess.Popen(arguments)  # noqa: S603 - our own interpreter, no shell
        for name, arguments in commands.items()
    }

    def watch(child: subprocess.Popen[bytes]) -> None:
        child.wait()
        wake.set()

    for child in children.values():
        threading.Thread(target=watch, args=(child,), daemon=True).start()
    while not wake.wait(0.5):
        pass
    for name, child in children.items():
        if child.poll() is not None and not asked.is_set():
            code = child.returncode
            log.error("process ended, the others are stopped", child=name, exit_code=code)
    return 0 if _stop(children) and asked.is_set() else 1


def _stop(children: dict[str, subprocess.Popen[bytes]]) -> bool:
    for child in children.values():
        if child.poll() is None:
            child.terminate()
    well = True
    for name, child in children.items():
        try:
            well = child.wait(STOP_S) == 0 and well
        except subprocess.TimeoutExpired:
            log.warning("process did not stop in time and is killed", child=name, seconds=STOP_S)
            child.kill()
            well = False
    return well
