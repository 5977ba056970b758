"""Whoever waits is woken by what is rung for, and nobody else; no ring is lost."""

from __future__ import annotations

import threading

import pytest

from bridge.bells import Bells

LONG_S = 60.0


class Waiter:
    """A thread that waits for some names once. ``woken``: set when it goes on."""

    def __init__(self, bells: Bells, *names: str) -> None:
        self.woken = threading.Event()
        self._bells = bells
        self._names = names
        self._seen = bells.count(*names)
        before = len(bells._ears.get(names[-1], ()))
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()
        while len(bells._ears.get(names[-1], ())) == before:
            assert self.thread.is_alive()
        self._ear = bells._ears[names[-1]][-1]

    def sleeps(self) -> bool:
        """Whether nobody has woken it, not even to look in vain."""
        return bool(vars(self._ear)["_waiters"])

    def _run(self) -> None:
        self._bells.wait(*self._names, seen=self._seen, seconds=LONG_S)
        self.woken.set()


@pytest.fixture
def bells() -> Bells:
    return Bells()


def test_who_waits_for_the_name_is_woken(bells: Bells) -> None:
    one, other = Waiter(bells, "main"), Waiter(bells, "main")
    bells.ring(["main"])
    assert one.woken.wait(LONG_S)
    assert other.woken.wait(LONG_S)


def test_who_waits_for_another_name_sleeps_on(bells: Bells) -> None:
    other, one = Waiter(bells, "other"), Waiter(bells, "main")
    bells.ring(["main"])
    assert other.sleeps()
    assert one.woken.wait(LONG_S)
    bells.ring(["other"])
    assert other.woken.wait(LONG_S)


def test_a_ring_between_the_look_and_the_wait_is_not_lost(bells: Bells) -> None:
    seen = bells.count("main")
    bells.ring(["main"])
    bells.wait("main", seen=seen, seconds=LONG_S)  # returns at once


def test_what_one_suffices_for_wakes_nobody_else(bells: Bells) -> None:
    bells.hear_instead("opt-outs", "main")
    sender, alone = Waiter(bells, "main"), Waiter(bells, "main", "opt-outs")
    bells.ring(["opt-outs"])
    assert sender.sleeps()
    assert alone.woken.wait(LONG_S)
    bells.ring(["main"])
    assert sender.woken.wait(LONG_S)


def test_while_that_one_is_busy_the_others_are_woken(bells: Bells) -> None:
    bells.hear_instead("opt-outs", "main")
    sender, seen = Waiter(bells, "main"), bells.count("main", "opt-outs")
    bells.ring(["opt-outs"])
    assert sender.woken.wait(LONG_S)
    bells.wait("main", "opt-outs", seen=seen, seconds=LONG_S)  # and that one looks once more


def test_the_end_wakes_everybody(bells: Bells) -> None:
    waiters = [Waiter(bells, "main"), Waiter(bells, "other", "third")]
    slept: list[bool] = []
    sleeper = threading.Thread(target=lambda: slept.append(bells.sleep(LONG_S)), daemon=True)
    sleeper.start()
    bells.stop()
    assert all(one.woken.wait(LONG_S) for one in waiters)
    sleeper.join(LONG_S)
    assert slept == [False]
    bells.wait("main", seen=bells.count("main"), seconds=LONG_S)  # at once from now on


def test_a_wait_ends_by_itself(bells: Bells) -> None:
    bells.wait("main", seen=0, seconds=0.001)
    assert bells.sleep(0.001)
    assert bells._ears["main"] == []
