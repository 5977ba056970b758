"""What a process does so that people hear of trouble: a loop for each channel that is configured.

The loops have database connections of their own and call nobody who works on webhooks or leads, so
that a receiver that hangs holds up nothing but the messages to itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeAlias

from bridge.live import LiveMappings
from bridge.operate.alerts import chosen
from bridge.operate.alerts.heartbeat import Heartbeat
from bridge.operate.alerts.watch import Setup, Watch
from bridge.settings import Settings
from bridge.store.database import Database
from bridge.wellbeing import health_of

Loop: TypeAlias = Callable[[Callable[[float], bool]], None]
"""Runs until the function that it is given to sleep with says False."""


class Telling:
    """The loops of one process. ``stands_in``: it tells only where no worker does, and calls no
    monitor. Errors: ``SettingError``."""

    def __init__(
        self, settings: Settings, live: LiveMappings, owner: str, *, stands_in: bool = False
    ) -> None:
        channels = chosen.channels(settings)
        monitor = None if stands_in else chosen.monitor(settings)
        policy = chosen.policy(settings)
        self._loops: list[tuple[str, Loop]] = []
        self._database: Database | None = None
        if not channels and monitor is None:
            return
        self._database = database = Database(settings["DATABASE_URL"], pool_size=4)
        setup = Setup(
            database,
            health_of(settings, live, database, process=owner),
            policy,
            name=chosen.name(settings),
            link=chosen.console(settings),
            owner=owner,
            every_s=settings["BRIDGE_ALERT_EVERY"],
            timeout_ms=round(settings["BRIDGE_ALERT_TIMEOUT"] * 1000),
            stands_in=stands_in,
        )
        for channel in channels:
            self._loops.append((f"alerts by {channel.name}", Watch(setup, channel).run))
        if monitor is not None:
            heartbeat = Heartbeat(setup, monitor, settings["BRIDGE_HEARTBEAT_EVERY"])
            self._loops.append(("heartbeat", heartbeat.run))

    def loops(self) -> Iterator[tuple[str, Loop]]:
        """A name for each thread, and what it does."""
        yield from self._loops

    def close(self) -> None:
        """Give the connections back."""
        if self._database is not None:
            self._database.close()
