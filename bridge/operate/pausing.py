"""Pause and resume a campaign by hand, with a line of who did it: for commands, console and API."""

from __future__ import annotations

from bridge.store import campaigns, operator_actions, pauses
from bridge.store.database import Connection, clock_ms
from bridge.store.pauses import Pause


def pause(
    connection: Connection, name: str, *, actor: str, reason: str, hold_opt_outs: bool
) -> None:
    """Send nothing but opt-outs to a campaign until it is resumed; not even them if so wished."""
    now = clock_ms(connection)
    pauses.pause(connection, name, Pause(now, actor, reason, hold_opt_outs))
    operator_actions.note(
        connection,
        actor=actor,
        action="campaign.pause",
        subject=name,
        details={"reason": reason, "opt_outs": "held" if hold_opt_outs else "go on"},
        now=now,
    )


def resume(connection: Connection, name: str, *, actor: str) -> tuple[bool, bool]:
    """End a pause, and have a campaign that is held back tried at once: whether each was so."""
    now = clock_ms(connection)
    ended = pauses.resume(connection, name)
    tried = campaigns.probe_soon(connection, [name], now) > 0
    operator_actions.note(
        connection,
        actor=actor,
        action="campaign.resume",
        subject=name,
        details={"was_paused": ended, "tried_at_once": tried},
        now=now,
    )
    return ended, tried
