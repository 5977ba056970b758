"""What a batch adds to the numbers that metrics show."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from bridge.model import Answered, State
from bridge.record import ledger as ledgers
from bridge.steps.claim import Claimed
from bridge.store.counters import Counted, Counts
from bridge.store.outcomes import Decision, OpenUpdate

NO_ANSWER = 0
"""The mark of a call that was not answered by an HTTP status."""


def count_call(counts: Counts, campaign: str, answered: Answered) -> None:
    """One call of the campaign API has ended."""
    counts.add(Counted.CALL, campaign, answered.status or NO_ANSWER)
    counts.observe(Counted.CALL_TIME, campaign, answered.elapsed_ms)


def count_look_up(counts: Counts, source: str, status: int | None, seconds: float) -> None:
    """One call of a CRM has ended."""
    counts.add(Counted.LOOK_UP_CALL, source, status or NO_ANSWER)
    counts.observe(Counted.LOOK_UP_TIME, source, seconds * 1000)


def count_batch(counts: Counts, campaign: str, size: int, decisions: Iterable[Decision]) -> None:
    """A batch has been recorded: its size, and what of it is to be sent again."""
    counts.observe(Counted.BATCH, campaign, size)
    for made in decisions:
        if not made.state.final:
            counts.add(Counted.AGAIN, campaign, int(made.state is State.STANDING))


def confirmed_opt_outs(
    campaign: str, claimed: Sequence[Claimed], decisions: Sequence[Decision], now: int
) -> Counts:
    """How long the opt-outs took that are confirmed now, from the CRM's event and from receipt.

    What is replayed is left out: it was late before it began.
    """
    done = {made.id for made in decisions if made.state is State.UPDATED}
    counts = Counts()
    for item in claimed:
        if item.plan.payload.get(ledgers.DO_NOT_CALL) is not True:
            continue
        for update in item.updates:
            if update.id in done and _counts(update):
                counts.observe(Counted.OPT_OUT_TIME, campaign, now - update.event_time)
                counts.observe(Counted.OPT_OUT_HERE, campaign, now - update.accepted_at)
    return counts


def _counts(update: OpenUpdate) -> bool:
    return update.opts_out and not update.replay_id
