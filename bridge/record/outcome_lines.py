"""One log line for each final outcome, and a warning for each opt-out that has to stand."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from bridge import logs
from bridge.model import State
from bridge.store.outcomes import NewOutcome, OpenUpdate

log = logs.get("record")


@dataclass(frozen=True, slots=True)
class Line:
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


def log_outcomes(lines: Iterable[Line]) -> None:
    """Write the lines of final outcomes; call it after the commit."""
    for line in lines:
        if not line.state.final and line.state is not State.STANDING:
            continue
        write = log.info
        if line.state is State.STANDING or line.state is State.DEAD:
            write = log.warning
        if line.opts_out and line.state.final and line.state is not State.UPDATED:
            write = log.info if line.state is State.SUPERSEDED else log.error
        write(
            "outcome",
            outcome=line.state.value,
            receipt=line.receipt,
            source=line.source,
            campaign=line.campaign,
            phone=logs.mask_phone(line.phone),
            rules=list(line.rules),
            message=line.message,
            opt_out=line.opts_out,
            elapsed_ms=line.elapsed_ms,
            **({"replay": line.replay_id} if line.replay_id else {}),
        )
