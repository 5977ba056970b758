"""Right of way: a worker stands back while webhooks come in quickly, and no longer than that."""

from __future__ import annotations

import struct
import threading
import time
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import pytest

from bridge.store.right_of_way import (
    CLAIMED_S,
    FLOOD_S,
    FRESH_S,
    LONGEST_REST_S,
    LOOK_AGAIN_S,
    MANY,
    MOST_REST_S,
    QUIET_S,
    Patience,
    RightOfWay,
    mark_of,
)

LEAST_S, MOST_S = FRESH_S


class World:
    """A database's folder and a clock; whoever sleeps moves it on, and lets ``meanwhile`` run."""

    def __init__(self, folder: Path) -> None:
        self.mark = mark_of(folder / "bridge.db")
        self.now = 1000.0
        self.spent = 0.0
        self.meanwhile: Callable[[], None] = lambda: None
        self.web = self.way(1.0)

    def way(self, share: float) -> RightOfWay:
        return RightOfWay(
            self.mark, share, clock=lambda: self.now, sleep=self.sleep, spent=lambda: self.spent
        )

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.meanwhile()

    def write(self, deliveries: int = MANY, seconds: float = 0.0) -> None:
        with self.web.claim(deliveries):
            self.now += seconds

    def flood(self) -> None:
        """Webhooks have come in quickly for a while."""
        for _ in range(10):
            self.write()
            self.now += FLOOD_S / 9
        self.write()

    def stands_back(self, way: RightOfWay) -> float:
        """For how long it does."""
        began = self.now
        way.give_way()
        return self.now - began


def test_a_worker_stands_back_until_the_mark_fades(tmp_path: Path) -> None:
    world = World(tmp_path)
    worker = world.way(0.01)
    world.flood()
    worker.held(1.0)
    assert worker.flood
    assert worker.owed
    lasts = 2 * FLOOD_S / 9
    assert world.stands_back(worker) == pytest.approx(lasts, abs=0.001)
    assert not worker.owed
    assert not worker.flood


def test_what_may_become_a_flood_is_seen_from_its_first_mark_on(tmp_path: Path) -> None:
    world = World(tmp_path)
    worker = world.way(0.01)
    world.write(MANY - 1)
    assert not worker.marked
    world.write()
    assert worker.marked
    assert not worker.flood
    world.now += MOST_S
    assert not worker.marked


def test_nobody_stands_back_for_what_comes_in_quickly_but_is_few(tmp_path: Path) -> None:
    world = World(tmp_path)
    worker = world.way(0.01)
    for _ in range(5):
        for _ in range(4):
            world.write()
            world.now += FLOOD_S / 9
        worker.held(1.0)
        assert not worker.owed
        world.now += MOST_S  # the mark fades, and the next flood begins anew


def test_a_mark_lasts_for_as_long_as_the_next_one_may_take(tmp_path: Path) -> None:
    world = World(tmp_path)
    worker = world.way(0.01)
    for between, lasts in ((0.01, 0.02), (0.0001, LEAST_S), (0.04, MOST_S)):
        world.flood()
        world.now += between
        world.write(seconds=0.2)  # however long the writing takes
        worker.held(1.0)
        assert abs(world.stands_back(worker) - lasts) < 0.001


def test_what_waits_for_the_lock_has_the_right_of_way_however_long_that_takes(
    tmp_path: Path,
) -> None:
    world = World(tmp_path)
    worker = world.way(0.01)
    world.flood()
    world.write()  # so quickly that the mark would last for the least time
    with world.web.claim(MANY):
        world.now += 10 * LEAST_S  # another thread of the worker has the lock
        worker.held(10 * LEAST_S)
        assert not worker.quiet()
        assert CLAIMED_S - 11 * LEAST_S <= world.stands_back(worker) < CLAIMED_S
    worker.held(1.0)
    assert abs(world.stands_back(worker) - LEAST_S) < 0.001  # as ever, once it is written


