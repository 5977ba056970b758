"""Delivering a batch: as one call where that works, taken apart where the API refuses it whole.

413 halves the batch. 400 and 422 bisect it until the offending lead stands alone, so that one bad
value never keeps its neighbours from being updated. 403 usually means that the token lacks a
right; but a firewall in front of the API may answer so because of one value. Both halves are
tried: if one of them passes, the other is bisected as well. One lead alone has no other half: it
is to blame if it was refused before and others got through since, and is in doubt until then.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from bridge.model import Answered, Result, Sent, Trouble, Verdict

Call = Callable[[Sequence[Sent]], Answered]


def deliver(
    batch: Sequence[Sent],
    call: Call,
    *,
    deadline: float,
    pace: Callable[[float], bool],
    note: Callable[[Answered], None] = lambda _: None,
    blames: Callable[[Sent], bool] = lambda _: False,
    clock: Callable[[], float] = time.monotonic,
) -> Answered:
    """One result per lead of the batch, in its order, from as many calls as it takes.

    ``deadline``: no call begins after that (monotonic seconds), since the lease ends; the leads
    that are left count as not sent. ``pace``: waits for the next call's turn; False when it would
    not come before the deadline, or the process is stopping. ``note`` hears of every answer that
    says how the campaign as a whole is doing. ``blames`` hears of every lead that got a 403 by
    itself, and says whether others of the campaign have got through since it got one before.
    """
    if clock() >= deadline:
        return _not_sent(batch, "the lease of the batch had ended before it was sent")
    way = _Way(call, deadline, pace, note, blames, clock)
    first = call(batch)
    if first.status != 403:
        return way.follow(batch, first, token_works=False)
    if len(batch) > 1:
        return way.second_opinion(batch, first)
    if blames(batch[0]):
        return way.rejected(batch, first)
    return way.follow(batch, replace(first, trouble=Trouble.REFUSED_ALONE), token_works=False)


@dataclass(frozen=True, slots=True)
class _Way:
    """What a delivery needs at every turn."""

    call: Call
    deadline: float
    pace: Callable[[float], bool]
    note: Callable[[Answered], None]
    blames: Callable[[Sent], bool]
    clock: Callable[[], float]

    def follow(self, batch: Sequence[Sent], answer: Answered, *, token_works: bool) -> Answered:
        """What an answer to a call with this batch leads to."""
        if token_works and answer.status == 403:
            if len(batch) == 1:
                self.blames(batch[0])
            return self.rejected(batch, answer)
        return self._noted(batch, answer, token_works=token_works)

    def rejected(self, batch: Sequence[Sent], answer: Answered) -> Answered:
        """What a 403 leads to that is known to be about a lead of this batch."""
        results = tuple(Result(Verdict.REJECTED, answer.detail) for _ in batch)
        answer = replace(answer, results=results, trouble=None)
        return self._noted(batch, answer, token_works=True)

    def _noted(self, batch: Sequence[Sent], answer: Answered, *, token_works: bool) -> Answered:
        self.note(answer)
        if not _to_be_taken_apart(answer, len(batch)):
            return answer
        total = replace(answer, results=())
        for part in _halves(batch):
            if total.trouble is not None or not self._may_call():
                rest = _not_sent(part, total.detail or "the lease of the batch ended")
                total = replace(total, results=total.results + rest.results)
                continue
            total = _sum(total, self.follow(part, self.call(part), token_works=token_works))
        return total

    def second_opinion(self, batch: Sequence[Sent], first: Answered) -> Answered:
        """The whole batch was answered 403: is it the token, or something in the batch?"""
        parts = _halves(batch)
        answers = []
        for part in parts:
            if self._may_call():
                answers.append(self.call(part))
            else:
                answers.append(_not_sent(part, first.detail))
        if not any(_got_through(answer) for answer in answers):
            self.note(first)
            # a half that broke off may have been done all the same
            results = tuple(result for answer in answers for result in answer.results)
            calls = 1 + sum(answer.calls for answer in answers)
            return replace(first, results=results, calls=calls)
        total = replace(first, results=(), trouble=None)
        for part, answer in sorted(
            zip(parts, answers, strict=True), key=lambda pair: pair[1].status == 403
        ):
            if total.trouble is not None and answer.status == 403:
                followed = replace(answer, trouble=None)  # it is asked about another time
            else:
                followed = self.follow(part, answer, token_works=True)
            whole = _sum(total, followed)
            # results stand in the order of the batch, whichever half was followed first
            results = followed.results + total.results if part is parts[0] else whole.results
            if followed.trouble is None and total.trouble is not None:
                whole = replace(
                    whole,
                    trouble=total.trouble,
                    detail=total.detail,
                    retry_after_s=total.retry_after_s,
                )
            total = replace(whole, results=results)
        return total

    def _may_call(self) -> bool:
        return self.clock() < self.deadline and self.pace(self.deadline)


def _halves(batch: Sequence[Sent]) -> tuple[Sequence[Sent], Sequence[Sent]]:
    half = (len(batch) + 1) // 2
    return batch[:half], batch[half:]


def _got_through(answer: Answered) -> bool:
    """Whether the API took a call on: only then its token works, whatever it said of the leads."""
    return answer.status is not None and answer.trouble is None


def _sum(total: Answered, answer: Answered) -> Answered:
    return Answered(
        results=total.results + answer.results,
        status=answer.status,
        trouble=answer.trouble,
        detail=answer.detail,
        retry_after_s=answer.retry_after_s,
        elapsed_ms=total.elapsed_ms + answer.elapsed_ms,
        calls=total.calls + answer.calls,
    )


def _not_sent(batch: Sequence[Sent], why: str) -> Answered:
    return Answered(tuple(Result(Verdict.NOT_SENT, why) for _ in batch), calls=0)


def _to_be_taken_apart(answer: Answered, size: int) -> bool:
    return (
        size > 1
        and answer.trouble is None
        and answer.status in (400, 403, 413, 422)
        and all(result.verdict is Verdict.REJECTED for result in answer.results)
    )
