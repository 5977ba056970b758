"""Which campaigns a rule speaks to.

An opt-out speaks to campaigns that are named and not configured as well: a token may be missing
for a while, and what was said meanwhile waits in the queue of that campaign until it has one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from bridge.map.document import Document, Path_
from bridge.map.expression import Expression
from bridge.map.expression_kind import Expr
from bridge.map.kinds import Definitions, Kind, Text, about, faulty, kind_of
from bridge.map.nearest import advice
from bridge.map.parts import Many, Named, Part
from bridge.map.text import as_text
from bridge.map.unusable import Unusable, shown
from bridge.model import Campaign, Json

ALL = "all"


class Directory:
    """The campaigns and groups that ``campaigns.yaml`` names."""

    def __init__(self, campaigns: Mapping[str, Campaign]) -> None:
        self.campaigns = campaigns
        self.configured = tuple(name for name, c in campaigns.items() if c.configured)
        groups: dict[str, list[str]] = {}
        for campaign in campaigns.values():
            for group in campaign.groups:
                groups.setdefault(group, []).append(campaign.name)
        self.groups = {name: tuple(members) for name, members in groups.items()}
        members_of = {**{name: (name,) for name in campaigns}, **self.groups, ALL: tuple(campaigns)}
        self._reached = {
            name: (tuple(one for one in members if one in self.configured), members)
            for name, members in members_of.items()
        }

    @property
    def names(self) -> tuple[str, ...]:
        """Everything that may stand in ``campaigns:`` of a rule."""
        return (ALL, *self.campaigns, *self.groups)

    def members(self, name: str) -> tuple[str, ...] | None:
        """The campaigns behind a name, configured or not; None if there is no such name."""
        reached = self._reached.get(name)
        return None if reached is None else reached[1]

    def resolve(
        self, names: Iterable[str], notes: list[str], *, opts_out: bool = False
    ) -> tuple[str, ...]:
        """The campaigns behind several names, each once: for an opt-out all of them, otherwise
        those that are configured. Errors: ``Unusable``.

        An unknown name keeps no opt-out from the campaigns beside it; it goes into ``notes``.
        """
        found: dict[str, None] = {}
        unknown: list[str] = []
        for name in names:
            reached = self._reached.get(name)
            if reached is None:
                unknown.append(f"there is no campaign or group {shown(name)}")
            else:
                configured, all_of_them = reached
                found.update(dict.fromkeys(all_of_them if opts_out else configured))
        if unknown and not (opts_out and found):
            raise Unusable(unknown[0])
        notes.extend(unknown)
        if not found:
            raise Unusable("none of the rule's campaigns is configured")
        return tuple(found)


@dataclass(frozen=True, slots=True)
class Route:
    """What ``campaigns:`` of a rule says. ``names``, or ``source`` with an optional table."""

    names: tuple[str, ...] = ()
    source: Expression | None = None
    table: Mapping[str, tuple[str, ...]] | None = None
    default: tuple[str, ...] = ()

    def resolve(
        self, view: Json, directory: Directory, notes: list[str], *, opts_out: bool = False
    ) -> tuple[str, ...]:
        """The campaigns for one event. Errors: ``Unusable`` when there is none."""
        if self.source is None:
            return directory.resolve(self.names, notes, opts_out=opts_out)
        value = self.source.get(view, notes)
        keys = [as_text(one) for one in (value if isinstance(value, list) else [value])]
        given = [key.strip() for key in keys if key is not None and key.strip()]
        names: list[str] = []
        unnamed: list[str] = []
        for key in given:
            if self.table is None:
                names.append(key)
            elif key in self.table:
                names.extend(self.table[key])
            elif self.default:
                names.extend(self.default)
            else:
                unnamed.append(f"no campaign is named for {shown(key)}")
        if not names and not self.default and not unnamed:
            raise Unusable(f"`{self.source.text}` names no campaign")
        if unnamed and not (opts_out and names):
            raise Unusable(unnamed[0])
        notes.extend(unnamed)
        return directory.resolve(names or self.default, notes, opts_out=opts_out)

    def mentioned(self) -> Iterable[tuple[Path_, str]]:
        """Every name that stands in the file, with its path below ``campaigns``."""
        for place, name in enumerate(self.names):
            yield ((place,) if len(self.names) > 1 else ()), name
        for key, names in (self.table or {}).items():
            yield from ((("table", key), name) for name in names)
        yield from ((("default",), name) for name in self.default)


class _Names(Kind):
    what = "a campaign, a group or a list of them"

    def read(self, value: Json) -> Any:
        if isinstance(value, list):
            return Many(Text()).read(value)
        if not isinstance(value, str):
            raise self.wrong(value)
        return (Text().read(value),)

    def json_schema(self, definitions: Definitions) -> dict[str, Json]:
        return {"anyOf": [Text().below(definitions), Many(Text()).below(definitions)]}


_BY_EXPRESSION = Part(
    {
        "from": Expr(
            required=True,
            example="from: portalId",
            metadata=about("Expression for what decides.", "portalId"),
        ),
        "table": Named(
            _Names(),
            example="table: {12345: main}",
            metadata=about(
                "Campaigns by value; without it the value itself names them.", {"12345": "main"}
            ),
        ),
        "default": _Names(
            default=(), metadata=about("For values that the table does not have.", "main")
        ),
    }
)


class RouteKind(Kind):
    """``campaigns:`` of a rule."""

    what = "all, a campaign, a group, a list of them or {from: …}"

    def read(self, value: Json) -> Any:
        """The route; its names are checked once the campaigns are known."""
        if isinstance(value, dict):
            given = _BY_EXPRESSION.read(value)
            return Route((), given["from"], given["table"], given["default"])
        if isinstance(value, str | list):
            return Route(_Names().read(value))
        raise faulty(
            "wrong-type", f"must be {self.what}, not {kind_of(value)}.", "Write campaigns: all."
        )

    def json_schema(self, definitions: Definitions) -> dict[str, Json]:
        return {"anyOf": [_Names().below(definitions), _BY_EXPRESSION.below(definitions)]}


def check_route(route: Route, directory: Directory, document: Document, path: Path_) -> None:
    """Adds a mistake for every name that is unknown."""
    for below, name in route.mentioned():
        if directory.members(name) is None:
            document.add(
                (*path, *below),
                "unknown-campaign",
                f"there is no campaign or group `{name}`.",
                f"Write a list: [{name}]." if "," in name else advice(name, directory.names),
            )
