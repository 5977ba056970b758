"""The checks of health: from what a store's module has read to how it went, and to concerns. Pure.

Every check that did not pass names at least one concern, so that whoever tells of concerns tells
of all that health warns of.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from bridge.model import Lane, State
from bridge.operate.concern import SUBJECT_LENGTH, TEXT_LENGTH, Concern, Kind, clean, who
from bridge.store.alerts import Channel
from bridge.store.campaigns import Condition
from bridge.store.notices import Notice
from bridge.store.pauses import Pause
from bridge.store.queues import MOST, Depth, LookUps
from bridge.store.silences import Usual
from bridge.store.workers import Beat

DEAD_SHOWN_MS = 3_600_000
"""How long a dead letter is warned of."""

_REFUSED = re.compile(r"\b40[13]\b")


class Status(StrEnum):
    """How a check went."""

    PASS = "pass"  # noqa: S105 - a word of the health format
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Check:
    """One check: how it went, and in words why; ``details`` are for the operator only.

    ``concerns``: what is not well, one by one; also for the operator only.
    """

    status: Status
    output: str = ""
    details: dict[str, Any] = field(default_factory=dict)
    concerns: tuple[Concern, ...] = ()


@dataclass(frozen=True, slots=True)
class Bounds:
    """From when on something is not well; ms and bytes. ``standing`` 0: never.

    ``silence_factor``: how many times as long as usual, 0: never; ``silence_days``: from so many
    days the usual is known.
    """

    worker_silent: int = 15_000
    opt_out: int = 60_000
    backlog: int = 300_000
    standing: int = 0
    disk: int = 500_000_000
    silence_factor: float = 2.0
    silence_least: int = 3_600_000
    silence_days: float = 7.0


def span(ms: int) -> str:
    """``90 seconds``, ``5 minutes``: how long, for people."""
    for name, length in (("day", 86_400_000), ("hour", 3_600_000), ("minute", 60_000)):
        if ms >= length and (ms % length == 0 or ms >= 3 * length):
            return _count(round(ms / length), name)
    return _count(round(ms / 1000), "second")


def _count(number: int, name: str) -> str:
    return f"{number:,} {name}{'' if number == 1 else 's'}"


def _warn(output: str, details: dict[str, Any], *concerns: Concern) -> Check:
    return Check(Status.WARN, output, details, concerns)


def database_fails(output: str, details: dict[str, Any]) -> Check:
    """The database takes no write, or cannot be read."""
    concern = Concern(Kind.DATABASE, output, urgent=True)
    return Check(Status.FAIL, output, details, (concern,))


def mappings(problem: str | None, noticed: Sequence[Notice]) -> Check:
    """Whether the last edit was taken in, here and where other processes run."""
    concerns = [_noticed(one, Kind.MAPPING_INVALID) for one in noticed]
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
    return _warn(
        "the last edit of the mapping files is not valid; the files before it are in force",
        details or {"reason": noticed[0].text},
        # one edit, however many processes have read it
        concerns[0],
    )


def workers(beats: Sequence[Beat], now: int, bounds: Bounds) -> Check:
    """Whether a worker is alive, and whether one went without leaving and was not replaced."""
    alive = [one for one in beats if now - one.beat_at <= bounds.worker_silent]
    if not alive:
        last = max((one.beat_at for one in beats), default=None)
        words = "no worker is alive; webhooks are accepted and wait"
        return _warn(words, {}, Concern(Kind.WORKER_GONE, words, since=last, urgent=True))
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
    words = f"{_count(len(lost), 'worker')} of {len(lost) + len(alive)} fell silent"
    concerns = [
        Concern(
            Kind.WORKER_GONE,
            f"a worker on {one.host} fell silent without being stopped, and none took its place",
            subject=one.host[:SUBJECT_LENGTH],
            since=one.beat_at,
        )
        for one in lost
    ]
    return _warn(words, {"hosts": [one.host for one in lost]}, *concerns)


def waiting_deliveries(found: Mapping[str, Depth], now: int, bounds: Bounds) -> Check:
    """Whether deliveries are taken in; ``found``: by source."""
    count = sum(depth.count for depth in found.values())
    oldest = min((d.oldest for d in found.values() if d.oldest is not None), default=None)
    age = 0 if oldest is None else now - oldest
    details = {"waiting": count, "oldest_seconds": age // 1000}
    if age <= bounds.backlog:
        return Check(Status.PASS, details=details)
    words = f"deliveries wait for longer than {span(bounds.backlog)}"
    told = f"{words}: {count:,} in all"
    return _warn(
        words,
        details,
        Concern(Kind.DELIVERIES_LATE, told, since=oldest, size=count, urgent=True),
    )


def look_ups(found: Sequence[LookUps], now: int, bounds: Bounds) -> Check:
    """Events that wait for their CRM's answer; among them opt-outs, as far as they show."""
    details = {
        f"{one.source} {one.lane.name.lower()}": {
            "count": one.depth.count,
            "oldest_seconds": _age(one.depth, now) // 1000,
            "trouble": one.trouble,
        }
        for one in found
    }
    concerns = []
    late_opt_out = False
    for one in found:
        urgent = one.lane is Lane.OPT_OUT
        late = _age(one.depth, now) > (bounds.opt_out if urgent else bounds.backlog)
        late_opt_out = late_opt_out or (late and urgent)
        why = f": {clean(one.trouble)}" if one.trouble else ""
        told = {}
        if _REFUSED.search(one.trouble):
            words = f"the CRM refuses the credentials of {one.source}'s look-ups{why}"
            told[Kind.CREDENTIALS_REFUSED] = words
        if late:
            what = "what may be an opt-out" if urgent else "an event"
            told[Kind.LOOK_UPS_LATE] = f"{what} of {one.source} waits for a look-up{why}"
        concerns += [
            Concern(
                kind, words[:TEXT_LENGTH], one.source, one.depth.oldest, one.depth.count, urgent
            )
            for kind, words in told.items()
        ]
    if not concerns:
        return Check(Status.PASS, details=details)
    if late_opt_out:
        words = f"what may be an opt-out has waited for a look-up over {span(bounds.opt_out)}"
    elif any(one.kind is Kind.LOOK_UPS_LATE for one in concerns):
        words = f"events wait for look-ups for over {span(bounds.backlog)}"
    else:
        words = "a CRM refuses the credentials of look-ups"
    return _warn(words, details, *concerns)


