"""How commands print for scripts. By itself, since what tables need is slow to load."""

from __future__ import annotations

import json
from typing import Any

import click


def as_json(value: Any) -> None:
    """Print a value as JSON."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False, default=str))
