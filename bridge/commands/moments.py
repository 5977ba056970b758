"""Times on the command line: a moment, or how long ago."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

import click

from bridge.clock import now_ms

_AGO = re.compile(r"([0-9]{1,6})\s*([smhdw])")
_UNITS = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}


class Moment(click.ParamType[int]):
    """``7d``, ``12h`` (so long ago), or ``2026-06-25`` with or without a time; in milliseconds."""

    name = "moment"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        del param, ctx
        if isinstance(value, int):
            return value
        ago = _AGO.fullmatch(value.strip())
        if ago:
            return now_ms() - int(ago[1]) * _UNITS[ago[2]]
        try:
            moment = datetime.fromisoformat(value.strip())
        except ValueError:
            self.fail("write a time such as 2026-06-25T07:19:30Z (UTC), or 7d, 12h, 30m ago.")
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        return round(moment.timestamp() * 1000)