def opt_outs(found: Mapping[State, Depth], now: int, bounds: Bounds) -> Check:
    """Whether an opt-out waits for too long, or stands for too long."""
    details = {
        state.value: {"count": depth.count, "oldest_seconds": _age(depth, now) // 1000}
        for state, depth in found.items()
    }
    concerns = []
    waiting = [depth for state, depth in found.items() if state is not State.STANDING]
    oldest = min((d.oldest for d in waiting if d.oldest is not None), default=now)
    late = now - oldest > bounds.opt_out
    if late:
        count = sum(depth.count for depth in waiting)
        words = f"an opt-out is not confirmed after {span(bounds.opt_out)}; {count} in all wait"
        concerns.append(Concern(Kind.OPT_OUT_LATE, words, since=oldest, size=count, urgent=True))
    standing = found.get(State.STANDING, Depth(0))
    first = now if standing.oldest is None else standing.oldest
    stands = bounds.standing > 0 and now - first > bounds.standing
    if stands:
        words = f"an opt-out stands unconfirmed for longer than {span(bounds.standing)}"
        concerns.append(Concern(Kind.OPT_OUT_STANDS, words, since=first))
    if late:
        words = f"an opt-out has waited for longer than {span(bounds.opt_out)}"
        return _warn(words, details, *concerns)
    if stands:
        return _warn(concerns[0].text, details, *concerns)
    return Check(Status.PASS, details=details)


def _age(depth: Depth, now: int) -> int:
    """How long the oldest has waited (ms)."""
    return 0 if depth.oldest is None else max(0, now - depth.oldest)


def lapsed(found: Mapping[str, int]) -> Check:
    """Opt-outs that ended unconfirmed within the last week, by campaign."""
    if not found:
        return Check(Status.PASS)
    told = "ended unconfirmed within the last seven days"
    concerns = [
        Concern(
            Kind.OPT_OUT_GIVEN_UP,
            f"{_count(count, 'opt-out')} for {name} {told}: its period is over",
            subject=name,
            size=count,
            urgent=True,
        )
        for name, count in sorted(found.items())
    ]
    words = f"{_count(sum(found.values()), 'opt-out')} {told}"
    return _warn(words, {"campaigns": dict(found)}, *concerns)


def dead_letters(found: Depth) -> Check:
    """What ended as dead within the last hour, and still is."""
    if not found.count:
        return Check(Status.PASS)
    more = " or more" if found.count >= MOST else ""
    words = f"{_count(found.count, 'dead letter')}{more} within {span(DEAD_SHOWN_MS)}"
    concern = Concern(Kind.DEAD_LETTERS, words, since=found.oldest, size=found.count, urgent=True)
    return _warn(words, {"count": found.count}, concern)


def campaigns(
    ready: Sequence[str], seen: Mapping[str, Condition], paused: Mapping[str, Pause], now: int
) -> Check:
    """Whether each configured campaign may be called."""
    bad: dict[str, dict[str, Any]] = {}
    concerns: list[Concern] = []
    for name in ready:
        condition, pause = seen.get(name, Condition()), paused.get(name)
        if pause is None and condition.condition == "open":
            continue
        bad[name] = _held_back(condition, pause, now)
        concerns += _of_campaign(name, condition, pause)
    if bad:
        return _warn(_in_words(bad, len(ready)), bad, *concerns)
    return Check(Status.PASS, details={"configured": list(ready)})


def _of_campaign(name: str, condition: Condition, pause: Pause | None) -> Iterable[Concern]:
    if condition.condition != "open":
        why = f": {clean(condition.reason)}" if condition.reason else ""
        if condition.status in (401, 403):
            kind, words = Kind.CREDENTIALS_REFUSED, "the campaign API refuses the credentials of"
        elif condition.condition == "paused":
            kind, words = Kind.CAMPAIGN_PAUSED, "the campaign API does not take calls for"
        else:
            kind, words = Kind.CAMPAIGN_HELD_BACK, "calls fail and are held back for"
        text = f"{words} {name}{why}"[:TEXT_LENGTH]
        urgent = kind is not Kind.CAMPAIGN_HELD_BACK
        yield Concern(kind, text, name, condition.since or None, urgent=urgent)
    if pause is not None:
        rest = "with its opt-outs" if pause.holds_opt_outs else "but for opt-outs"
        reason = clean(pause.reason)
        yield Concern(
            Kind.CAMPAIGN_PAUSED_BY_HAND,
            f"{who(pause.actor)} paused {name}, {rest}" + (f": {reason}" if reason else ""),
            name,
            pause.since,
            urgent=pause.holds_opt_outs,
        )


def no_campaign(missing: dict[str, list[str]]) -> Check:
    """No campaign is configured."""
    words = "no campaign is configured; deliveries wait until one is"
    concern = Concern(Kind.NOT_CONFIGURED, words, "campaigns", urgent=True)
    return _warn(words, {"missing": missing}, concern)


def backlog(
    late: Mapping[str, int],
    left: Sequence[str],
    bounds: Bounds,
    *,
    opt_outs: Mapping[str, int] | None = None,
) -> Check:
    """``late``: by campaign how many seconds its leads are late; ``left``: those that are gone
    while leads wait for them. ``opt_outs``: how late those are that have no outcome to be seen by,
    since they were taken over from another campaign or are said once more."""
    details = {"late_seconds": dict(late), "not_configured_with_leads": list(left)}
    untold = opt_outs or {}
    concerns = (
        [
            Concern(
                Kind.OPT_OUT_LATE,
                f"opt-outs that {name} has to be told once more are {span(s * 1000)} late",
                name,
                urgent=True,
            )
            for name, s in untold.items()
        ]
        + [
            Concern(
                Kind.CAMPAIGN_GONE, f"leads wait for {name}, which is not configured any more", name
            )
            for name in left
        ]
        + [
            Concern(Kind.UPDATES_LATE, f"updates for {name} are {span(s * 1000)} late", name)
            for name, s in late.items()
        ]
    )
    if left:
        words = "leads wait for campaigns that are not configured any more"
        return _warn(words, details, *concerns)
    if untold:
        words = f"opt-outs that have to be said once more are later than {span(bounds.opt_out)}"
        return _warn(words, details, *concerns)
    if late:
        return _warn(f"updates are later than {span(bounds.backlog)}", details, *concerns)
    return Check(Status.PASS)


def sources(
    missing: Mapping[str, list[str]],
    named: int,
    last: Mapping[str, int],
    quiet: Mapping[str, tuple[int, int]],
    now: int,
) -> Check:
    """Whether sources are configured, and none is silent for longer than usual.

    ``last``: when each was last heard of (ms); ``quiet``: what ``too_silent`` found.
    """
    silence = {name: (now - at) // 1000 for name, at in last.items()}
    details: dict[str, Any] = {
        "not_configured": dict(missing),
        "seconds_since_last_delivery": silence,
    }
    if len(missing) == named:
        words = "no source is configured"
        return _warn(words, details, Concern(Kind.NOT_CONFIGURED, words, "sources"))
    concerns = [
        Concern(
            Kind.SOURCE_SILENT,
            f"nothing came from {name} for over {span(limit)}; the longest silence of the last "
            f"weeks was {span(usual)}",
            name,
            last[name],
        )
        for name, (limit, usual) in quiet.items()
        if name not in missing
    ]
    if not concerns:
        return Check(Status.PASS, details=details)
    details["usual_silence_seconds"] = {name: ms // 1000 for name, (_, ms) in quiet.items()}
    words = f"{_count(len(concerns), 'source')} silent for longer than usual"
    return _warn(words, details, *concerns)


def too_silent(
    last: Mapping[str, int], usual: Mapping[str, Usual], now: int, bounds: Bounds
) -> dict[str, tuple[int, int]]:
    """Sources that are silent for longer than they may: how long that is, and what is usual."""
    found = {}
    for name, at in last.items():
        limit = longest_silence(usual.get(name), bounds)
        if limit is not None and now - at > limit:
            found[name] = (limit, usual[name].longest)
    return found


def longest_silence(usual: Usual | None, bounds: Bounds) -> int | None:
    """How long a source may be silent (ms); None where that is not known or not wanted."""
    if usual is None or not bounds.silence_factor or usual.days < bounds.silence_days:
        return None
    return max(bounds.silence_least, round(usual.longest * bounds.silence_factor))


def public_url(lacking: Mapping[str, tuple[str, ...]]) -> Check:
    """Whether signatures over the URL can pass."""
    if not lacking:
        return Check(Status.PASS)
    words = "BRIDGE_PUBLIC_URL is not set, so signatures that cover the URL are refused"
    details = {"refused_schemes": {name: list(schemes) for name, schemes in lacking.items()}}
    concerns = [
        Concern(
            Kind.PUBLIC_URL_MISSING,
            f"BRIDGE_PUBLIC_URL is not set, so requests of {name} that sign the URL are refused",
            name,
        )
        for name in lacking
    ]
    return _warn(words, details, *concerns)


def disk(free: int | None, host: str, bounds: Bounds) -> Check:
    """Whether the disk of an SQLite file has room; ``free`` None: there is no such file."""
    if free is None:
        return Check(Status.PASS)
    if free >= bounds.disk:
        return Check(Status.PASS, details={"free_bytes": free})
    words = "the disk is almost full"
    told = f"{words}: {free // 1_000_000:,} MB are free"
    return _warn(
        words,
        {"free_bytes": free},
        Concern(Kind.DISK_LOW, told, host[:SUBJECT_LENGTH], urgent=True),
    )


def clocks(noticed: Sequence[Notice]) -> Check:
    """Whether the clocks of all machines are right, as their processes say."""
    if not noticed:
        return Check(Status.PASS)
    words = "a machine's clock differs from the database's"
    concerns = [_noticed(one, Kind.CLOCK_WRONG) for one in noticed]
    return _warn(words, {one.subject: one.text for one in noticed}, *concerns)


def audit(noticed: Sequence[Notice]) -> Check:
    """What the last audit found."""
    if not noticed:
        return Check(Status.PASS)
    words = "the last audit found rows that break a promise"
    concerns = [_noticed(one, Kind.AUDIT_BREACH, urgent=True) for one in noticed]
    return _warn(words, {one.subject: one.text for one in noticed}, *concerns)


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
    return _warn(words, {name: one.trouble for name, one in failing.items()}, *concerns)


def _noticed(one: Notice, kind: Kind, *, urgent: bool = False) -> Concern:
    return Concern(kind, one.text, one.subject, one.since, one.size, urgent)


def _held_back(condition: Condition, pause: Pause | None, now: int) -> dict[str, Any]:
    """Why, and since when, a campaign is not called as it should be."""
    found: dict[str, Any] = {"condition": condition.condition, "reason": condition.reason}
    if condition.condition != "open":
        found["seconds"] = (now - condition.since) // 1000
    if pause is not None:
        found["paused_by_hand"] = {
            "by": pause.actor,
            "reason": pause.reason,
            "seconds": (now - pause.since) // 1000,
            "opt_outs": "held" if pause.holds_opt_outs else "go on",
        }
    return found


def _in_words(bad: dict[str, dict[str, Any]], of: int) -> str:
    by_hand = [one["paused_by_hand"] for one in bad.values() if "paused_by_hand" in one]
    told = f"{len(bad)} of {of} campaigns held back"
    if by_hand:
        told += f", {len(by_hand)} of them paused by hand"
    held = sum(one["opt_outs"] == "held" for one in by_hand)
    return told + (f"; {held} with their opt-outs" if held else "")
