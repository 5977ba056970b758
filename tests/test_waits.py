"""A request waits: others go on meanwhile, and what became of it is always known."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from functools import partial

import pytest

from bridge.waits import CAREFUL, LAST, QUICK_S, STUCK_S, Disk, beside


def said_by(script: str) -> tuple[int, str, str]:
    """How a process of its own ends, in which gevent has its locks in the place of Python's."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


BESIDE = """
    from gevent import monkey
    monkey.patch_all()
    import sys
    import gevent
    from gevent import monkey
    from bridge.waits import beside

    sleep = monkey.get_original("time", "sleep")
    seen = []

    def slow():
        sleep(0.3)
        seen.append("written")

    def broken():
        raise OSError("no space left")

    task = gevent.spawn(beside, slow)
    gevent.sleep(0.01)
    seen.append("meanwhile")
    task.join()
    assert seen == ["meanwhile", "written"], seen

    task = gevent.spawn(beside, slow)
    gevent.sleep(0.01)
    task.kill()  # returns when it has ended
    assert seen == ["meanwhile", "written", "written"], seen
    assert isinstance(task.value, gevent.GreenletExit)

    try:
        beside(broken)
    except OSError as error:
        seen.append(str(error))
    assert seen[-1] == "no space left"
"""


def test_others_go_on_while_the_disk_is_waited_for_and_who_is_ended_ends_afterwards() -> None:
    # the error has been told to whoever waits, and to nobody else
    assert said_by(BESIDE) == (0, "", "")


PARKED = """
    from gevent import monkey
    monkey.patch_all()
    import gevent
    from bridge.waits import parked

    def woken_by(*deeds):
        place = parked()
        task = gevent.spawn(place.wait, 60)
        gevent.sleep(0)
        for deed in deeds:
            deed(place, task)
        return task

    def end(place, _task):
        place.set()

    def kill(_place, task):
        task.kill(block=False)

    assert woken_by(end).get() is True
    assert woken_by(end, end).get() is True  # twice is once
    for deeds in ((kill,), (kill, end), (end, kill)):
        task = woken_by(*deeds)
        task.join()
        assert task.value is True or isinstance(task.value, gevent.GreenletExit), task.value
    gevent.sleep(0)  # what woke nobody any more has hurt nobody

    place = parked()
    place.set()
    assert place.wait(60) is True  # it was over before it began
    late = parked()
    assert late.wait(0.01) is False
    assert late.wait(0.01) is False  # by the timer of the first
    gevent.spawn_later(0.01, late.set)
    assert late.wait() is True
    gevent.sleep(0.05)  # a timer that is not in use wakes nobody
"""


def test_a_parked_request_is_woken_once_and_may_be_late_or_ended() -> None:
    assert said_by(PARKED) == (0, "", "")


GROUPS = """
    from gevent import monkey
    monkey.patch_all()
    import gevent
    from bridge.errors import StoreBusy
    from bridge.waits import parked
    from bridge.store.group_commit import GroupCommit

    groups, go_on = [], gevent.event.Event()

    def commit(items):
        groups.append(list(items))
        if items == ["first"]:
            go_on.wait()

    group = GroupCommit(commit, wait_s=60, waiting=parked)
    tasks = {name: gevent.spawn(group.put, name) for name in ("first", "a", "b", "c")}
    gevent.sleep(0.01)
    assert groups == [["first", "a", "b", "c"]], groups  # who is ready joins the first group

    go_on.clear()
    groups.clear()
    first = gevent.spawn(group.put, "first")
    while not groups:
        gevent.sleep(0.001)
    tasks = {name: gevent.spawn(group.put, name) for name in ("a", "b", "c")}
    gevent.sleep(0.001)
    tasks["a"].kill()  # the next to lead
    go_on.set()
    gevent.joinall([first, *tasks.values()], timeout=30)
    assert groups == [["first"], ["b", "c"]], groups
    assert all(task.successful() for task in (first, *tasks.values()))

    go_on.clear()
    groups.clear()
    first = gevent.spawn(group.put, "first")
    while not groups:
        gevent.sleep(0.001)
    tasks = {name: gevent.spawn(group.put, name) for name in ("a", "b")}
    gevent.sleep(0.001)
    go_on.set()
    while group._queue and not group._queue[0].leads:
        gevent.sleep(0)
    tasks["a"].kill()  # in the very moment in which it is its turn
    gevent.joinall([first, *tasks.values()], timeout=30)
    assert "b" in groups[-1], groups
    group.put("later")
    assert groups[-1] == ["later"]
"""


def test_requests_in_green_threads_share_a_commit_and_one_that_is_ended_holds_up_nobody() -> None:
    assert said_by(GROUPS) == (0, "", "")


def test_outside_of_the_web_process_it_is_simply_done() -> None:
    seen: list[str] = []
    beside(lambda: seen.append("written"))
    assert seen == ["written"]
    with pytest.raises(ZeroDivisionError):
        beside(lambda: [][1 // 0])


class Clock:
    """Time that passes when it is told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def pass_by(self, seconds: float) -> None:
        self.now += seconds


ON_THE_SPOT = """
    from gevent import monkey
    monkey.patch_all()
    from gevent import monkey
    from bridge.waits import CAREFUL, STUCK_S, Disk

    current = monkey.get_original("threading", "get_ident")
    here, seen, passed = current(), [], [0.0]

    def write(seconds):
        def work():
            seen.append("here" if current() == here else "beside")
            passed.append(passed[-1] + seconds)
        return work

    disk = Disk(lambda: passed[-1])
    disk.wait_for(write(0))
    disk.wait_for(write(2 * STUCK_S))
    for _ in range(CAREFUL):
        disk.wait_for(write(0))
    disk.wait_for(write(0))
    assert seen == ["here", "here", *["beside"] * CAREFUL, "here"], seen
"""


def test_a_quick_disk_is_waited_for_on_the_spot_and_a_slow_one_beside() -> None:
    assert said_by(ON_THE_SPOT) == (0, "", "")


def test_a_disk_that_fails_slowly_is_slow() -> None:
    clock = Clock()
    disk = Disk(clock)

    def broken() -> None:
        clock.now += 2 * STUCK_S
        raise OSError("no space left")

    with pytest.raises(OSError, match="no space left"):
        disk.wait_for(broken)
    assert disk.careful == CAREFUL


def test_a_disk_is_slow_once_most_of_its_last_flushes_were() -> None:
    clock = Clock()
    disk = Disk(clock)

    def flushes(*seconds: float) -> None:
        for took in seconds:
            disk.wait_for(partial(clock.pass_by, took))

    few, most = LAST // 2, LAST // 2 + 1
    for _ in range(3):
        flushes(*[5 * QUICK_S] * few, *[QUICK_S / 2] * most)
        assert not disk.careful
    flushes(*[2 * QUICK_S] * (most - 1))
    assert not disk.careful
    flushes(2 * QUICK_S)
    assert disk.careful == CAREFUL
    # another chance is one for a whole set of flushes
    flushes(*[0.0] * CAREFUL, *[2 * QUICK_S] * (LAST - 1))
    assert not disk.careful
    flushes(2 * QUICK_S)
    assert disk.careful == CAREFUL
