"""The sandbox as a process.

python -m bridge.sandbox --database sandbox.db --token TOKEN --campaign camp_1 --port 0
"""

from __future__ import annotations

import argparse
import signal
import sqlite3
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from flask import Flask

from bridge.sandbox.app import create_sandbox
from bridge.sandbox.wire import Server


def say(line: str) -> None:
    """One line on standard output, at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def serve(
    app: Flask,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    announce: Callable[[str], None] = say,
) -> None:
    """Serve until SIGTERM or SIGINT, then finish the calls in flight and return.

    Port 0 takes a free one. ``announce`` is given ``sandbox ready on http://HOST:PORT`` once the
    port is open. To be called from the main thread. OSError, OverflowError: the address
    cannot be had.
    """
    server = Server((host, port), app)
    server.start()
    shown = f"[{host}]" if ":" in host else host
    announce(f"sandbox ready on http://{shown}:{server.server_port}")
    server.run_until((signal.SIGTERM, signal.SIGINT))


def main(argv: Sequence[str]) -> int:
    """The command line; returns the exit status: 0 after a signal, 1 if it cannot start."""
    options = _parser().parse_args(argv)
    try:
        app = create_sandbox(
            options.database,
            tokens=options.token,
            hubspot_tokens=options.hubspot_token,
            campaigns=options.campaign,
            custom_fields=options.custom_fields,
            invalid_rows=options.invalid_rows,
            max_rows=options.max_rows,
            max_rows_status=options.max_rows_status,
            max_body_bytes=options.max_body_bytes,
            add_delay_ms=None if options.add_delay_ms < 0 else options.add_delay_ms,
            hubspot_rate=options.hubspot_rate,
            hubspot_rate_window_s=options.hubspot_rate_window,
        )
        serve(app, host=options.host, port=options.port)
    except sqlite3.Error as error:
        sys.stderr.write(f"The file {options.database} cannot be used: {error}.\n")
        return 1
    except (OSError, OverflowError, ValueError) as error:
        sys.stderr.write(f"The sandbox cannot start: {error}.\n")
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="crm-bridge sandbox", description="A local campaign API to try things on."
    )
    add = parser.add_argument
    add("--host", default="127.0.0.1")
    add("--port", type=int, default=0, help="0 takes a free one (default)")
    add("--database", type=Path, required=True, help="SQLite file; made if it is not there")
    add("--token", action="append", required=True, help="bearer token; may be given again")
    add("--hubspot-token", action="append", default=[], help="the same for HubSpot reads")
    add("--campaign", action="append", default=[], help="id that exists from the start")
    add("--custom-fields", choices=("merge", "replace"), default="merge")
    add("--invalid-rows", choices=("refuse", "report"), default="refuse")
    add("--max-rows", type=int, help="most leads in one call")
    add("--max-rows-status", type=int, choices=(400, 413), default=413)
    add("--max-body-bytes", type=int, default=10 * 1024 * 1024)
    add("--add-delay-ms", type=int, default=50, help="-1: only on POST /sandbox/settle")
    add("--hubspot-rate", type=int, help="most HubSpot reads in one window")
    add("--hubspot-rate-window", type=float, default=10.0, help="seconds")
    return parser
