"""One log line for each final outcome, and a warning for each opt-out that has to stand."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from bridge import logs
from bridge.model import State
from bridge.store.outcomes import NewOutcome, OpenUpdate


class Line(NamedTuple):
    """What a log line says of an outcome. ``elapsed_ms``: from acceptance to the outcome.

    ``replay_id``: the replay that it is of, 0 for the first way.
    """

    state: State
    receipt: str
    source: str
    campaign: str
    phone: str
    rules: tuple[str, ...]
    message: str
    opts_out: bool
    elapsed_ms: int
    replay_id: int = 0

    @classmethod
    def of_new(cls, row: NewOutcome) -> Line:
        """The line of an outcome that was just stored."""
        elapsed = 0 if row.decided_at is None else row.decided_at - row.accepted_at
        return cls(
            row.state,
            row.receipt,
            row.source,
            row.campaign,
            row.phone,
            row.rules,
            row.message,
            row.opts_out,
            elapsed,
            row.replay_id,
        )

    @classmethod
    def of_update(
        cls, row: OpenUpdate, lead: tuple[str, str], state: State, message: str, now: int
    ) -> Line:
        """The line of an update that moved to another state; ``lead``: campaign and phone."""
        return cls(
            state,
            row.receipt,
            row.source,
            *lead,
            row.rules,
            message,
            row.opts_out,
            now - row.accepted_at,
            row.replay_id,
        )


def log_new(rows: Iterable[NewOutcome]) -> None:
    """Write the lines of outcomes that were just stored, of the final ones among them."""
    log_outcomes(Line.of_new(row) for row in rows if row.decided_at is not None)


def log_outcomes(lines: Iterable[Line]) -> None:
    """Write the lines of final outcomes; call it after the commit."""
    told = [
        (_level(line), _fields(line))
        for line in lines
        if line.state.final or line.state is State.STANDING
    ]
    if told:
        logs.write_many("record", "outcome", told)


def _level(line: Line) -> str:
    if line.opts_out and line.state.final and line.state is not State.UPDATED:
        return "info" if line.state is State.SUPERSEDED else "error"
    return "warning" if line.state is State.STANDING or line.state is State.DEAD else "info"


def _fields(line: Line) -> dict[str, Any]:
    fields = {
        "outcome": line.state.value,
        "receipt": line.receipt,
        "source": line.source,
        "campaign": line.campaign,
        "phone": logs.mask_phone(line.phone),
        "rules": list(line.rules),
        "message": line.message,
        "opt_out": line.opts_out,
        "elapsed_ms": line.elapsed_ms,
    }
    if line.replay_id:
        fields["replay"] = line.replay_id
    return fields
