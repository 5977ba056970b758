"""Blows at random: processes are killed, put to sleep and started again while others work.

After ``end`` every process of the bridge and the API runs again.
"""

from __future__ import annotations

import os
import random
import signal
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress

from bridge_process import Bridge, Group
from sandbox_client import Sandbox


class Turmoil:
    """A thread that does what a plan lists. ``after_each`` runs between two blows.

    ``cut``: breaks every connection to the database. ``lease_s``: some sleep longer than that.
    """

    def __init__(
        self,
        bridge: Bridge,
        sandbox: Sandbox,
        draw: random.Random,
        *,
        lease_s: float,
        cut: Callable[[], object] = lambda: None,
        after_each: Callable[[], object] = lambda: None,
    ) -> None:
        self._bridge = bridge
        self._sandbox = sandbox
        self._draw = draw
        self._lease_s = lease_s
        self._cut = cut
        self._after_each = after_each
        self._asleep: list[tuple[threading.Timer, int]] = []
        self._thread: threading.Thread | None = None
        self._failure: BaseException | None = None
        self.done: list[str] = []

    def begin(self, actions: Sequence[tuple[str, float]]) -> None:
        """Start: each action after its pause (seconds)."""
        self._thread = threading.Thread(target=self._run, args=(actions,))
        self._thread.start()

    def _run(self, actions: Sequence[tuple[str, float]]) -> None:
        blows: dict[str, Callable[[], object]] = {
            "kill web": self.kill_web,
            "kill web child": self.kill_web_child,
            "pause web": self.pause_web,
            "kill worker": self.kill_worker,
            "pause worker": self.pause_worker,
            "end worker": self.end_worker,
            "kill api": self.kill_api,
            "pause api": self.pause_api,
            "cut database": self._cut,
        }
        over = threading.Event()  # never set: a wait that is not a sleep for luck, but the plan
        try:
            for kind, pause in actions:
                over.wait(pause)
                blows[kind]()
                self.done.append(kind)
                self._after_each()
        except BaseException as error:  # noqa: BLE001 - told to the run that waits for this thread
            self._failure = error

    def end(self) -> None:
        """Wait for the last blow; then wake everybody and start what is missing."""
        if self._thread is not None:
            self._thread.join()
        for timer, pid in self._asleep:
            timer.cancel()
            _send(pid, signal.SIGCONT)
        if self._failure is not None:
            raise self._failure
        for number, web in self._bridge.webs.items():
            if web.status is not None:
                self._bridge.start_web(number, ready=False)
        for number, worker in self._bridge.workers.items():
            if worker.status is not None:
                self._bridge.start_worker(number, ready=False)

    # ------------------------------------------------------------------ blows

    def kill_web(self) -> None:
        """A web process dies, and is started again."""
        number = self._one_of(self._bridge.webs)
        self._bridge.webs[number].kill()
        self._bridge.start_web(number, ready=False)

    def kill_web_child(self) -> None:
        """The serving process alone dies; its parent replaces it."""
        children = list(self._bridge.webs[self._one_of(self._bridge.webs)].children())
        if children:
            _send_one(self._draw.choice(children), signal.SIGKILL)

    def pause_web(self) -> None:
        """A web process sleeps for a moment."""
        self._pause(
            self._bridge.webs[self._one_of(self._bridge.webs)], self._draw.uniform(0.2, 1.5)
        )

    def kill_worker(self) -> None:
        """A worker dies, and is started again."""
        number = self._one_of(self._bridge.workers)
        self._bridge.workers[number].kill()
        self._bridge.start_worker(number, ready=False)

    def end_worker(self) -> None:
        """A worker is asked to end; another takes its place."""
        number = self._one_of(self._bridge.workers)
        self._bridge.workers[number].terminate()
        self._bridge.start_worker(number, ready=False)

    def pause_worker(self) -> None:
        """A worker sleeps, one time in three past its lease."""
        short = self._draw.random() < 0.65
        length = self._draw.uniform(0.1, 1.0) if short else self._lease_s + self._draw.random()
        self._pause(self._bridge.workers[self._one_of(self._bridge.workers)], length)

    def kill_api(self) -> None:
        """The campaign API and the CRM are gone for a while."""
        self._sandbox.kill()
        threading.Event().wait(self._draw.uniform(0.0, 0.5))
        self._sandbox.start()

    def pause_api(self) -> None:
        """The campaign API and the CRM take no call for a while, and then all of them."""
        pid = self._sandbox.pid
        _send_one(pid, signal.SIGSTOP)
        threading.Event().wait(self._draw.uniform(0.2, 1.6))
        _send_one(pid, signal.SIGCONT)

    def _one_of(self, groups: dict[int, Group]) -> int:
        return self._draw.choice(sorted(groups))

    def _pause(self, group: Group, seconds: float) -> None:
        _send(group.pid, signal.SIGSTOP)
        timer = threading.Timer(seconds, _send, (group.pid, signal.SIGCONT))
        timer.start()
        self._asleep.append((timer, group.pid))


def _send(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.killpg(pid, number)


def _send_one(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)
