"""How commands print for scripts. By itself, since what tables need is slow to load."""

from __future__ import annotations

import json
import sys
from typing import Any

import click


def as_json(value: Any) -> None:
    """Print a value as JSON, whose own escapes stand in where the encoding is not UTF-8."""
    escape = not (sys.stdout.encoding or "utf-8").lower().startswith("utf")
    click.echo(json.dumps(value, indent=2, ensure_ascii=escape, default=str))
