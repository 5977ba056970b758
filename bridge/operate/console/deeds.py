"""What people did by hand, and what a replay is about, each as a sentence for a page."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from flask import Blueprint

from bridge.operate.console.show import moment, number, state_words

FORMS = {"jsonl": "JSON Lines", "csv": "CSV"}


def selected(selection: Mapping[str, Any]) -> str:
    """Which deliveries a replay is about: ``newest outcome dead or rejected; source crm``."""
    told = [
        words(selection[name])
        for name, words in _CRITERIA.items()
        if selection.get(name) not in (None, "", [], ())
    ]
    told += [f"{name} {value}" for name, value in selection.items() if name not in _CRITERIA]
    return "; ".join(told) or "whatever is stored"


def mapped_by(mapping: str) -> str:
    """By which mapping a replay goes."""
    fixed = {"current": "the current files", "original": "the version that each event had first"}
    return fixed.get(mapping, f"version {mapping}")


def deed(action: str, subject: str, details: Mapping[str, Any]) -> str:
    """What somebody did, to follow their name: ``paused main; opt-outs go on: maintenance``.

    An action that is not known is told as it was noted.
    """
    tell = _DEEDS.get(action)
    try:
        return _as_noted(action, subject, details) if tell is None else tell(subject, details)
    except (KeyError, TypeError, ValueError, AttributeError):
        # a line of another version of the bridge
        return _as_noted(action, subject, details)


def _as_noted(action: str, subject: str, details: Mapping[str, Any]) -> str:
    more = ", ".join(f"{state_words(name)} {value}" for name, value in details.items())
    return f"{action} {subject}" + (f" ({more})" if more else "")


def _states(states: list[str]) -> str:
    *others, last = [state_words(state) for state in states]
    return f"newest outcome {', '.join(others)} or {last}" if others else f"newest outcome {last}"


_CRITERIA: Mapping[str, Callable[[Any], str]] = {
    "states": _states,
    "source": lambda name: f"source {name}",
    "campaign": lambda name: f"campaign {name}",
    "receipt": lambda receipt: f"the delivery {receipt}",
    "since": lambda ms: f"received since {moment(ms)}",
    "until": lambda ms: f"received before {moment(ms)}",
    "error": lambda text: f"what was said holds “{text}”",
    "version": lambda version: f"mapped by version {version}",
}


def _paused(subject: str, details: Mapping[str, Any]) -> str:
    rest = "with its opt-outs" if details["opt_outs"] == "held" else "but for its opt-outs"
    return f"paused {subject}, {rest}" + (f": {details['reason']}" if details["reason"] else "")


def _resumed(subject: str, details: Mapping[str, Any]) -> str:
    told = f"resumed {subject}"
    if not details["was_paused"]:
        told += ", which nobody had paused by hand"
    return told + ("; it was tried at once" if details["tried_at_once"] else "")


def _replayed(subject: str, details: Mapping[str, Any]) -> str:
    selection, mapping = selected(details["selection"]), mapped_by(details["mapping"])
    return f"started {subject} of: {selection}; mapped by {mapping}"


def _exported(subject: str, details: Mapping[str, Any]) -> str:
    bodies = "with" if details["bodies"] else "without"
    form = FORMS.get(details["as"], details["as"])
    return f"began {subject} of {_scope(details)}, as {form}, {bodies} the bodies of webhooks"


def _went_on(subject: str, details: Mapping[str, Any]) -> str:
    return (
        f"went on with {subject} of {_scope(details)}, which had broken off "
        f"after {_lines(details['kept'])}"
    )


def _ended(subject: str, details: Mapping[str, Any]) -> str:
    return f"completed {subject}: {_lines(details['lines'])}, the last hash {details['hash']}"


def _scope(details: Mapping[str, Any]) -> str:
    if details["of"] == "lead":
        leads = ", ".join(map(str, details["leads"]))
        return f"one person (lead {leads})" if leads else "one person"
    told = f"what came from {moment(details['since_ms'])} to {moment(details['until_ms'])}"
    return told + "".join(
        f", {name} {details[name]}" for name in ("source", "campaign") if details.get(name)
    )


def _lines(count: int) -> str:
    return f"{number(count)} line{'' if count == 1 else 's'}"


_DEEDS: Mapping[str, Callable[[str, Mapping[str, Any]], str]] = {
    "campaign.pause": _paused,
    "campaign.resume": _resumed,
    "replay.run": _replayed,
    "replay.cancel": lambda subject, _: f"stopped {subject} where it was",
    "replay.resume": lambda subject, _: f"went on with {subject}",
    "export.begin": _exported,
    "export.resume": _went_on,
    "export.end": _ended,
}


def add_words(blueprint: Blueprint) -> None:
    """Give templates what this module says."""
    blueprint.add_app_template_filter(selected, "selected")
    blueprint.add_app_template_filter(mapped_by, "mapped_by")
    blueprint.add_app_template_global(deed, "deed")
