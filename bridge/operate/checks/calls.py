"""Checks of campaigns: whether there are any, and whether they may be called."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from bridge.operate.checks.frame import Check, Status, warn
from bridge.operate.concern import TEXT_LENGTH, Concern, Kind, clean, who
from bridge.store.campaigns import Condition
from bridge.store.pauses import Pause


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
        return warn(_in_words(bad, len(ready)), bad, *concerns)
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
    return warn(words, {"missing": missing}, concern)


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
