"""Look-ups as mapping files declare them, over real HTTP: from YAML to the record."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from textwrap import indent
from typing import Any

from bridge.enrich import Lookups
from bridge.enrich.oauth import Keeper
from bridge.map import SourceMapping, load_mappings
from bridge.map.search import search
from bridge.model import Delivery, Found, Wanted
from bridge.settings import Environment

from .clock import Clock

REPLIES = Path(__file__).parent / "replies"
FILE = """\
source: crm
receive:
  verify:
    - bearer: {token: "${CRM_TOKEN}"}
HERE
enrich:
  contact:
LOOKUP
rules:
  - name: seen
    lead: {phone_number: phone, first_name: name}
"""


def reply(name: str) -> Any:
    return json.loads((REPLIES / f"{name}-lookup.json").read_bytes())


def mapping_of(
    folder: Path, lookup: str, settings: Mapping[str, str], receive: str = ""
) -> SourceMapping:
    """The mapping of a file with this look-up; ``receive`` are further lines of that section."""
    text = FILE.replace("HERE", indent(receive, "  ")).replace("LOOKUP", indent(lookup, "    "))
    (folder / "crm.yaml").write_text(text)
    (folder / "campaigns.yaml").write_text("campaigns: {main: {id: c}}\n")
    environment = Environment({"CRM_TOKEN": "t", "BRIDGE_API_TOKEN": "t", **settings})
    return load_mappings(
        folder,
        environment,
        api_url="https://api.example.com",
        api_token=environment.secret("BRIDGE_API_TOKEN"),
        default_region="US",
    ).mappings["crm"]


def delivered() -> Delivery:
    return Delivery(1, "r1", "crm", 1_782_371_970_000, "POST", {}, {}, b"", "bearer")


class Declared:
    """The look-ups of a mapping at work; for tests."""

    def __init__(self, mapping: SourceMapping, keeper: Keeper | None = None) -> None:
        self.mapping = mapping
        self.clock = Clock()
        self.lookups = Lookups(mapping.lookups, search, wait=self.clock.wait, keeper=keeper)

    def wanted(self, document: Any) -> list[Wanted]:
        events = self.mapping.split(document, delivered())
        return [one for event in events for one in self.mapping.wants(event)]

    def resolve(self, document: Any) -> list[Any]:
        return self.lookups.resolve(self.wanted(document), self.clock.now)

    def record(self, document: Any) -> Any:
        """The record for a document with one event, which must be found."""
        (answer,) = self.resolve(document)
        assert isinstance(answer, Found), answer
        assert len(answer.records) == 1, answer
        return answer.records[0]
