"""Delivering a batch: as one call where that works, taken apart where the API refuses it whole.

413 halves the batch. 400 and 422 bisect it until the offending lead stands alone, so that one bad
value never keeps its neighbours from being updated. 403 usually means that the token lacks a
right; but a firewall in front of the API may answer so because of one value. Both halves are
tried, and the halves of one of them, down to a lead: if a part passes, the others are bisected as
well. One lead alone has no other half: it is to blame if it was refused before and others got
through since, and is in doubt until then; so are leads of which each was refused alone.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

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
    shuffle: Callable[[list[Sent]], None] = random.shuffle,
) -> Answered:
    """One result per lead of the batch, in its order, from as many calls as it takes.

    ``deadline``: no call begins after that (monotonic seconds), since the lease ends; the leads
    that are left count as not sent. ``pace``: waits for the next call's turn; False when it would
    not come before the deadline, or the process is stopping. ``note`` hears of every answer that
    says how the campaign as a whole is doing. ``blames`` hears of every lead that got a 403 by
    itself, and says whether others of the campaign have got through since it got one before.
    ``suspects``: those of the leads that got one before, the one that did longest ago first.
    ``shuffle``: so that a batch which cannot be asked about to the end is asked about in other
    parts the next time.
    """
    if clock() >= deadline:
        return _not_sent(batch, "the lease of the batch had ended before it was sent")
    first = call(batch)
    if first.status != 403 and not _to_be_taken_apart(first, len(batch)):
        note(first)
        return first
    delivery = _Delivery(call, deadline, pace, note, blames, suspects, clock, shuffle)
    delivery.follow(batch, delivery.heard(batch, first), token_works=False)
    delivery.conclude()
    return delivery.sum(batch)


@dataclass(slots=True)
class _Delivery:
    """A batch that was refused whole.

    ``found``: what has become of its leads so far. ``last``: the answer to the last call.
    ``trouble``: the answer by which the campaign is held back; no call follows it. ``doubt``: what
    a 403 comes to if nobody gets through. ``works``: somebody did.
    """

    call: Call
    deadline: float
    pace: Callable[[float], bool]
    note: Callable[[Answered], None]
    blames: Callable[[Sent], bool]
    suspects: Callable[[Sequence[Sent]], Sequence[Sent]]
    clock: Callable[[], float]
    shuffle: Callable[[list[Sent]], None]
    found: dict[int, Result] = field(default_factory=dict)
    last: Answered = field(default_factory=lambda: Answered(()))
    trouble: Answered | None = None
    doubt: _Doubt | None = None
    works: bool = False
    calls: int = 0
    elapsed_ms: int = 0

    # ------------------------------------------------------------------ asking and adding up

    def heard(self, part: Sequence[Sent], answer: Answered) -> Answered:
        """A call was answered. What a 403 says of the campaign is to be found out."""
        self.last = answer
        self.calls += answer.calls
        self.elapsed_ms += answer.elapsed_ms
        self._keep(part, answer)
        if answer.status != 403:
            self._tell(answer)
            self.works = self.works or (_got_through(answer) and answer.status != 413)
        return answer

    def ask(self, part: Sequence[Sent]) -> Answered:
        """A further call, with a part of the batch, if there may be one."""
        if self.trouble is None and self.clock() < self.deadline and self.pace(self.deadline):
            return self.heard(part, self.call(part))
        return self._keep(part, _not_sent(part, self.last.detail or "the lease of the batch ended"))

    def conclude(self) -> None:
        """All are asked who could be: what is still in doubt may be the campaign's."""
        if self.doubt is not None and self.trouble is None and not self.works:
            self.note(self.doubt.said)
            self.trouble = self.doubt.kept

    def sum(self, batch: Sequence[Sent]) -> Answered:
        """What the calls come to."""
        return replace(
            self.trouble or replace(self.last, trouble=None),
            results=tuple([self.found[sent.lead_id] for sent in batch]),
            calls=self.calls,
            elapsed_ms=self.elapsed_ms,
        )

    def _keep(self, part: Sequence[Sent], answer: Answered) -> Answered:
        self.found.update(zip([sent.lead_id for sent in part], answer.results, strict=True))
        return answer

    def _tell(self, answer: Answered) -> None:
        self.note(answer)
        if answer.trouble is not None:
            self.trouble = answer

    # ------------------------------------------------------------------ what an answer leads to

    def follow(self, part: Sequence[Sent], answer: Answered, *, token_works: bool) -> None:
        """What an answer to a call with this part of the batch leads to."""
        if answer.status != 403:
            if _to_be_taken_apart(answer, len(part)):
                self._take_apart(part, token_works=token_works)
        elif len(part) == 1:
            if self.blames(part[0]) or token_works:
                self._reject(part, answer)
            else:
                alone = replace(answer, trouble=Trouble.REFUSED_ALONE)
                self.doubt = _Doubt(alone, alone)
        elif token_works:
            self._reject(part, answer)
        else:
            self._second_opinion(part, answer)

    def _take_apart(self, part: Sequence[Sent], *, token_works: bool) -> None:
        for half in _halves(part):
            self.follow(half, self.ask(half), token_works=token_works)

    def _reject(self, part: Sequence[Sent], answer: Answered) -> None:
        """A 403 that is known to be about a lead of this part."""
        results = tuple(Result(Verdict.REJECTED, answer.detail) for _ in part)
        self._tell(self._keep(part, replace(answer, results=results, trouble=None)))
        if len(part) > 1:
            self._take_apart(part, token_works=True)

    def _second_opinion(self, batch: Sequence[Sent], first: Answered) -> None:
        """All of these were answered 403: is it the token, or something in the batch?"""
        known = self.suspects(batch)
        stand = all(sent.payload.get("do_not_call") is True for sent in batch)
        if stand and len(known) == len(batch) and self.blames(known[0]):
            self._reject(batch, first)  # nothing ends by it: what is refused is sent again
            return
        asked = self._ask_parts(batch, known)
        if any(_got_through(answer) for _, answer in asked):
            self._some_got_through(asked)
        else:
            self._nobody_got_through(asked, first)

    def _ask_parts(self, batch: Sequence[Sent], known: Sequence[Sent]) -> list[_Part]:
        """Parts of a batch that was refused, and what they are answered.

        The smaller the part, the more likely there is nothing to refuse in it: two leads to blame,
        one in each half, would else pass for the token, and so they would the next time. ``known``
        are put aside, so that each time somebody else is asked by itself in the end, and one of
        them as well, whose next call may be without what was refused.
        """
        put_aside = {sent.lead_id for sent in known}
        others = [sent for sent in batch if sent.lead_id not in put_aside]
        self.shuffle(others)
        both = bool(others and known)
        parts = (others, known) if both else _halves(others or known)
        asked = [(part, self.ask(part)) for part in parts]
        for whole in parts if both else parts[:1]:
            part = whole
            while len(part) > 1 and all(answer.status == 403 for _, answer in asked):
                halves = _halves(part)
                asked = [one for one in asked if one[0] is not part]
                asked += [(half, self.ask(half)) for half in halves]
                part = halves[0]
        return asked

    def _some_got_through(self, asked: Sequence[_Part]) -> None:
        """The token works: of each part that was refused a lead is to blame."""
        through = next(n for n, (_, answer) in enumerate(asked) if _got_through(answer))
        for part, answer in asked:
            if answer.status != 403:
                self.follow(part, answer, token_works=True)
        for place, (part, refusal) in enumerate(asked):
            if refusal.status != 403:
                continue
            # the right may have come since a lead was refused that was asked before them
            again = len(part) == 1 and place < through
            answer = self.ask(part) if again else refusal
            if self.trouble is None:  # else it is asked about another time
                self.follow(part, answer, token_works=True)

    def _nobody_got_through(self, asked: Sequence[_Part], first: Answered) -> None:
        """It may be the token. Where another answer says more of the campaign, that was told.

        While a part could not be asked, the 403 may still be about a lead.
        """
        alone = [part[0] for part, answer in asked if len(part) == 1 and answer.status == 403]
        blamed = [sent for sent in alone if self.blames(sent)]
        for sent in blamed:
            self.found[sent.lead_id] = Result(Verdict.REJECTED, first.detail)
        in_doubt = blamed or any(answer.status != 403 for _, answer in asked)
        said = replace(first, trouble=Trouble.REFUSED_ALONE) if in_doubt else first
        self.doubt = _Doubt(said, first)
        if self.trouble is not None:
            self.trouble = first


class _Doubt(NamedTuple):
    """What is noted of a campaign that may be refused, and what is kept of its batch."""

    said: Answered
    kept: Answered


_Part = tuple[Sequence[Sent], Answered]
"""Some leads of a batch, and what their call was answered."""


def _halves(batch: Sequence[Sent]) -> tuple[Sequence[Sent], Sequence[Sent]]:
    half = (len(batch) + 1) // 2
    return batch[:half], batch[half:]


def _got_through(answer: Answered) -> bool:
    """Whether the API took a call on: only then its token works, whatever it said of the leads."""
    return answer.status is not None and answer.trouble is None


def _not_sent(batch: Sequence[Sent], why: str) -> Answered:
    return Answered(tuple(Result(Verdict.NOT_SENT, why) for _ in batch), calls=0)


def _to_be_taken_apart(answer: Answered, size: int) -> bool:
    return (
        size > 1
        and answer.trouble is None
        and answer.status in (400, 413, 422)
        and all(result.verdict is Verdict.REJECTED for result in answer.results)
    )
