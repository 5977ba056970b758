"""The heartbeat: a monitor elsewhere is called as long as this bridge does its work.

It is called after a drain: nothing that could be sent waits for longer than it should, and no
opt-out does for whatever reason. Only workers call, since only they drain; one of them at a time.
A monitor that is called by nobody any more alarms, also when the whole bridge is gone with all
that could have sent an alert.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from bridge import logs
from bridge.errors import StoreError
from bridge.operate.alerts.caller import Caller
from bridge.operate.alerts.watch import Setup, hold, leave, look, pause_ms
from bridge.operate.concern import Concern, Kind
from bridge.store import alerts
from bridge.store.database import clock_ms

CHANNEL = "heartbeat"

LATE = frozenset({Kind.DATABASE, Kind.OPT_OUT_LATE, Kind.DELIVERIES_LATE, Kind.LOOK_UPS_LATE})
HELD = frozenset(
    {
        Kind.CAMPAIGN_HELD_BACK,
        Kind.CAMPAIGN_PAUSED,
        Kind.CAMPAIGN_PAUSED_BY_HAND,
        Kind.CREDENTIALS_REFUSED,
    }
)

log = logs.get("alerts")


class Heartbeat:
    """Calls a monitor at most every ``every_s`` seconds."""

    def __init__(self, setup: Setup, monitor: Caller, every_s: float) -> None:
        self._setup = setup
        self._monitor = monitor
        self._every_ms = round(every_s * 1000)
        self._look_s = min(every_s, setup.every_s)
        self._well = True

    def run(self, sleep: Callable[[float], bool]) -> None:
        """Call until ``sleep`` says that the process is to end."""
        while True:
            try:
                self._turn()
            except StoreError as error:
                self._say(f"the database is out of reach: {error}")
            except Exception:
                log.exception("the heartbeat failed, it goes on")
            if not sleep(self._look_s):
                break
        leave(self._setup, CHANNEL)

    def _turn(self) -> None:
        setup = self._setup
        now = hold(setup, CHANNEL)
        if now is None:
            return
        with setup.database.read() as connection:
            channel = alerts.channels(connection)[CHANNEL]
        if now < max(channel.sent_at + self._every_ms, channel.not_before):
            return
        late = undrained(look(setup))
        if late:
            self._say(late[0].text)
            return
        self._well = True
        answer = self._monitor.call("GET")
        with setup.database.write() as connection:
            if not alerts.holds(connection, CHANNEL, setup.owner):
                return
            at = clock_ms(connection)
            if answer.taken:
                alerts.took(connection, CHANNEL, at)
                return
            again_at = at + pause_ms(setup, channel.failures, answer)
            alerts.failed(connection, CHANNEL, at, again_at, answer.words)
        log.warning("heartbeat not taken, it is tried again", answer=answer.words)

    def _say(self, reason: str) -> None:
        """Say once why nobody is called."""
        if self._well:
            log.warning("no heartbeat until all is drained", reason=reason)
        self._well = False


def undrained(found: Iterable[Concern]) -> list[Concern]:
    """Of what is not well, what shows that something could be sent and was not, or an opt-out was
    not for whatever reason.

    Other updates of a campaign that may not be called do not count: they cannot be sent.
    """
    every = list(found)
    held = {one.subject for one in every if one.kind in HELD}
    return [
        one
        for one in every
        if one.kind in LATE or (one.kind is Kind.UPDATES_LATE and one.subject not in held)
    ]
