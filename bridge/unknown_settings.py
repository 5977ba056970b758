"""Names that look like settings of the bridge and are none: misspelt, most of them.

Whoever misspells a setting would otherwise believe that it holds.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path

from bridge import logs
from bridge.declared_settings import BY_NAME
from bridge.settings import Environment, Settings

PREFIX = "BRIDGE_"

OF_TESTS = "BRIDGE_TEST_"

_IN_MAPPINGS = re.compile(r"\$\{(BRIDGE_[A-Za-z0-9_]+)")
_SUFFIXES = re.compile(r"(?:_PREVIOUS)?(?:_FILE)?\Z")

_OF_KUBERNETES = re.compile(r".*_SERVICE_(HOST|PORT)(_.*)?|.*_PORT_\d+_(TCP|UDP|SCTP)(_.*)?")
"""What each container is given for a service that is called “bridge”."""
_ADDRESS = ("tcp://", "udp://", "sctp://")


def unknown_settings(environment: Environment, mappings: Path) -> list[tuple[str, str | None]]:
    """Each name that begins like a setting and is none, with the nearest that is one.

    ``mappings``: the folder of mapping files, which bring settings of their own.
    """
    found = sorted(name for name in environment if _looks_like_one(name))
    if not found:
        return []
    known = {*BY_NAME, *_named_in(mappings)}
    return [
        (name, _nearest(name, known))
        for name in found
        if _SUFFIXES.sub("", name) not in known and not _of_others(name, environment)
    ]


def warn_of_unknown_settings(settings: Settings, log: logs.Log) -> None:
    """Say in the log which settings of this process are none."""
    for name, near in unknown_settings(settings.environment, Path(settings["BRIDGE_MAPPINGS"])):
        log.warning("no such setting", setting=name, advice=advice(name, near))


def advice(name: str, nearest: str | None) -> str:
    """What to tell of such a name."""
    hint = "" if nearest is None else f" Did you mean {nearest}?"
    return f"{name} is no setting and changes nothing.{hint}"


def _looks_like_one(name: str) -> bool:
    return name.upper().startswith(PREFIX) and not name.startswith(OF_TESTS)


def _of_others(name: str, environment: Environment) -> bool:
    """Whether it has no value, or one that is not meant for the bridge."""
    value = environment.written(name)
    return not value or value.startswith(_ADDRESS) or _OF_KUBERNETES.fullmatch(name) is not None


def _named_in(folder: Path) -> set[str]:
    """The settings that mapping files name."""
    found: set[str] = set()
    for path in sorted([*folder.glob("*.yaml"), *folder.glob("*.yml")]):
        try:
            found.update(_IN_MAPPINGS.findall(path.read_text(encoding="utf-8", errors="replace")))
        except OSError:  # whoever loads it says so
            continue
    return found


def _nearest(name: str, known: Iterable[str]) -> str | None:
    """The setting that is spelt most like it; all begin alike, so that does not count."""
    suffix = _SUFFIXES.search(name)
    end = suffix[0] if suffix else ""
    choices = {choice.removeprefix(PREFIX): choice for choice in sorted(known)}
    own = name[: len(name) - len(end)].upper().removeprefix(PREFIX)[:100]
    close = get_close_matches(own, choices, n=1, cutoff=0.6)
    return choices[close[0]] + end if close else None
