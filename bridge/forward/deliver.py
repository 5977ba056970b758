"""Delivering a batch: as one call where that works, taken apart where the API refuses it whole.

413 halves the batch. 400 and 422 bisect it until the offending lead stands alone, so that one bad
value never keeps its neighbours from being updated.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from bridge.model import Answered, Result, Sent, Verdict

Call = Callable[[Sequence[Sent]], Answered]


def deliver(
    batch: Sequence[Sent],
    call: Call,
    *,
    deadline: float,
    pace: Callable[[float], bool],
    clock: Callable[[], float] = time.monotonic,
) -> Answered:
    """One result per lead of the batch, in its order, from as many calls as it takes.

    ``deadline``: no further call begins after that (monotonic seconds), since the lease ends; the
    leads that are left count as not sent. ``pace``: waits for the next call's turn; False when
    it would not come before the deadline, or the process is stopping.
    """
    first = call(batch)
    if not _to_be_taken_apart(first, len(batch)):
        return first
    half = (len(batch) + 1) // 2
    total = replace(first, results=(), calls=1)
    for part in (batch[:half], batch[half:]):
        if total.trouble is not None or clock() >= deadline or not pace(deadline):
            rest = Result(Verdict.NOT_SENT, total.detail or "the lease of the batch ended")
            total = replace(total, results=total.results + tuple(rest for _ in part))
            continue
        answer = deliver(part, call, deadline=deadline, pace=pace, clock=clock)
        total = Answered(
            results=total.results + answer.results,
            status=answer.status,
            trouble=answer.trouble,
            detail=answer.detail,
            retry_after_s=answer.retry_after_s,
            elapsed_ms=total.elapsed_ms + answer.elapsed_ms,
            calls=total.calls + answer.calls,
        )
    return total


def _to_be_taken_apart(answer: Answered, size: int) -> bool:
    return (
        size > 1
        and answer.trouble is None
        and answer.status in (400, 413, 422)
        and all(result.verdict is Verdict.REJECTED for result in answer.results)
    )
