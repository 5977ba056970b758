"""``crm-bridge healthcheck``: for containers and process managers, whose images have no curl.

The web process is asked over HTTP, on this machine and by the settings that it was started with;
the worker, which has no port, by the sign of life that it leaves in the database.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from http.client import HTTPConnection, HTTPException
from typing import Any

import click

from bridge.commands.as_json import as_json
from bridge.settings import Settings

PATHS = {"live": "/livez", "ready": "/readyz", "health": "/healthz"}
ANYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1", "*": "127.0.0.1"}  # noqa: S104 - what HOST may say
LARGEST_ANSWER = 1_000_000

Found = Mapping[str, Any]
"""``status``: pass, warn or fail. ``output``: in words, blank on pass."""


@click.command(
    help="Ask whether the web process of this machine is ready (or with --check live: alive; "
    "health: well in all), or whether a worker of this machine is at work. Ends with 0 if so, "
    "with 1 if not, with 2 if it was called or set up wrongly."
)
@click.argument("what", type=click.Choice(["web", "worker", "all"]), default="web")
@click.option(
    "--check",
    type=click.Choice(list(PATHS)),
    default="ready",
    show_default=True,
    help="What the web process is asked.",
)
@click.option("--strict", is_flag=True, help="A warning counts as trouble.")
@click.option(
    "--timeout",
    type=click.FloatRange(0.1, 60),
    default=3.0,
    show_default=True,
    help="Seconds to wait for an answer.",
)
@click.option("--json", "json_", is_flag=True, help="As JSON.")
def command(what: str, check: str, strict: bool, timeout: float, json_: bool) -> None:
    settings = Settings.current()
    found: dict[str, Found] = {}
    if what in ("web", "all"):
        found["web"] = ask_web(settings, PATHS[check], timeout)
    if what in ("worker", "all"):
        found["worker"] = ask_worker(settings, timeout)
    if json_:
        as_json(found)
    else:
        for name, one in found.items():
            told = f": {one['output']}" if one["output"] else ""
            click.echo(f"{name} {one['status']}{told}")
    bad = ("fail", "warn") if strict else ("fail",)
    sys.exit(1 if any(one["status"] in bad for one in found.values()) else 0)


def ask_web(settings: Settings, path: str, timeout_s: float) -> Found:
    """What the web process of this machine answers to a GET of this path."""
    host = ANYWHERE.get(settings["HOST"], settings["HOST"]).strip("[]")
    connection = HTTPConnection(host, settings["PORT"], timeout=timeout_s)
    try:
        connection.request("GET", path, headers={"Connection": "close"})
        response = connection.getresponse()
        body = response.read(LARGEST_ANSWER)
    except (OSError, HTTPException) as error:
        where = f"{host}:{settings['PORT']}"
        return _found("fail", f"no answer from {where} ({type(error).__name__})")
    finally:
        connection.close()
    if response.status not in (200, 503):
        return _found("fail", f"{path} answered {response.status}; is this the bridge?")
    if path == PATHS["live"]:
        return _found("pass" if response.status == 200 else "fail", "")
    return _read(response.status, body)


def _read(status: int, body: bytes) -> Found:
    try:
        document = json.loads(body)
        told = {
            name: one["output"]
            for name, ones in document["checks"].items()
            for one in ones
            if one["status"] != "pass"
        }
        level = str(document["status"])
    except (ValueError, KeyError, TypeError, AttributeError):
        return _found("fail", f"answered {status} with something else than health")
    if status != 200:
        level = "fail"
    return _found(level, "; ".join(f"{name}: {output}" for name, output in told.items()))


def ask_worker(settings: Settings, timeout_s: float) -> Found:
    """Whether a worker of this machine has lately shown that it lives."""
    from bridge.errors import BridgeError  # noqa: PLC0415 - not loaded where only web is asked
    from bridge.store import workers  # noqa: PLC0415
    from bridge.store.database import Database  # noqa: PLC0415
    from bridge.store.far_ahead import SLACK_MS  # noqa: PLC0415

    database = Database(
        settings["DATABASE_URL"], busy_timeout_s=timeout_s, statement_timeout_s=timeout_s
    )
    try:
        with database.read() as connection:
            database.measure_clock(connection)
            last = workers.last_beat(connection, host=workers.this_host())
            silent = None if last is None else database.now_ms() - last
    except BridgeError as error:
        return _found("fail", f"the database cannot be asked for the worker ({error})")
    finally:
        database.close()
    if silent is None:
        return _found("fail", "no worker of this machine is at work")
    if silent < -SLACK_MS:
        return _found("fail", "the worker was not heard of since the clock was set back")
    if silent > settings["BRIDGE_WORKER_SILENT"] * 1000:
        return _found("fail", f"the worker was last heard of {silent // 1000} s ago")
    return _found("pass", "")


def _found(status: str, output: str) -> Found:
    return {"status": status, "output": output}
