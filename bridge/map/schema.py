"""The JSON Schema (draft 2020-12) of the files that people edit, made from their definitions.

Editors complete and check by it while one types; the bridge itself never reads it. What a schema
cannot say (what must hold between keys, what an expression means) ``mapping check`` says.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path

from bridge.map.campaigns import CAMPAIGNS
from bridge.map.case_file import CASES
from bridge.map.kinds import Definitions, Kind
from bridge.map.shared_keys import SHARED
from bridge.map.source_file import file_part
from bridge.model import Json

DRAFT = "https://json-schema.org/draft/2020-12/schema"
FOLDER = "schema"
"""Where the schemas lie, seen from the folder of mapping files."""

_FILES: Mapping[str, tuple[str, Callable[[], Kind]]] = {
    "source.json": ("A mapping file of crm-bridge: <source>.yaml", lambda: file_part("US")),
    "campaigns.json": ("The campaigns of crm-bridge: campaigns.yaml", lambda: CAMPAIGNS),
    "cases.json": ("Cases of a mapping file of crm-bridge: <source>.cases.yaml", lambda: CASES),
}


def schemas() -> dict[str, Json]:
    """Every schema by the name of its file."""
    return {name: _whole(title, kind()) for name, (title, kind) in _FILES.items()}


def schema_text(schema: Json) -> str:
    """A schema as its file holds it."""
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def schema_for(name: str) -> str:
    """The schema of a file of this name, by the name of its own file."""
    if name == "campaigns.yaml":
        return "campaigns.json"
    return "cases.json" if name.endswith(".cases.yaml") else "source.json"


def first_line(path: Path) -> str:
    """The line by which editors find the schema of a file in the folder of mapping files."""
    return f"# yaml-language-server: $schema={FOLDER}/{schema_for(path.name)}"


def _whole(title: str, kind: Kind) -> dict[str, Json]:
    definitions: Definitions = {}
    top = kind.below(definitions)
    for name in definitions:
        _tell(definitions[name], name)
    _tell(top, "")
    found: dict[str, Json] = {"$schema": DRAFT, "title": title, **top}
    if definitions:
        found["$defs"] = {name: definitions[name] for name in sorted(definitions)}
    return found


def _tell(schema: Json, section: str) -> None:
    """Describes the keys that mean the same wherever they stand in a section of the file."""
    if isinstance(schema, list):
        for one in schema:
            _tell(one, section)
    if not isinstance(schema, dict):
        return
    for key, below in schema.get("properties", {}).items():
        told = SHARED.get(section, {}).get(key)
        if told is not None:
            below.setdefault("description", told)
        _tell(below, key if key in SHARED else section)
    for key in ("items", "anyOf", "additionalProperties"):
        _tell(schema.get(key), section)
