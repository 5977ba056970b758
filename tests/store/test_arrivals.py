"""Campaigns that come together owe one another nothing, whoever greets them and when."""

from __future__ import annotations

from collections.abc import Collection

from bridge.store import arrivals
from bridge.store.database import Database

NOW = 1_700_000_000_000


def note(
    database: Database, there: Collection[str], now: int, ready: Collection[str] | None = None
) -> dict[str, set[str]]:
    """What each campaign has to take over, as a worker with this file sees it."""
    with database.write() as connection:
        found = arrivals.note(connection, there, there if ready is None else ready, now)
    return {name: arrivals.earlier(found, name) for name in there}


def test_those_that_come_together_owe_nothing_whichever_worker_looks(database: Database) -> None:
    nothing: dict[str, set[str]] = {"one": set(), "two": set()}
    assert note(database, ["one", "two"], NOW) == nothing
    assert note(database, ["one", "two"], NOW + 5000) == nothing


def test_one_that_comes_later_takes_over_from_all_before_it(database: Database) -> None:
    note(database, ["one", "two"], NOW)
    both = {"one", "two"}
    expected = {"one": set(), "two": set(), "three": both, "four": both}
    assert note(database, list(expected), NOW) == expected  # also within the same millisecond
    assert note(database, list(expected), NOW + 5) == expected


def test_one_that_was_away_comes_anew(database: Database) -> None:
    note(database, ["one", "two"], NOW)
    note(database, ["two"], NOW + 1)
    assert note(database, ["one", "two"], NOW + 2) == {"one": {"two"}, "two": set()}


def test_one_without_its_settings_has_not_come_yet_and_is_not_gone(database: Database) -> None:
    note(database, ["one", "two"], NOW, ready=["one"])
    assert note(database, ["one", "two"], NOW + 1) == {"one": set(), "two": {"one"}}
    assert note(database, ["one", "two"], NOW + 2, ready=["one"])["two"] == {"one"}


def test_nothing_is_written_where_nothing_is_new(database: Database) -> None:
    note(database, ["one", "two"], NOW)
    with database.read() as connection:
        found = arrivals.arrivals(connection)
    assert not arrivals.news(found, ["one", "two"], ["one"])
    assert arrivals.news(found, ["one", "two", "three"], ["one", "three"])
    assert arrivals.news(found, ["one"], ["one"])
