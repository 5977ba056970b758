"""What makes two mappings the same: the version of a source's mapping, and how it is kept.

A version covers everything that decides what becomes of an event: the text of the file, the
values of the settings that it reads (secrets and addresses apart), the country of numbers without
``+``, and where its campaigns and groups lead. What is kept is what was written: ``${NAME}`` stays
a name.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from hashlib import blake2b
from typing import TypeAlias

from bridge.map.document import Path_
from bridge.map.route import Directory
from bridge.map.rules import Rule
from bridge.map.substitution import Filled
from bridge.model import Campaign, Json, KeptMapping

Routing: TypeAlias = Mapping[str, Mapping[str, Json]]
"""Campaign → ``{"groups": […], "configured": bool}``."""


def digest(parts: Iterable[bytes]) -> str:
    """12 hexadecimal digits over parts of any content."""
    hashed = blake2b(digest_size=6)
    for part in parts:
        hashed.update(len(part).to_bytes(8, "big") + part)
    return hashed.hexdigest()


def kept_mapping(
    stem: str, text: str, region: str, *, data: Json, rules: Iterable[Rule], directory: Directory
) -> KeptMapping:
    """A source's mapping as it is to be kept; ``data`` has settings filled in."""
    settings = dict(_settings(data, ()))
    routes = _deciding(rules, directory)
    parts = (text, region, settings, routes)
    return KeptMapping(
        version=digest([stem.encode(), *(_canonical(part) for part in parts)]),
        source=stem,
        text=text,
        region=region,
        routing={
            name: {"groups": list(campaign.groups), "configured": campaign.configured}
            for name, campaign in directory.campaigns.items()
        },
    )


def directory_of(routing: Routing) -> Directory:
    """The campaigns and groups as they were; good for routing, not for sending."""
    return Directory(
        {
            name: Campaign(
                name,
                "",
                "",
                None,
                groups=tuple(seen["groups"]),
                missing=() if seen["configured"] else ("then",),
            )
            for name, seen in routing.items()
        }
    )


def _canonical(value: Json) -> bytes:
    text = json.dumps(value, ensure_ascii=True, sort_keys=True, separators=(",", ":"))
    return text.encode("ascii")


def _settings(value: Json, path: Path_) -> Iterator[tuple[str, str]]:
    """Every text with settings filled in that may decide a result: as written → as read."""
    if path in (("receive", "verify"), ("receive", "answer")):
        return
    if path[:1] == ("enrich",) and path[2:] == ("url",):
        return
    if isinstance(value, Filled):
        yield value.raw, str(value)
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _settings(item, (*path, key))
    elif isinstance(value, list):
        for place, item in enumerate(value):
            yield from _settings(item, (*path, place))


def _deciding(rules: Iterable[Rule], directory: Directory) -> dict[str, list[list[Json]]]:
    """Where the names lead that stand in the rules, or that an expression may give."""
    names: set[str] = set()
    for rule in rules:
        names.update(name for _, name in rule.route.mentioned())
        if rule.route.source is not None and rule.route.table is None:
            names.update(directory.names)
    return {
        name: [[one, one in directory.configured] for one in sorted(directory.members(name) or ())]
        for name in sorted(names)
    }
