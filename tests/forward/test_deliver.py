"""A batch that is refused whole is taken apart until only the bad leads are left."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.forward.deliver import deliver
from bridge.model import Answered, Result, Sent, Trouble, Verdict


def leads(count: int) -> list[Sent]:
    return [Sent(n, f"+{n}", {"phone_number": f"+{n}"}) for n in range(count)]


def good(batch: Sequence[Sent]) -> Answered:
    return Answered(tuple(Result(Verdict.CONFIRMED, f"{s.lead_id}") for s in batch), 200)


def refused(batch: Sequence[Sent], status: int = 422) -> Answered:
    """As the client reads it; what a 403 is about is not said."""
    verdict, trouble = Verdict.REJECTED, None
    if status == 403:
        verdict, trouble = Verdict.NOT_SENT, Trouble.REFUSED
    return Answered(tuple(Result(verdict, "no") for _ in batch), status, trouble, detail="no")


def failed(batch: Sequence[Sent], verdict: Verdict = Verdict.UNKNOWN) -> Answered:
    result = Result(verdict, "HTTP 500")
    return Answered(tuple(result for _ in batch), 500, Trouble.SERVER, "HTTP 500", 3.0)


class Api:
    """Refuses a batch that holds a bad lead or is too large; ``batches`` are those it saw."""

    def __init__(self, bad: set[int] = frozenset(), most: int = 10**9, status: int = 422) -> None:  # type: ignore[assignment]
        self.bad, self.most, self.status = bad, most, status
        self.batches: list[list[int]] = []

    def __call__(self, batch: Sequence[Sent]) -> Answered:
        ids = [sent.lead_id for sent in batch]
        self.batches.append(ids)
        if len(ids) > self.most:
            return refused(batch, 413)
        return refused(batch, self.status) if self.bad & set(ids) else good(batch)


def run(
    batch: Sequence[Sent],
    call: Callable[[Sequence[Sent]], Answered],
    *,
    deadline: float = 1e9,
    pace: Callable[[float], bool] = lambda _deadline: True,
    clock: Callable[[], float] = lambda: 0.0,
) -> Answered:
    answered = deliver(batch, call, deadline=deadline, pace=pace, clock=clock)
    assert len(answered.results) == len(batch)
    return answered


@given(st.data(), st.integers(1, 40), st.sampled_from([400, 422]))
def test_exactly_the_bad_leads_are_rejected(data: st.DataObject, size: int, status: int) -> None:
    bad = data.draw(st.sets(st.integers(0, size - 1)))
    api = Api(bad, status=status)
    answered = run(leads(size), api)
    for number, result in enumerate(answered.results):
        assert result.verdict is (Verdict.REJECTED if number in bad else Verdict.CONFIRMED)
        assert number in bad or result.message == str(number), "each result at its own place"
    assert answered.calls == len(api.batches)
    assert answered.calls <= 1 + 2 * len(bad) * size.bit_length()


@given(st.integers(1, 40), st.integers(1, 10))
def test_a_batch_that_is_too_large_is_halved_until_it_fits(size: int, most: int) -> None:
    api = Api(most=most)
    assert {r.verdict for r in run(leads(size), api).results} == {Verdict.CONFIRMED}
    taken = [batch for batch in api.batches if len(batch) <= most]
    assert [number for batch in taken for number in batch] == list(range(size))


def test_a_lead_that_is_too_large_by_itself_is_rejected() -> None:
    assert run(leads(1), Api(most=0)).results[0].verdict is Verdict.REJECTED


def test_a_batch_that_works_is_one_call() -> None:
    api = Api()
    answered = run(leads(9), api)
    assert (answered.calls, len(api.batches), answered.status) == (1, 1, 200)


@pytest.mark.parametrize("verdict", [Verdict.UNKNOWN, Verdict.NOT_SENT])
def test_a_call_that_failed_is_not_taken_apart(verdict: Verdict) -> None:
    answered = run(leads(4), lambda batch: failed(batch, verdict))
    assert (answered.calls, answered.trouble) == (1, Trouble.SERVER)
    assert {result.verdict for result in answered.results} == {verdict}


@given(st.integers(2, 32), st.integers(2, 12), st.sets(st.integers(0, 31), min_size=1))
def test_trouble_in_the_middle_ends_it_and_what_was_not_tried_was_not_sent(
    size: int, breaks_at: int, bad: set[int]
) -> None:
    api = Api(bad)
    sent: set[int] = set()

    def call(batch: Sequence[Sent]) -> Answered:
        if len(api.batches) + 1 >= breaks_at:
            api.batches.append([s.lead_id for s in batch])
            sent.update(api.batches[-1])
            return failed(batch)
        answer = api(batch)
        if answer.status == 200 or len(batch) == 1:
            sent.update(api.batches[-1])
        return answer

    answered = run(leads(size), call)
    if answered.trouble is None:
        return
    assert len(api.batches) == breaks_at, "no call after the failed one"
    assert (answered.trouble, answered.detail, answered.retry_after_s) == (
        Trouble.SERVER,
        "HTTP 500",
        3.0,
    )
    for number, result in enumerate(answered.results):
        if number not in sent:
            assert result.verdict is Verdict.NOT_SENT
        elif number in api.batches[-1]:
            assert result.verdict is Verdict.UNKNOWN
        else:
            assert result.verdict in (Verdict.CONFIRMED, Verdict.REJECTED)


@given(st.integers(2, 32), st.integers(1, 12))
def test_no_call_begins_after_the_deadline(size: int, calls: int) -> None:
    api = Api({0, size - 1})
    answered = run(leads(size), api, deadline=calls, clock=lambda: float(len(api.batches)))
    assert len(api.batches) <= max(1, calls)
    verdicts = [result.verdict for result in answered.results]
    assert Verdict.UNKNOWN not in verdicts
    if len(api.batches) == calls and Verdict.NOT_SENT in verdicts:
        assert answered.trouble is None


@pytest.mark.parametrize("status", [422, 403])
def test_pace_is_asked_before_every_further_call_and_told_the_deadline(status: int) -> None:
    asked: list[float] = []

    def pace(deadline: float) -> bool:
        asked.append(deadline)
        return True

    api = Api({3}, status=status)
    run(leads(4), api, deadline=77.0, pace=pace)
    assert asked == [77.0] * (len(api.batches) - 1)


def test_what_is_left_when_the_process_stops_was_not_sent() -> None:
    turns = iter([True, False, False, False])
    api = Api({7})
    answered = run(leads(8), api, pace=lambda _deadline: next(turns))
    assert [r.verdict for r in answered.results] == [
        *[Verdict.CONFIRMED] * 4,
        *[Verdict.NOT_SENT] * 4,
    ]
    assert len(api.batches) == 2


def test_a_refusal_that_names_some_leads_is_believed() -> None:
    def call(batch: Sequence[Sent]) -> Answered:
        half = [Result(Verdict.CONFIRMED), Result(Verdict.REJECTED)]
        return Answered(tuple(half), 422)

    answered = run(leads(2), call)
    assert answered.calls == 1


class Scripted:
    """Answers its first calls by a script and all others well; ``seen`` is what it was sent."""

    def __init__(self, script: Sequence[str]) -> None:
        self.script = list(script)
        self.seen: list[tuple[str, set[int]]] = []

    def __call__(self, batch: Sequence[Sent]) -> Answered:
        kind = self.script[len(self.seen)] if len(self.seen) < len(self.script) else "good"
        self.seen.append((kind, {sent.lead_id for sent in batch}))
        result = {"403": Verdict.NOT_SENT, "429": Verdict.NOT_SENT, "422": Verdict.REJECTED}.get(
            kind, Verdict.UNKNOWN
        )
        trouble = {"403": Trouble.REFUSED, "429": Trouble.BUSY, "500": Trouble.SERVER}.get(
            kind, None if kind == "422" else Trouble.TRANSPORT
        )
        if kind == "good":
            return good(batch)
        status = None if kind == "lost" else int(kind)
        wait = 7.0 if kind == "429" else None
        return Answered(tuple(Result(result, kind) for _ in batch), status, trouble, kind, wait)


KINDS = ["403", "429", "500", "lost", "422", "good"]


@given(st.integers(2, 6), st.lists(st.sampled_from(KINDS), min_size=2, max_size=6))
def test_after_a_403_only_a_call_that_got_through_shows_that_a_lead_is_to_blame(
    size: int, kinds: list[str]
) -> None:
    api = Scripted(["403", *kinds])
    answered = run(leads(size), api)
    got_through = any(kind in ("422", "good") for kind, _ in api.seen)
    for number, result in enumerate(answered.results):
        mine = [kind for kind, ids in api.seen if number in ids]
        if result.verdict is Verdict.REJECTED:
            assert got_through
        if mine[-1] in ("500", "lost"):
            assert result.verdict is Verdict.UNKNOWN, "it may have been done"
        assert (result.verdict is Verdict.CONFIRMED) == (mine[-1] == "good")
    if not got_through:
        assert answered.trouble is Trouble.REFUSED
    if Verdict.UNKNOWN in {result.verdict for result in answered.results}:
        assert answered.trouble is not None


@given(st.integers(2, 9), st.lists(st.sampled_from(KINDS), min_size=1, max_size=12))
def test_no_call_follows_a_trouble_and_nobody_is_rejected_in_company(
    size: int, kinds: list[str]
) -> None:
    """Whoever was told to wait would else call once more, and what he was told be forgotten."""
    heard: list[Answered] = []
    api = Scripted(kinds)
    found = deliver(leads(size), api, deadline=1e9, pace=lambda _: True, note=heard.append)
    asked = [kind for kind, _ in api.seen]
    troubles = [kind for kind in asked if kind in ("429", "500", "lost")]
    assert troubles in ([], asked[-1:])
    told = [answer.detail for answer in heard if answer.trouble not in (None, Trouble.REFUSED)]
    assert [detail for detail in told if detail != "403"] == troubles
    for number, result in enumerate(found.results):
        if result.verdict is Verdict.REJECTED:
            assert [ids for _, ids in api.seen if number in ids][-1] == {number}


@pytest.mark.parametrize("first", [413, 422])
def test_a_part_that_gets_a_403_after_another_refusal_is_asked_about_in_parts_too(
    first: int,
) -> None:
    """A firewall may look into short bodies only; the batch would be the same each time."""
    api, inner = Api({5}, status=403), Api({0}, most=8 if first == 413 else 99)

    def call(batch: Sequence[Sent]) -> Answered:
        return (
            api(batch) if len(batch) <= 8 and api.bad & {s.lead_id for s in batch} else inner(batch)
        )

    heard: list[Answered] = []
    found = deliver(leads(16), call, deadline=1e9, pace=lambda _: True, note=heard.append)
    rejected = [n for n, one in enumerate(found.results) if one.verdict is not Verdict.CONFIRMED]
    assert (found.trouble, rejected) == (None, [0, 5])
    assert {one.trouble for one in heard} == {None}


@pytest.mark.parametrize(
    ("known", "verdict"), [(True, Verdict.REJECTED), (False, Verdict.NOT_SENT)]
)
def test_a_lead_that_alone_gets_a_403_is_to_blame_if_others_got_through_since(
    known: bool, verdict: Verdict
) -> None:
    heard: list[Answered] = []
    asked: list[int] = []

    def blames(sent: Sent) -> bool:
        asked.append(sent.lead_id)
        return known

    answered = deliver(
        leads(1),
        Scripted(["403"]),
        deadline=1e9,
        pace=lambda _: True,
        note=heard.append,
        blames=blames,
    )
    assert [result.verdict for result in answered.results] == [verdict]
    assert answered.trouble is (None if known else Trouble.REFUSED_ALONE)
    assert (heard, asked) == ([answered], [0])


class Doubts:
    """What a gate knows of leads. ``others``: whether others get through before each call."""

    def __init__(self, *, others: bool = True) -> None:
        self.others = others
        self.known: dict[int, None] = {}

    def blames(self, sent: Sent) -> bool:
        before = self.known.pop(sent.lead_id, sent) is None
        self.known[sent.lead_id] = None
        return before and self.others

    def suspects(self, batch: Sequence[Sent]) -> list[Sent]:
        by_lead = {sent.lead_id: sent for sent in batch}
        return [by_lead[lead] for lead in self.known if lead in by_lead]

    def deliver(self, batch: Sequence[Sent], api: Api) -> Answered:
        return deliver(
            batch,
            api,
            deadline=1e9,
            pace=lambda _: True,
            blames=self.blames,
            suspects=self.suspects,
        )


@pytest.mark.parametrize("bad", [{0, 3}, {0, 99}, {3, 60, 80}])
def test_leads_to_blame_in_both_halves_are_found_by_asking_smaller_parts(bad: set[int]) -> None:
    """Else the next batch would be the same, and so its answer, for good."""
    api = Api(bad, status=403)
    answered = Doubts().deliver(leads(max(bad) + 1), api)
    assert answered.trouble is None
    for number, result in enumerate(answered.results):
        assert result.verdict is (Verdict.REJECTED if number in bad else Verdict.CONFIRMED)
    assert answered.calls == len(api.batches)


@given(st.data(), st.integers(1, 12), st.booleans())
def test_those_who_are_not_to_blame_get_through_and_the_others_end(
    data: st.DataObject, size: int, others: bool
) -> None:
    """However many they are, since each time somebody else is asked; with nobody but those who are
    to blame, and no others, nothing shows that they are."""
    bad = data.draw(st.sets(st.integers(0, size - 1)))
    was_refused = data.draw(st.permutations(range(size)))  # all, by a right that is back since
    doubts, left, ends = Doubts(others=others), leads(size), dict[int, Verdict]()
    doubts.known = dict.fromkeys(was_refused[: data.draw(st.integers(0, size))])
    for _ in range(size + 1):
        if left:
            found = doubts.deliver(left, Api(bad, status=403)).results
            ends |= {s.lead_id: r.verdict for s, r in zip(left, found, strict=True)}
            left = [sent for sent in left if ends[sent.lead_id] is Verdict.NOT_SENT]
    rejected = {number for number, verdict in ends.items() if verdict is Verdict.REJECTED}
    if not others and len(bad) == size:
        assert (len(left), rejected) == (size, set())
    else:
        assert (left, rejected) == ([], bad)


def test_a_half_that_is_refused_wholly_keeps_no_other_half_from_being_asked() -> None:
    """The halves of a batch that is too large would be the same each time."""
    heard: list[Answered] = []
    doubts = Doubts(others=False)
    found = deliver(
        leads(8),
        Api({0, 1, 2, 3}, most=4, status=403),
        deadline=1e9,
        pace=lambda _: True,
        note=heard.append,
        blames=doubts.blames,
        suspects=doubts.suspects,
    )
    assert found.trouble is None
    assert [one.verdict is Verdict.CONFIRMED for one in found.results] == [
        *[False] * 4,
        *[True] * 4,
    ]
    assert Verdict.REJECTED not in {one.verdict for one in found.results}
    assert {one.trouble for one in heard} == {None}
    assert doubts.known, "they are asked about another time"


def test_who_cannot_be_asked_about_to_the_end_is_asked_about_in_other_parts_next_time() -> None:
    """A slow API leaves too few calls until the lease ends; its leads would wait for good."""
    left, doubts, random = leads(8), Doubts(others=False), Random(1)
    for _ in range(200):
        turns = iter([True] * 3)
        found = deliver(
            left,
            Api({0, 2, 4, 6}, status=403),
            deadline=1e9,
            pace=lambda _, turns=turns: next(turns, False),  # type: ignore[misc]
            blames=doubts.blames,
            suspects=doubts.suspects,
            shuffle=random.shuffle,
        )
        pairs = zip(left, found.results, strict=True)
        left = [sent for sent, result in pairs if result.verdict is Verdict.NOT_SENT]
    assert {sent.lead_id for sent in left} <= {0, 2, 4, 6}


def test_those_who_were_put_aside_are_asked_in_smaller_parts_too() -> None:
    """One of them may get through by now, such as an opt-out that goes alone."""
    doubts = Doubts(others=False)
    doubts.known = dict.fromkeys([0, 1])
    answered = doubts.deliver(leads(3), Api({1, 2}, status=403))
    assert [result.verdict is Verdict.CONFIRMED for result in answered.results] == [
        True,
        False,
        False,
    ]
    assert answered.trouble is None


def test_of_a_batch_of_suspects_only_who_is_refused_alone_ends() -> None:
    """The others may be refused for a right: each needs that somebody else gets through first."""
    doubts, heard, api = Doubts(), list[Answered](), Api(set(range(4)), status=403)
    doubts.known = dict.fromkeys(range(4))
    answered = deliver(
        leads(4),
        api,
        deadline=1e9,
        pace=lambda _: True,
        note=heard.append,
        blames=doubts.blames,
        suspects=doubts.suspects,
    )
    ended = [n for n, one in enumerate(answered.results) if one.verdict is Verdict.REJECTED]
    assert ended
    assert {one.verdict for one in answered.results} == {Verdict.REJECTED, Verdict.NOT_SENT}
    alone = {batch[0] for batch in api.batches if len(batch) == 1}
    assert set(ended) <= alone
    assert [one.trouble for one in heard] == [Trouble.REFUSED_ALONE]


def test_who_was_refused_before_anybody_got_through_is_asked_once_more() -> None:
    """The right may have come in between."""
    api = Scripted(["403", "403", "403", "403", "403", "403", *["good"] * 9])
    answered = run(leads(8), api)
    assert {one.verdict for one in answered.results} == {Verdict.CONFIRMED}


@given(st.integers(2, 200))
def test_a_token_that_is_refused_is_found_out_by_few_calls(size: int) -> None:
    api = Api(set(range(size)), status=403)
    heard: list[Answered] = []
    answered = deliver(leads(size), api, deadline=1e9, pace=lambda _: True, note=heard.append)
    assert (answered.trouble, answered.calls) == (Trouble.REFUSED, len(api.batches))
    assert answered.calls <= 1 + 2 * (size - 1).bit_length()
    assert {result.verdict for result in answered.results} == {Verdict.NOT_SENT}
    assert [one.trouble for one in heard] == [Trouble.REFUSED]


@pytest.mark.parametrize(
    ("script", "turns", "told"),
    [
        (["403"] * 5, 9, Trouble.REFUSED),
        (["403"], 0, Trouble.REFUSED_ALONE),  # the process is stopping, or the lease ends
        (["403"] * 3, 2, Trouble.REFUSED_ALONE),
        (["403", "429"], 9, Trouble.BUSY),
        (["403", "403", "429"], 9, Trouble.BUSY),
        (["403", "500"], 1, Trouble.SERVER),
        (["403", "403", "lost"], 9, Trouble.TRANSPORT),
    ],
)
def test_only_parts_that_were_all_refused_say_that_the_campaign_is(
    script: list[str], turns: int, told: Trouble
) -> None:
    heard: list[Answered] = []
    left = iter([True] * turns)
    api = Scripted(script)
    deliver(leads(3), api, deadline=1e9, pace=lambda _: next(left, False), note=heard.append)
    assert len(api.seen) == min(len(script), 1 + turns)
    assert [answer.trouble for answer in heard] == [told]
    if told is Trouble.BUSY:
        assert heard[0].retry_after_s == 7.0


def test_who_is_found_in_a_batch_to_be_to_blame_is_known_from_then_on() -> None:
    asked: list[int] = []

    def blames(sent: Sent) -> bool:
        asked.append(sent.lead_id)
        return False

    api = Api({3}, status=403)
    answered = deliver(leads(4), api, deadline=1e9, pace=lambda _: True, blames=blames)
    assert [result.verdict is Verdict.REJECTED for result in answered.results] == [
        *[False] * 3,
        True,
    ]
    assert asked == [3]
