"""Delivering a batch: as one call where that works, taken apart where the API refuses it whole.

413 halves the batch. 400 and 422 bisect it until the offending lead stands alone, so that one bad
value never keeps its neighbours from being updated. 403 usually means that the token lacks a
right; but a firewall in front of the API may answer so because of one value. Both halves are
tried, and the halves of one of them, down to a lead: if a part passes, the others are bisected as
well. One lead alone has no other half: it is to blame if it was refused before and others got
through since, and is in doubt until then; so are leads of which each was refused alone.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
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
    suspects: Callable[[Sequence[Sent]], Sequence[Sent]] = lambda _: (),
    clock: Callable[[], float] = time.monotonic,
) -> Answered:
    """One result per lead of the batch, in its order, from as many calls as it takes.

    ``deadline``: no call begins after that (monotonic seconds), since the lease ends; the leads
    that are left count as not sent. ``pace``: waits for the next call's turn; False when it would
    not come before the deadline, or the process is stopping. ``note`` hears of every answer that
    says how the campaign as a whole is doing. ``blames`` hears of every lead that got a 403 by
    itself, and says whether others of the campaign have got through since it got one before.
    ``suspects``: those of the leads that got one before, the one that did longest ago first.
    """
    if clock() >= deadline:
        return _not_sent(batch, "the lease of the batch had ended before it was sent")
    way = _Way(call, deadline, pace, note, blames, suspects, clock)
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
    suspects: Callable[[Sequence[Sent]], Sequence[Sent]]
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
        known = self.suspects(batch)
        stand = all(sent.payload.get("do_not_call") is True for sent in batch)
        if stand and len(known) == len(batch) and self.blames(known[0]):
            return self.rejected(batch, first)  # nothing ends by it: what is refused is sent again
        asked, total = self._asked(batch, known, first)
        found: dict[int, Result] = {}
        if not any(_got_through(answer) for _, answer in asked):
            alone = [pair for pair in asked if len(pair[0]) == 1 and pair[1].status == 403]
            blamed = {part[0].lead_id for part, _ in alone if self.blames(part[0])}
            said = _of_the_campaign(first, [answer for _, answer in asked])
            if blamed and said.trouble is first.trouble:
                said = replace(said, trouble=Trouble.REFUSED_ALONE)
            self.note(said)
            for part, answer in asked:
                # one that broke off may have been done all the same
                found |= _by_lead(part, answer)
                total = _sum(total, answer)
            found |= {lead: Result(Verdict.REJECTED, first.detail) for lead in blamed}
            results = tuple(found[sent.lead_id] for sent in batch)
            return replace(first, results=results, calls=total.calls, elapsed_ms=total.elapsed_ms)
        through = next(n for n, (_, answer) in enumerate(asked) if _got_through(answer))
        early = {part[0].lead_id for part, _ in asked[:through] if len(part) == 1}
        for part, answer in sorted(asked, key=lambda pair: pair[1].status == 403):
            again = answer.status == 403 and part[0].lead_id in early
            if answer.status == 403 and (
                total.trouble is not None or (again and not self._may_call())
            ):
                followed = replace(answer, trouble=None)  # it is asked about another time
            elif again:  # it was refused before anybody got through: the right may have come since
                total = _sum(total, replace(answer, results=(), trouble=None))
                followed = self.follow(part, self.call(part), token_works=True)
            else:
                followed = self.follow(part, answer, token_works=True)
            found |= _by_lead(part, followed)
            whole = _sum(total, followed)
            if followed.trouble is None and total.trouble is not None:
                whole = replace(
                    whole,
                    trouble=total.trouble,
                    detail=total.detail,
                    retry_after_s=total.retry_after_s,
                )
            total = whole
        return replace(total, results=tuple(found[sent.lead_id] for sent in batch))

    def _asked(
        self, batch: Sequence[Sent], known: Sequence[Sent], first: Answered
    ) -> tuple[Sequence[_Part], Answered]:
        """What parts of a batch that was refused are answered, and the calls before those.

        The smaller the part, the more likely there is nothing to refuse in it: two leads to blame,
        one in each half, would else pass for the token, and so they would the next time. ``known``
        are put aside, so that each time somebody else is asked by itself in the end, and one of
        them as well, whose next call may be without what was refused.
        """
        total = replace(first, results=(), trouble=None)
        put_aside = {sent.lead_id for sent in known}
        others = [sent for sent in batch if sent.lead_id not in put_aside]
        both = bool(others and known)
        parts = (others, known) if both else _halves(others or known)
        asked = self._answers(parts, first)
        for whole in parts if both else parts[:1]:
            part = whole
            while len(part) > 1 and all(answer.status == 403 for _, answer in asked):
                place = next(n for n, (other, _) in enumerate(asked) if other is part)
                total = _sum(total, replace(asked.pop(place)[1], results=(), trouble=None))
                halves = _halves(part)
                asked += self._answers(halves, first)
                part = halves[0]
        return asked, total

    def _answers(self, parts: Iterable[Sequence[Sent]], first: Answered) -> list[_Part]:
        return [
            (part, self.call(part) if self._may_call() else _not_sent(part, first.detail))
            for part in parts
        ]

    def _may_call(self) -> bool:
        return self.clock() < self.deadline and self.pace(self.deadline)


_Part = tuple[Sequence[Sent], Answered]
"""Some leads of a batch, and what their call was answered."""


def _of_the_campaign(first: Answered, answers: Sequence[Answered]) -> Answered:
    """What no part of a refused batch having got through says of the campaign.

    One that was answered in another way, by a 429 perhaps, says more than the 403 does; while one
    could not be asked, the 403 may still be about a lead.
    """
    others = [answer for answer in answers if answer.status != 403]
    troubles = [answer for answer in others if answer.trouble is not None]
    if troubles:
        return troubles[0]
    return replace(first, trouble=Trouble.REFUSED_ALONE) if others else first


def _by_lead(part: Sequence[Sent], answer: Answered) -> dict[int, Result]:
    return {sent.lead_id: result for sent, result in zip(part, answer.results, strict=True)}


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
