"""An id without a row is never taken as done, nor as unknown before a reply showed it."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bridge.errors import LookupFailed
from bridge.model import Found, Wanted

from .conftest import Desk, contact_lookup
from .crm import Crm, says

ARCHIVED = {"archived": "true"}


def test_a_merged_contact_gets_its_survivors_record(crm: Crm, desk: Desk) -> None:
    crm.add("1", "9")
    crm.merged = {"2": "9"}
    assert desk.found("1", "2").records == (crm.contacts["1"], crm.contacts["9"])
    assert len(crm.calls) == 1


def test_several_merged_contacts_each_get_their_own_survivor(crm: Crm, desk: Desk) -> None:
    crm.add("1", "7", "8", "9")
    crm.merged = {"2": "7", "3": "8", "4": "9"}
    found = desk.found("1", "2", "3", "4", "5")
    assert found.records == tuple(crm.contacts[one] for one in ("1", "7", "8", "9"))
    assert found.missing == ("5",)


def test_a_contact_merged_into_one_of_the_same_call_gets_its_record(crm: Crm, desk: Desk) -> None:
    crm.add("1")
    crm.merged = {"2": "1"}
    assert desk.found("1", "2").records == (crm.contacts["1"],) * 2
    assert crm.calls == [["1", "2"], ["2"]]


def test_two_contacts_merged_into_the_same_one_both_get_its_record(crm: Crm, desk: Desk) -> None:
    crm.add("9")
    crm.merged = {"1": "9", "2": "9"}
    assert desk.found("1", "2", "3") == Found((crm.contacts["9"],) * 2, ("3",))


def test_a_deleted_contact_is_found_by_the_second_try(
    crm: Crm, opened: Callable[..., Desk]
) -> None:
    desk = opened(deleted_query=ARCHIVED)
    crm.add("1")
    crm.archived["2"] = {"phone": "+14155550002"}
    assert desk.found("1", "2", "3") == Found((crm.contacts["1"], crm.archived["2"]), ("3",))
    assert [one.archived for one in crm.asked] == [False, False, True, True]
    assert crm.asked[2].ids == ["2", "3"]


def test_the_second_try_keeps_the_query_of_the_declared_address(
    crm: Crm, opened: Callable[..., Desk]
) -> None:
    desk = opened(url=f"{crm.url}?hapikey=1", deleted_query=ARCHIVED)
    desk.found("1")
    assert [one.query for one in crm.asked] == [
        {"hapikey": ["1"]},
        {"hapikey": ["1"], "archived": ["true"]},
    ]


def test_without_a_second_try_a_contact_without_a_row_is_missing(crm: Crm, desk: Desk) -> None:
    assert desk.found("1") == Found((), ("1",))
    assert len(crm.calls) == 1


def test_the_second_try_that_fails_leaves_the_contact_open(
    crm: Crm, opened: Callable[..., Desk]
) -> None:
    desk = opened(deleted_query=ARCHIVED)
    crm.script += [says(200, {"results": []}), says(503)]
    assert "503" in str(desk.failure("1"))


def test_one_id_with_several_foreign_rows_is_not_guessed(crm: Crm, desk: Desk) -> None:
    rows = [{"id": one, "properties": {"n": one}} for one in ("8", "9")]
    crm.always = says(200, {"results": rows})
    assert "several rows" in str(desk.failure("1"))


def test_a_hundred_merged_contacts_are_settled_over_several_bounded_rounds(
    crm: Crm, desk: Desk
) -> None:
    ids = [str(1000 + n) for n in range(100)]
    crm.merged = {one: f"9{one}" for one in ids}
    crm.add(*crm.merged.values())
    open_ids = ids
    for _ in range(8):
        before = len(crm.calls)
        answers = desk.resolve(*(Wanted("contact", "1", (one,)) for one in open_ids))
        assert len(crm.calls) - before <= 60
        for one, answer in zip(open_ids, answers, strict=True):
            if isinstance(answer, LookupFailed):
                assert answer.retry_after_s == 1
            else:
                assert answer == Found((crm.contacts[crm.merged[one]],))
        open_ids = [
            one
            for one, answer in zip(open_ids, answers, strict=True)
            if isinstance(answer, LookupFailed)
        ]
        desk.clock.time += 1
    assert open_ids == []


def test_one_bad_id_among_a_hundred_does_not_block_the_others(crm: Crm, desk: Desk) -> None:
    ids = [str(1000 + n) for n in range(100)]
    crm.add(*ids)
    crm.bad = {ids[37]}
    found = desk.found(*ids)
    assert found.missing == (ids[37],)
    assert len(found.records) == 99
    assert len(crm.calls) <= 15


def test_a_bad_id_that_stands_alone_is_missing_when_a_good_one_is_still_taken(
    crm: Crm, desk: Desk
) -> None:
    crm.add("1")
    crm.bad = {"x"}
    desk.found("1")
    assert desk.found("x") == Found((), ("x",))
    assert crm.calls == [["1"], ["x"], ["1"]]


def test_a_request_that_is_wrong_as_such_makes_no_contact_unknown(crm: Crm, desk: Desk) -> None:
    crm.add("1", "2", "3")
    desk.found("1")
    crm.always = says(400)
    failure = desk.failure("2", "3")
    assert "body" in str(failure)
    assert failure.retry_after_s == 60
    crm.always = None
    assert desk.found("2", "3").missing == ()


def test_a_second_try_that_is_wrong_as_such_makes_no_contact_unknown(
    crm: Crm, opened: Callable[..., Desk]
) -> None:
    desk = opened(deleted_query={"archived": "maybe"})
    crm.add("1")
    desk.found("1")
    crm.script += [says(200, {"results": []}), says(400), says(400)]
    assert "deleted" in str(desk.failure("2"))
    assert crm.calls == [["1"], ["2"], ["2"], ["1"]]


@st.composite
def people(draw: st.DrawFn) -> tuple[set[str], set[str], dict[str, str], set[str], list[list[str]]]:
    """Live, deleted, merged and malformed ids, and what events want of them."""
    names = [str(n) for n in range(1, 25)]
    kinds = draw(st.lists(st.sampled_from("ldmbn"), min_size=24, max_size=24))
    of = {k: [n for n, kind in zip(names, kinds, strict=True) if kind == k] for k in "ldmbn"}
    live = [*of["l"], "100"]
    merged = {one: draw(st.sampled_from(live)) for one in of["m"]}
    wanted = draw(st.lists(st.lists(st.sampled_from(names), max_size=12), max_size=8))
    return set(live), set(of["d"]), merged, set(of["b"]), wanted


@given(people(), st.booleans(), st.integers(1, 30))
@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_every_id_gets_exactly_its_own_record_or_is_missing(
    crm: Crm,
    desk: Desk,
    world: tuple[set[str], set[str], dict[str, str], set[str], list[list[str]]],
    once: bool,
    size: int,
) -> None:
    live, deleted, merged, bad, wanted = world
    crm.contacts = {one: {"who": one} for one in live}
    crm.archived = {one: {"who": f"deleted {one}"} for one in deleted}
    crm.merged, crm.bad, crm.once_per_record = merged, bad, once
    desk.clock.time += 3600
    lookup = contact_lookup(crm.url, deleted_query=ARCHIVED, size=size)
    desk.lookups.replace({"contact": lookup})
    desk.found("100")
    truth = crm.contacts | crm.archived | {one: crm.contacts[to] for one, to in merged.items()}
    answers = desk.resolve(*(Wanted("contact", "1", tuple(ids)) for ids in wanted))
    for ids, answer in zip(wanted, answers, strict=True):
        distinct = list(dict.fromkeys(ids))
        assert answer == Found(
            tuple(truth[one] for one in distinct if one in truth),
            tuple(one for one in distinct if one not in truth),
        )
