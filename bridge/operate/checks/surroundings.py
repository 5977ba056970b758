"""Checks of what the bridge stands on: its files and machines, its workers, its own messages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bridge.operate.checks.frame import Bounds, Check, Status, concern_of, counted, warn
from bridge.operate.concern import SUBJECT_LENGTH, TEXT_LENGTH, Concern, Kind, clean
from bridge.store.alerts import Channel
from bridge.store.far_ahead import SLACK_MS
from bridge.store.notices import Notice
from bridge.store.workers import Beat


def database_fails(output: str, details: dict[str, Any]) -> Check:
    """The database takes no write, or cannot be read."""
    concern = Concern(Kind.DATABASE, output, urgent=True)
    return Check(Status.FAIL, output, details, (concern,))


def mappings(problem: str | None, noticed: Sequence[Notice]) -> Check:
    """Whether the last edit was taken in, here and where other processes run."""
    concerns = [concern_of(one, Kind.MAPPING_INVALID) for one in noticed]
    details: dict[str, Any] = {} if problem is None else {"reason": problem}
    if problem is not None:
        first = clean(problem.splitlines()[0] if problem else "")
        mine = Concern(
            Kind.MAPPING_INVALID,
            f"the last edit of the mapping files is not valid; those before it are in force: "
            f"{first}"[:TEXT_LENGTH],
        )
        concerns.insert(0, mine)
    if not concerns:
        return Check(Status.PASS)
    return warn(
        "the last edit of the mapping files is not valid; the files before it are in force",
        details or {"reason": noticed[0].text},
        # one edit, however many processes have read it
        concerns[0],
    )


def workers(beats: Sequence[Beat], now: int, bounds: Bounds) -> Check:
    """Whether a worker is alive, and whether one went without leaving and was not replaced."""
    alive = [one for one in beats if -SLACK_MS <= now - one.beat_at <= bounds.worker_silent]
    if not alive:
        last = max((one.beat_at for one in beats), default=None)
        words = "no worker is alive; webhooks are accepted and wait"
        return warn(words, {}, Concern(Kind.WORKER_GONE, words, since=last, urgent=True))
    started = sorted(one.started_at for one in alive)
    lost = []
    for one in sorted(beats, key=lambda beat: beat.beat_at):
        if one in alive:
            continue
        # whoever began after it fell silent stands in for it, be it on another machine
        heir = next((at for at in started if at >= one.beat_at), None)
        if heir is None:
            lost.append(one)
        else:
            started.remove(heir)
    if not lost:
        return Check(Status.PASS)
    words = f"{counted(len(lost), 'worker')} of {len(lost) + len(alive)} fell silent"
    concerns = [
        Concern(
            Kind.WORKER_GONE,
            f"a worker on {one.host} fell silent without being stopped, and none took its place",
            subject=one.host[:SUBJECT_LENGTH],
            since=one.beat_at,
        )
        for one in lost
    ]
    return warn(words, {"hosts": [one.host for one in lost]}, *concerns)


def disk(free: int | None, host: str, bounds: Bounds) -> Check:
    """Whether the disk of an SQLite file has room; ``free`` None: there is no such file."""
    if free is None:
        return Check(Status.PASS)
    if free >= bounds.disk:
        return Check(Status.PASS, details={"free_bytes": free})
    words = "the disk is almost full"
    told = f"{words}: {free // 1_000_000:,} MB are free"
    return warn(
        words,
        {"free_bytes": free},
        Concern(Kind.DISK_LOW, told, host[:SUBJECT_LENGTH], urgent=True),
    )


def clocks(noticed: Sequence[Notice]) -> Check:
    """Whether the clocks of all machines are right, as their processes say."""
    if not noticed:
        return Check(Status.PASS)
    words = "a machine's clock differs from the database's"
    concerns = [concern_of(one, Kind.CLOCK_WRONG) for one in noticed]
    return warn(words, {one.subject: one.text for one in noticed}, *concerns)


def audit(noticed: Sequence[Notice]) -> Check:
    """What the last audit found."""
    if not noticed:
        return Check(Status.PASS)
    words = "the last audit found rows that break a promise"
    concerns = [concern_of(one, Kind.AUDIT_BREACH, urgent=True) for one in noticed]
    return warn(words, {one.subject: one.text for one in noticed}, *concerns)


def alerts(channels: Mapping[str, Channel], now: int) -> Check:
    """Whether alerts get through, by the channels that somebody sends by."""
    failing = {
        name: one
        for name, one in channels.items()
        if one.failing_since is not None and one.failures > 1 and now - one.held_until < 600_000
    }
    if not failing:
        return Check(Status.PASS)
    words = f"alerts do not get through by {', '.join(failing)}"
    concerns = [
        Concern(
            Kind.ALERTS_FAIL,
            f"alerts do not get through by {name}: {one.trouble}",
            name,
            one.failing_since,
        )
        for name, one in failing.items()
    ]
    return warn(words, {name: one.trouble for name, one in failing.items()}, *concerns)
