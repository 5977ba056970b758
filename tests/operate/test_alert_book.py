"""What a channel is told and when: grouped, repeated with restraint, over; nothing lost."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.operate.alerts.book import Item, Policy, Turn, due, look, told
from bridge.operate.concern import Concern, Kind
from bridge.store.alerts import Entry, Key

S = 1000
POLICY = Policy(wait=30 * S, pause=300 * S, repeat=(3600 * S, 14_400 * S), clear=120 * S)
START = 1_800_000_000_000

SILENT = Concern(Kind.SOURCE_SILENT, "hubspot is silent", "hubspot")
DISK = Concern(Kind.DISK_LOW, "the disk is almost full", "host")
LATE = Concern(Kind.OPT_OUT_LATE, "an opt-out waits", urgent=True)
DEAD = Concern(Kind.DEAD_LETTERS, "1 dead letter", urgent=True)


class Book:
    """A channel that takes everything, looked after every ten seconds."""

    def __init__(self, policy: Policy = POLICY) -> None:
        self.policy = policy
        self.entries: dict[Key, Entry] = {}
        self.now = START
        self.sent_at = 0
        self.takes = True
        self.messages: list[tuple[int, list[tuple[Turn, str]]]] = []

    def run(self, seconds: int, *concerns: Concern) -> list[list[tuple[Turn, str]]]:
        """So long these are not well; what was told meanwhile."""
        before = len(self.messages)
        for _ in range(seconds // 10):
            self.look(concerns)
        return [items for _, items in self.messages[before:]]

    def look(self, concerns: Iterable[Concern]) -> None:
        self.entries = look(self.entries, concerns, self.now, self.policy)
        items = due(self.entries, self.now, self.policy, sent_at=self.sent_at)
        if items and self.takes:
            self.messages.append((self.now, [shown(item) for item in items]))
            self.entries = told(self.entries, items, self.now)
            self.sent_at = self.now
        self.now += 10 * S


def shown(item: Item) -> tuple[Turn, str]:
    return item.turn, item.entry.kind


def new(*concerns: Concern) -> list[tuple[Turn, str]]:
    return [(Turn.NEW, one.kind.value) for one in concerns]


def over(*concerns: Concern) -> list[tuple[Turn, str]]:
    return [(Turn.OVER, one.kind.value) for one in concerns]


def test_what_comes_within_a_window_is_told_in_one_message_the_urgent_first() -> None:
    book = Book()
    assert book.run(20, SILENT) == []
    assert book.run(20, SILENT, DISK, LATE) == [new(LATE, SILENT, DISK)]


def test_what_is_over_before_it_was_due_is_not_told() -> None:
    book = Book()
    assert book.run(20, LATE) == []
    assert book.run(600) == []
    assert book.entries == {}


def test_what_has_happened_is_told_however_short_a_time_it_shows() -> None:
    book = Book()
    assert book.run(10, DEAD) == []
    assert book.run(600) == [over(DEAD)]


def test_the_end_is_told_once_all_has_been_well_for_a_while() -> None:
    book = Book()
    assert book.run(40, SILENT) == [new(SILENT)]
    assert book.run(110) == []
    assert book.run(30, SILENT) == [], "it was not over"
    assert book.run(600) == [over(SILENT)]
    assert book.run(7200) == []
    assert book.run(40, SILENT) == [new(SILENT)], "and begins anew"


def test_what_comes_and_goes_all_the_time_is_told_once() -> None:
    book = Book()
    for _ in range(80):
        book.run(20, LATE)
        book.run(20)
    assert [items for _, items in book.messages] == [new(LATE)]


def test_what_lasts_is_told_again_after_growing_pauses() -> None:
    book = Book()
    book.run(100_000, SILENT)
    times = [(at - START) // S for at, _ in book.messages]
    assert times == [30, 3630, 18_030, 32_430, 46_830, 61_230, 75_630, 90_030]
    assert [items for _, items in book.messages[1:]] == [[(Turn.LASTS, SILENT.kind)]] * 7


def test_what_gets_worse_does_not_wait_longer_and_longer() -> None:
    book = Book()
    for size in range(1, 9000):
        book.run(10, Concern(Kind.DEAD_LETTERS, "dead letters", size=size))
    gaps = {b - a for (a, _), (b, _) in pairwise(book.messages)}
    assert gaps == {3600 * S}


def test_what_becomes_urgent_is_told_at_once_and_once() -> None:
    slow = Concern(Kind.LOOK_UPS_LATE, "events wait", "hubspot", size=9)
    opt_out = Concern(Kind.LOOK_UPS_LATE, "what may be an opt-out waits", "hubspot", urgent=True)
    book = Book()
    assert book.run(200, slow) == [new(slow)]
    assert book.run(50, opt_out) == [new(opt_out)]
    for _ in range(8):
        assert book.run(200, slow) == []
        assert book.run(200, opt_out) == []
    assert book.run(600) == [over(slow)]


def test_never_again_is_a_policy_too() -> None:
    book = Book(Policy(repeat=()))
    book.run(1_000_000, SILENT)
    assert [items for _, items in book.messages] == [new(SILENT)]


def test_messages_keep_apart_but_for_what_is_new_and_urgent() -> None:
    book = Book()
    assert book.run(40, SILENT) == [new(SILENT)]
    assert book.run(200, SILENT, DISK) == []
    assert book.run(40, SILENT, DISK, LATE) == [new(LATE, DISK)]
    assert book.messages[-1][0] - book.messages[0][0] == (200 + 40) * S


def test_what_could_not_be_told_while_it_lasted_is_told_afterwards() -> None:
    book = Book()
    book.takes = False
    assert book.run(600, LATE) == []
    assert book.run(600) == []
    book.takes = True
    assert book.run(10) == [over(LATE)]
    assert book.entries == {}


def test_since_and_first_sight_stay_while_words_and_size_follow() -> None:
    early = Concern(Kind.OPT_OUT_LATE, "1 waits", since=START - 5, size=1)
    later = Concern(Kind.OPT_OUT_LATE, "2 wait", since=START + 5, size=2)
    entries = look(look({}, [early], START, POLICY), [later], START + 10, POLICY)
    [entry] = entries.values()
    assert (entry.text, entry.size, entry.since, entry.first_at) == (
        "2 wait",
        2,
        START - 5,
        START,
    )


CONCERNS = (SILENT, DISK, LATE, DEAD)
RUNS = st.lists(
    st.tuples(st.sets(st.sampled_from(CONCERNS)), st.booleans(), st.integers(1, 40)), max_size=30
)


@settings(max_examples=200, deadline=None)
@given(RUNS)
def test_whatever_comes_and_goes_each_start_is_told_before_its_end_and_nothing_stays(
    runs: list[tuple[set[Concern], bool, int]],
) -> None:
    book = Book()
    lasted: set[str] = set()
    for shown_now, takes, looks in runs:
        book.takes = takes
        book.run(looks * 10, *shown_now)
        # four looks are as long as the wait
        lasted |= {one.kind.value for one in shown_now if looks >= 4 or one is DEAD}
    book.takes = True
    book.run(1000)
    assert book.entries == {}, "all that was told is known to be over"
    every = [(turn, kind) for _, items in book.messages for turn, kind in items]
    assert lasted <= {kind for _, kind in every}
    for one in CONCERNS:
        turns = [turn for turn, kind in every if kind == one.kind.value]
        assert Turn.LASTS not in turns[:1]
        for before, after in pairwise(turns):
            assert (before, after) != (Turn.NEW, Turn.NEW)
            assert (before, after) != (Turn.OVER, Turn.LASTS)
    for (a, _), (b, items) in pairwise(book.messages):
        urgent = any(turn is Turn.NEW and kind in (LATE.kind, DEAD.kind) for turn, kind in items)
        assert urgent or b - a >= POLICY.pause
