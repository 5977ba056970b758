"""Records that were fetched a moment ago: no more of them, and for no longer, than is of use."""

from __future__ import annotations

from bridge.enrich.cache import Cache, Kept


def kept(until: float, name: str = "") -> Kept:
    return Kept({"name": name}, until)


def test_a_record_is_there_until_it_is_too_old() -> None:
    cache = Cache(10)
    cache.put("a", kept(5.0, "Jo"), 0.0)
    assert cache.get("a", 4.9) == kept(5.0, "Jo")
    assert cache.get("a", 5.0) is None
    assert cache.get("b", 0.0) is None


def test_what_is_too_old_is_not_held_though_nobody_asks_for_it() -> None:
    cache = Cache(1000)
    for number in range(100):
        cache.put(number, kept(number + 5.0), float(number))
    assert len(cache) == 5
    cache.get("another", 200.0)
    assert len(cache) == 0


def test_records_that_last_long_keep_no_others_there() -> None:
    cache = Cache(1000)
    cache.put("long", kept(1e9), 0.0)
    for number in range(100):
        cache.put(number, kept(number + 2.0), float(number))
    assert len(cache) == 3
    assert cache.get("long", 100.0) == kept(1e9)


def test_a_record_that_is_fetched_again_lasts_anew() -> None:
    cache = Cache(10)
    cache.put("a", kept(5.0, "Jo"), 0.0)
    cache.put("a", kept(8.0, "Joe"), 3.0)
    assert cache.get("a", 6.0) == kept(8.0, "Joe")
    assert cache.get("a", 8.0) is None


def test_the_one_that_was_not_asked_for_longest_makes_room() -> None:
    cache = Cache(3)
    for name in "abc":
        cache.put(name, kept(100.0, name), 0.0)
    cache.get("a", 1.0)
    cache.put("d", kept(100.0, "d"), 2.0)
    assert [cache.get(name, 3.0) is not None for name in "abcd"] == [True, False, True, True]


def test_what_made_room_leaves_nothing_behind() -> None:
    cache = Cache(4)
    for number in range(1000):
        cache.put(number, kept(1e9), 0.0)
    assert len(cache) == 4
    assert len(cache._ends) <= 9
    assert [number for number in range(1000) if cache.get(number, 1.0)] == [996, 997, 998, 999]
    assert cache.get(999, 1e9) is None
    assert len(cache) == 0