def test_who_goes_on_writing_keeps_a_worker_waiting_for_its_share(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.flood()
    world.meanwhile = world.write
    worker = world.way(0.2)
    worker.held(0.05)
    assert world.stands_back(worker) == pytest.approx(0.2, abs=0.001)


def test_what_a_worker_costs_the_processor_counts_as_well(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.flood()
    world.meanwhile = world.write
    worker = world.way(0.2)
    world.spent += 0.05
    worker.held(0.02)
    assert world.stands_back(worker) == pytest.approx(0.2, abs=0.001)
    worker.held(0.02)  # nothing more was spent
    assert world.stands_back(worker) == pytest.approx(0.08, abs=0.001)


def test_what_two_threads_owe_is_owed_together(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.flood()
    world.meanwhile = world.write
    worker = world.way(0.2)
    worker.held(0.03)
    worker.held(0.02)
    assert world.stands_back(worker) == pytest.approx(0.2, abs=0.001)


def test_a_long_rest_has_breaks_to_look_for_what_is_urgent(tmp_path: Path) -> None:
    world = World(tmp_path)
    worker = world.way(0.01)
    assert list(worker.rests(Patience())) == [False], "nobody comes"
    world.flood()
    world.meanwhile = world.write
    worker.held(1.0)
    began = world.now
    looks = [(more, round(world.now - began, 2)) for more in worker.rests(Patience())]
    breaks = round(MOST_REST_S / LOOK_AGAIN_S)
    assert looks == [(n < breaks, round(n * LOOK_AGAIN_S, 2)) for n in range(1, breaks + 1)]


def test_a_rest_ends_however_much_others_come_to_owe_meanwhile(tmp_path: Path) -> None:
    world = World(tmp_path)
    worker = world.way(0.01)
    world.flood()

    def meanwhile() -> None:
        world.write()
        worker.held(1.0)

    world.meanwhile = meanwhile
    worker.held(1.0)
    began = world.now
    *more, last = islice(worker.rests(Patience()), 100)  # no more, lest the test never end
    assert all(more)
    assert not last
    assert worker.owed
    assert world.now - began == pytest.approx(LONGEST_REST_S, abs=0.01)


def test_what_is_urgent_ends_a_rest_but_does_not_put_everything_else_off(tmp_path: Path) -> None:
    world = World(tmp_path)
    worker = world.way(0.01)
    world.flood()
    world.meanwhile = world.write
    patience = Patience()
    began = world.now
    while True:
        worker.held(1.0)
        if not next(worker.rests(patience)):  # what was urgent was done at the first break
            break
        assert world.now - began < LONGEST_REST_S
    assert worker.owed
    assert world.now - began == pytest.approx(LONGEST_REST_S, abs=0.01)
    assert list(worker.rests(patience)) == [False], "nothing else has had a turn yet"
    patience.over()
    assert next(worker.rests(patience)), "a rest of its own"


def test_one_thread_looks_for_all_that_stand_back(tmp_path: Path) -> None:
    """Else eight of them owed more for looking than for their work."""
    looking, most = 0, 0

    def sleep(seconds: float) -> None:
        nonlocal looking, most
        looking += 1
        most = max(most, looking)
        time.sleep(seconds)
        looking -= 1

    mark = tmp_path / "mark"
    worker = RightOfWay(mark, 0.01, sleep=sleep)
    now = time.monotonic()
    mark.write_bytes(struct.pack("qq", int((now - 1) * 1e9), int((now + CLAIMED_S) * 1e9)))
    worker.held(1.0)
    threads = [threading.Thread(target=worker.give_way) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert most <= 1
    assert not any(thread.is_alive() for thread in threads)


def test_after_a_long_transaction_a_worker_waits_no_longer_than_others_are_patient(
    tmp_path: Path,
) -> None:
    world = World(tmp_path)
    world.flood()
    world.meanwhile = world.write
    worker = world.way(0.2)
    worker.held(2.0)
    assert world.stands_back(worker) == pytest.approx(MOST_REST_S, abs=0.001)


def test_what_comes_alone_keeps_nobody_waiting(tmp_path: Path) -> None:
    world = World(tmp_path)
    worker = world.way(0.01)
    for deliveries in (0, 1, MANY - 1):
        for _ in range(20):
            world.write(deliveries)
            world.now += FLOOD_S / 9
        worker.held(1.0)
        assert world.stands_back(worker) == 0.0


def test_who_has_had_nothing_and_who_never_stands_back_go_on(tmp_path: Path) -> None:
    world = World(tmp_path)
    proud = world.way(1.0)
    world.flood()
    proud.held(1.0)
    assert world.stands_back(proud) == 0.0
    assert world.stands_back(world.way(0.01)) == 0.0


def test_two_web_processes_keep_up_one_flood(tmp_path: Path) -> None:
    """Also one that has few of the webhooks, whose own marks fade in between."""
    world = World(tmp_path)
    seldom = world.way(1.0)
    world.flood()
    worker = world.way(0.01)
    assert worker.flood
    with seldom.claim(MANY):
        assert worker.flood
    assert worker.flood
    world.write()
    assert worker.flood


def test_webhooks_that_come_as_a_mark_fades_belong_to_the_flood(tmp_path: Path) -> None:
    world = World(tmp_path)
    worker = world.way(0.01)
    world.flood()
    for _ in range(100):
        world.now += LEAST_S
        world.write()
        world.now += 2 * LEAST_S  # twice as long as the one before was ago
        world.write()
        assert worker.flood


def test_a_flood_begins_anew_where_another_clock_left_a_mark(tmp_path: Path) -> None:
    world = World(tmp_path)
    worker = world.way(0.01)
    world.mark.write_bytes(struct.pack("qq", 2**62, 2**62))
    world.write()
    assert not worker.flood
    world.flood()
    assert worker.flood


def test_a_mark_by_another_clock_and_one_of_another_version_say_nothing(tmp_path: Path) -> None:
    world = World(tmp_path)
    there = int(world.now * 1e9)
    for mark in (
        *(struct.pack("qq", until, until) for until in (2**62, -(2**62), 0)),
        *(struct.pack("qq", 0, until) for until in (2**62, -(2**62), 0)),
        struct.pack("q", there + 1_000_000),
        b"",
    ):
        world.mark.write_bytes(mark)
        worker = world.way(0.01)
        worker.held(1.0)
        assert world.stands_back(worker) == 0.0
    world.mark.write_bytes(struct.pack("qq", 0, there + 1_000_000))
    assert world.stands_back(worker) > 0.0


def test_where_there_can_be_no_mark_nobody_gives_way(tmp_path: Path) -> None:
    world = World(tmp_path / "missing")
    world.flood()
    worker = world.way(0.01)
    worker.held(1.0)
    assert world.stands_back(worker) == 0.0
    assert not worker.quiet()


@pytest.mark.parametrize("link", [Path.symlink_to, Path.hardlink_to])
def test_no_link_is_followed_to_where_the_mark_would_be(
    tmp_path: Path, link: Callable[[Path, Path], None]
) -> None:
    world = World(tmp_path)
    other = tmp_path / "precious"
    other.write_bytes(b"precious")
    link(world.mark, other)
    world.flood()
    assert other.read_bytes() == b"precious"


def test_bridges_over_postgresql_that_share_the_cores_share_a_mark(tmp_path: Path) -> None:
    assert mark_of(None) == mark_of(None)
    assert mark_of(None) != mark_of(tmp_path / "bridge.db") != mark_of(tmp_path / "other.db")


def test_without_a_folder_that_can_be_written_nobody_gives_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A container whose file system is read-only, or a full disk, stops nothing."""

    def nowhere() -> str:
        raise FileNotFoundError("No usable temporary directory found")

    monkeypatch.setattr("tempfile.gettempdir", nowhere)
    world = World(tmp_path)
    world.mark = mark_of(None)
    world.web, worker = world.way(1.0), world.way(0.01)
    world.flood()
    worker.held(1.0)
    assert world.stands_back(worker) == 0.0


def test_it_is_quiet_when_webhooks_have_not_come_in_quickly_of_late(tmp_path: Path) -> None:
    world = World(tmp_path)
    worker = world.way(0.2)
    assert worker.quiet()
    world.write(deliveries=MANY - 1)
    assert worker.quiet(), "what comes alone leaves no mark"
    world.write()
    assert not worker.quiet()
    world.now += QUIET_S
    assert not worker.quiet(), "it begins when the mark has faded"
    world.now += MOST_S
    assert worker.quiet()
    world.write()
    world.now -= 500.0
    assert worker.quiet(), "a mark from another clock says nothing"


def test_who_does_not_give_way_does_not_know_whether_it_is_quiet(tmp_path: Path) -> None:
    assert not World(tmp_path).web.quiet()
