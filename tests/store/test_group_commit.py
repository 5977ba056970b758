"""Group commit: who returns without an error is on disk, whoever else was in the group."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest

from bridge.errors import StoreBusy, StoreError
from bridge.store import deliveries, queues
from bridge.store.database import Database
from bridge.store.deliveries import NewDelivery
from bridge.store.group_commit import GroupCommit

from .rows import a_delivery
from .waiting import until


def put(group: GroupCommit[str], item: str) -> str:
    """What became of one item: ``kept``, or the name of the error."""
    try:
        group.put(item)
    except StoreError as error:
        return type(error).__name__
    return "kept"


class Disk:
    """Takes items; the first group waits until it is released, so that a queue forms behind it."""

    def __init__(self) -> None:
        self.kept: list[str] = []
        self.groups: list[list[str]] = []
        self.begun, self.go_on = threading.Event(), threading.Event()

    def commit(self, items: Sequence[str]) -> None:
        if not self.begun.is_set():
            self.begun.set()
            assert self.go_on.wait(10)
        self.groups.append(list(items))
        if "poison" in items:
            raise StoreError("one of these cannot be stored")
        if "locked" in items:
            raise StoreBusy("the database is locked")
        if "broken" in items:
            raise MemoryError
        self.kept += items


def together(disk: Disk, items: Sequence[str], group: GroupCommit[str] | None = None) -> list[str]:
    """Put a first item and, while it is being written, all these; what became of each of these."""
    group = group or GroupCommit(disk.commit)
    with ThreadPoolExecutor(len(items) + 1) as pool:
        first = pool.submit(put, group, "first")
        assert disk.begun.wait(10)
        others = []
        for number, item in enumerate(items, 1):
            others.append(pool.submit(put, group, item))
            until(lambda number=number: len(group._queue) == number)  # type: ignore[misc]
        disk.go_on.set()
        assert first.result(10) == "kept"
        return [other.result(10) for other in others]


def test_who_comes_while_the_disk_is_busy_shares_one_commit_in_order() -> None:
    disk = Disk()
    items = [f"i{n}" for n in range(8)]
    assert together(disk, items) == ["kept"] * 8
    assert disk.groups == [["first"], items]


def test_a_group_holds_no_more_than_it_may() -> None:
    disk = Disk()
    group = GroupCommit(disk.commit, most=3)
    assert together(disk, [f"i{n}" for n in range(7)], group) == ["kept"] * 7
    assert [len(group) for group in disk.groups] == [1, 3, 3, 1]


@pytest.mark.parametrize("bad", ["poison", "broken"])
def test_an_item_that_cannot_be_stored_does_not_hurt_its_neighbours(bad: str) -> None:
    disk = Disk()
    assert together(disk, ["a", bad, "b"]) == ["kept", "StoreError", "kept"]
    assert disk.kept == ["first", "a", "b"]


def test_a_busy_database_is_reported_to_all_without_a_try_for_each() -> None:
    disk = Disk()
    assert together(disk, ["a", "locked", "b"]) == ["StoreBusy"] * 3
    assert disk.groups == [["first"], ["a", "locked", "b"]]


def test_who_waits_for_too_long_is_told_so_and_is_not_stored() -> None:
    disk = Disk()
    group = GroupCommit(disk.commit, wait_s=0.2)
    with ThreadPoolExecutor(9) as pool:
        first = pool.submit(put, group, "first")
        assert disk.begun.wait(10)
        begun = time.monotonic()
        others = [pool.submit(put, group, f"i{n}") for n in range(8)]
        assert [other.result(10) for other in others] == ["StoreBusy"] * 8
        assert 0.15 < time.monotonic() - begun < 5
        assert not first.done()  # its commit has begun, and only that knows how it ends
        disk.go_on.set()
        assert first.result(10) == "kept"
    assert disk.kept == ["first"]
    assert put(group, "later") == "kept"


@pytest.mark.parametrize("end", ["kept", "StoreBusy"])
def test_who_is_being_written_when_the_time_is_up_gets_the_result_of_that(end: str) -> None:
    disk = Disk()
    second, noticed = threading.Event(), threading.Event()

    class Impatient(threading.Event):
        """The time is up as soon as the second group is being written."""

        def wait(self, timeout: float | None = None) -> bool:
            if timeout is None:
                return super().wait(10)
            until(lambda: self.is_set() or second.is_set())
            if not self.is_set():
                noticed.set()
            return self.is_set()

    def commit(items: Sequence[str]) -> None:
        if disk.groups:
            second.set()
            assert noticed.wait(10)
        disk.commit(items)

    group = GroupCommit(commit, waiting=Impatient)
    last = "b" if end == "kept" else "locked"
    assert together(disk, ["a", last], group) == [end] * 2
    assert disk.kept == (["first", "a", "b"] if end == "kept" else ["first"])


@pytest.mark.parametrize(
    ("items", "slow"),
    [
        pytest.param(["a", "b"], "first", id="before its group"),
        pytest.param(["a", "poison", "b"], "poison", id="before it is written by itself"),
    ],
)
def test_who_has_not_noticed_yet_that_the_time_is_up_is_told_so_and_is_not_stored(
    items: list[str], slow: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk, clock = Disk(), SimpleNamespace(now=0.0, sleep=time.sleep)
    clock.monotonic = lambda: clock.now
    monkeypatch.setattr("bridge.store.group_commit.time", clock)

    def commit(some: Sequence[str]) -> None:
        try:
            disk.commit(some)
        finally:
            if slow in some:
                clock.now += 60

    group = GroupCommit(commit)
    assert together(disk, items, group) == ["StoreBusy"] * len(items)
    assert disk.kept == ["first"]


def test_who_is_woken_finds_how_it_ended_however_soon_he_looks() -> None:
    disk, left = Disk(), threading.Event()

    class Hasty(threading.Event):
        """Who waits goes on before whoever wakes him does anything more."""

        def __init__(self) -> None:
            super().__init__()
            self.waits = threading.get_ident()

        def set(self) -> None:
            super().set()
            if threading.get_ident() != self.waits:
                left.wait(10)

    group = GroupCommit(disk.commit, waiting=Hasty)

    def end(item: str) -> str:
        try:
            return put(group, item)
        finally:
            left.set()

    with ThreadPoolExecutor(3) as pool:
        first = pool.submit(put, group, "first")
        assert disk.begun.wait(10)
        others = []
        for number, item in enumerate(("a", "locked"), 1):
            others.append(pool.submit(end, item))
            until(lambda number=number: len(group._queue) == number)  # type: ignore[misc]
        disk.go_on.set()
        assert first.result(20) == "kept"
        assert [other.result(20) for other in others] == ["StoreBusy"] * 2


@pytest.mark.parametrize("blow", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_a_blow_that_ends_a_commit_answers_all_and_goes_on(blow: type[BaseException]) -> None:
    disk = Disk()

    def commit(items: Sequence[str]) -> None:
        disk.commit(items)
        if items != ["first"]:
            raise blow

    group = GroupCommit(commit)

    def end(item: str) -> str:
        try:
            return put(group, item)
        except BaseException as error:  # noqa: BLE001 - that it comes through is the promise
            return type(error).__name__

    with ThreadPoolExecutor(4) as pool:
        first = pool.submit(end, "first")
        assert disk.begun.wait(10)
        others = [pool.submit(end, item) for item in ("a", "b", "c")]
        until(lambda: len(group._queue) == 3)
        disk.go_on.set()
        assert first.result(10) == "kept"
        ends = sorted(other.result(10) for other in others)
    assert ends == sorted([blow.__name__, "StoreError", "StoreError"])


def test_all_that_many_threads_put_is_in_the_database(database: Database) -> None:
    def commit(rows: Sequence[NewDelivery]) -> None:
        with database.write() as connection:
            deliveries.add(connection, rows)

    group = GroupCommit(commit, most=16)
    rows = [a_delivery() for _ in range(200)]
    with ThreadPoolExecutor(20) as pool:
        list(pool.map(group.put, rows))
    with database.read() as connection:
        stored = deliveries.next_stored(connection, ["hubspot"], 1_000)
    assert sorted(row.receipt for row in stored) == sorted(row.receipt for row in rows)


def test_a_row_that_the_database_refuses_leaves_the_others_stored(database: Database) -> None:
    def commit(rows: Sequence[NewDelivery]) -> None:
        with database.write() as connection:
            deliveries.add(connection, rows)

    twice = a_delivery()
    commit([twice])
    group = GroupCommit(commit)
    rows = [a_delivery() for _ in range(10)]

    def store(row: NewDelivery) -> str:
        try:
            group.put(row)
        except StoreError as error:
            return type(error).__name__
        return "kept"

    with ThreadPoolExecutor(11) as pool:
        ends = list(pool.map(store, [*rows[:5], twice, *rows[5:]]))
    assert ends == ["kept"] * 5 + ["StoreError"] + ["kept"] * 5
    with database.read() as connection:
        assert queues.deliveries_by_source(connection)["hubspot"].count == 11
