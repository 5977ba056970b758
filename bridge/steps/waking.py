"""Whom a step wakes that has stored lead updates."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from bridge.model import Campaign
from bridge.store.outcomes import NewOutcome


def opt_outs_of(campaign: str) -> str:
    """The bell of the thread that sends the opt-outs of a campaign and nothing else."""
    return f"opt-outs:{campaign}"


def bells_for(rows: Iterable[NewOutcome], named: Mapping[str, Campaign]) -> set[str]:
    """The bells to ring for these new outcomes, after their commit.

    Opt-outs that fit into one call are one thread's work: were all senders woken, each would look
    for the same leads at the same time, and the opt-out be sent the later for it.
    """
    all_of, opt_outs = Counter[str](), Counter[str]()
    for row in rows:
        if row.campaign:
            all_of[row.campaign] += 1
            opt_outs[row.campaign] += row.opts_out
    return {
        opt_outs_of(name)
        if name in named and opt_outs[name] == count <= named[name].batch_size
        else name
        for name, count in all_of.items()
    }
