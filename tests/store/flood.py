"""Webhooks that come in quickly, as the mark that a web process leaves tells a worker of them."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bridge.store.database import Database
from bridge.store.right_of_way import FLOOD_S, MANY, RightOfWay

from .waiting import until

EVERY_S = 0.05
"""Less than a mark lasts while deliveries are being written."""

STEPS = 20

PATIENCE_S = 60.0
"""How long a test may let a worker stand back while the clock stands still."""


@contextmanager
def flooding(web: Database, worker: Database, *, owing: bool = False) -> Iterator[None]:
    """A block in which webhooks come by the machine's clock; it begins when a worker hears of them.

    On a busy machine it may look for a moment as if they had ended. ``owing``: the worker has had
    all that it may have, for as long as the block lasts.
    """
    ended = threading.Event()

    def come() -> None:
        while not ended.is_set():
            with web.right_of_way.claim(MANY):
                if owing:
                    worker.right_of_way.held(10.0)
                ended.wait(EVERY_S)

    thread = threading.Thread(target=come, daemon=True)
    thread.start()
    try:
        until(lambda: worker.right_of_way.flood, 60)
        yield
    finally:
        ended.set()
        thread.join(10)


class Webhooks:
    """Webhooks by a clock of their own: however busy the machine is, a flood lasts for as long as
    the test says, and no longer.

    ``share``: as the worker was opened with. ``passing``: whoever stands back moves the clock on
    while a flood lasts; else it stands still. ``stood_back``: set once the worker does.
    """

    def __init__(
        self, folder: Path, worker: Database, share: float, *, passing: bool = False
    ) -> None:
        self._now = 1000.0
        self._passing = passing
        self._flooding, self._began = False, 0.0
        mark = folder / "webhooks.busy"
        self._web = RightOfWay(mark, clock=self._clock)
        self._worker = RightOfWay(mark, share, clock=self._clock, sleep=self._sleep)
        worker.right_of_way = self._worker
        self.stood_back = threading.Event()

    @property
    def now(self) -> float:
        """Seconds of their clock."""
        return self._now

    def come(self) -> None:
        """A group of them is written."""
        with self._web.claim(MANY):
            pass

    def end(self) -> None:
        """There have been none for long."""
        self._flooding = False
        self.go_by(10.0)

    def go_by(self, seconds: float) -> None:
        """None come for so long."""
        self._now += seconds

    @contextmanager
    def flood(self, *, owing: bool = False) -> Iterator[None]:
        """A block in which they come in quickly, and have for a while when it begins.

        ``owing``: the worker has had all that it may have.
        """
        for _ in range(STEPS + 1):
            self.come()
            self._now += FLOOD_S / STEPS
        self.come()
        if owing:
            self._worker.held(10.0)
        self._flooding, self._began = True, time.monotonic()
        try:
            yield
        finally:
            self.end()

    def _clock(self) -> float:
        return self._now

    def _sleep(self, seconds: float) -> None:
        self.stood_back.set()
        time.sleep(seconds)
        if not self._flooding:
            return
        if self._passing:
            self._now += seconds
            self.come()
        else:
            assert time.monotonic() < self._began + PATIENCE_S, "stood back in vain"
