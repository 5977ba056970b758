"""How the next call is to go wrong: steps that are used up one by one, then a default.

Plans live in the database, so a restart goes on where it stopped. A plan for one campaign goes
before the plan for all; HubSpot reads have their own.
"""

from __future__ import annotations

import json
import random
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

from bridge.sandbox.database import Json, to_text

EVERYWHERE = "all"
HUBSPOT = "hubspot"

BEFORE = ("429", "status", "close")
"""Nothing is applied."""

WIRE = ("slow", "close_after", "truncated")
"""Applied, and the connection spoils the answer."""

LIES = (
    "empty",
    "short",
    "reordered",
    "crossed",
    "foreign",
    "duplicated",
    "no_results",
    "not_json",
    "overall_error",
)
"""Applied, and the answer says something else."""

MODES = ("ok", *BEFORE, *WIRE, *LIES, "success_without_rows")
"""Everything a step may ask for. ``success_without_rows`` claims success and applies nothing."""


@dataclass(frozen=True, slots=True)
class Step:
    """What happens to one call. Beside ``mode`` only what the mode uses counts.

    ``retry_after`` goes into that header as it is: seconds or an HTTP date. ``status`` and
    ``body`` are the answer of mode ``status``, ``seconds`` the delay of ``slow``, ``rows`` how
    many rows ``short`` leaves out.
    """

    mode: str = "ok"
    retry_after: str | int | None = None
    status: int = 503
    body: Json = None
    seconds: float = 1.0
    rows: int = 1

    @property
    def applies(self) -> bool:
        """Whether the call does what it was asked to do."""
        return self.mode not in BEFORE and self.mode != "success_without_rows"


def campaign_scope(campaign: str) -> str:
    """The scope of one campaign's plan."""
    return f"campaign {campaign}"


def set_plan(
    connection: sqlite3.Connection, scope: str, *, steps: Sequence[Json], fallback: Json
) -> None:
    """Replace a scope's plan. ``fallback`` is a step, ``{"random": …}`` or None."""
    connection.execute(
        "INSERT OR REPLACE INTO behaviour (scope, steps, fallback, drawn) VALUES (?, ?, ?, 0)",
        (scope, to_text(list(steps)), None if fallback is None else to_text(fallback)),
    )


def plans(connection: sqlite3.Connection) -> list[Json]:
    """Every plan: scope, the steps that are left, the default, how often it was drawn."""
    return [
        {
            "scope": row["scope"],
            "steps": json.loads(row["steps"]),
            "default": json.loads(row["fallback"]) if row["fallback"] else None,
            "drawn": row["drawn"],
        }
        for row in connection.execute("SELECT * FROM behaviour ORDER BY scope")
    ]


def next_step(connection: sqlite3.Connection, scopes: Sequence[str]) -> Step:
    """Take the next step of the first scope that has one; all is well if none has."""
    for scope in scopes:
        row = connection.execute("SELECT * FROM behaviour WHERE scope = ?", (scope,)).fetchone()
        if row is None:
            continue
        steps = json.loads(row["steps"])
        if steps:
            connection.execute(
                "UPDATE behaviour SET steps = ? WHERE scope = ?", (to_text(steps[1:]), scope)
            )
            return Step(**steps[0])
        if row["fallback"] is not None:
            fallback = json.loads(row["fallback"])
            if "random" not in fallback:
                return Step(**fallback)
            connection.execute("UPDATE behaviour SET drawn = drawn + 1 WHERE scope = ?", (scope,))
            return drawn_step(fallback["random"], row["drawn"])
    return Step()


def drawn_step(draw: Json, number: int) -> Step:
    """The step of the call with this number; the same seed and number give the same step."""
    weights = {mode: weight for mode, weight in sorted(draw["weights"].items()) if weight > 0}
    source = random.Random(f"{draw['seed']}:{number}")  # noqa: S311 - repeatable, not secret
    mode = source.choices(list(weights), list(weights.values()))[0]
    return Step(**draw.get("steps", {}).get(mode, {"mode": mode}))
