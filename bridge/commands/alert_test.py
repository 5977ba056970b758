"""``crm-bridge alert test``: a test by every channel that is configured."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

import click

from bridge import logs
from bridge.clock import now_ms
from bridge.commands.as_json import as_json
from bridge.commands.listings import json_option
from bridge.commands.output import table
from bridge.operate.alerts import chosen
from bridge.operate.alerts.channel import Answer
from bridge.operate.alerts.heartbeat import CHANNEL
from bridge.operate.alerts.message import Message
from bridge.settings import Settings

COLUMNS = ("channel", "receiver", "taken", "answer", "elapsed_ms")


@click.command(
    help="Send a test message by every channel of alerts that is configured, call the monitor of "
    "the heartbeat, and say what came back. Ends with 0 if all took it, with 1 if one did not, "
    "with 2 if none is configured. Neither needs the database nor a running bridge."
)
@json_option
def command(json_: bool) -> None:
    settings = Settings.current()
    logs.blot_out(settings.live_secrets())
    chosen.policy(settings)  # whatever is wrong with it is said now
    message = Message(chosen.name(settings), now_ms(), link=chosen.console(settings), test=True)
    rows = []
    for channel in chosen.channels(settings):
        sent = _timed(lambda channel=channel: channel.send(message))  # type: ignore[misc]
        rows.append({"channel": channel.name, "receiver": channel.receiver, **sent})
    monitor = chosen.monitor(settings)
    if monitor is not None:
        called = _timed(lambda: monitor.call("GET"))
        rows.append({"channel": CHANNEL, "receiver": monitor.host, **called})
    if json_:
        as_json(rows)
    elif rows:
        table(COLUMNS, rows)
    if not rows:
        click.echo(
            "No channel is configured. Set BRIDGE_ALERT_SLACK_URL, BRIDGE_ALERT_WEBHOOK_URL or "
            "BRIDGE_ALERT_MAIL_TO, and BRIDGE_HEARTBEAT_URL for a heartbeat.",
            err=True,
        )
        sys.exit(2)
    sys.exit(0 if all(row["taken"] for row in rows) else 1)


def _timed(send: Callable[[], Answer]) -> dict[str, Any]:
    started = time.monotonic()
    answer = send()
    elapsed = round((time.monotonic() - started) * 1000)
    return {"taken": answer.taken, "answer": answer.words, "elapsed_ms": elapsed}
