"""``docs/mapping-reference.md``: every key of the files that people edit, as defined."""

from __future__ import annotations

import json
from collections.abc import Iterator

from bridge.map.schema import schemas
from bridge.model import Json

_HEAD = """\
# Reference of mapping files

Every key, with what it takes. [mappings.md](mappings.md) explains how they play together.
This page is made by `crm-bridge mapping schema --markdown` from the definitions by which the
bridge reads the files; the JSON Schema of `crm-bridge mapping schema` says the same to editors.
"""
_TITLES = {
    "source.json": "`<source>.yaml`",
    "campaigns.json": "`campaigns.yaml`",
    "cases.json": "`<source>.cases.yaml`",
}
_DEFINED = {
    "value": "A value of a lead's field",
    "phone_value": "A phone number",
    "transform": "A transform",
    "scheme": "A scheme of `verify`",
    "handshake": "A handshake",
}


def page() -> str:
    """The whole page."""
    parts = [_HEAD]
    for name, schema in schemas().items():
        parts.append(f"## {_TITLES[name]}\n\n" + _table(_rows(schema, "")))
        for defined, below in schema.get("$defs", {}).items():
            title = _DEFINED.get(defined, f"`{defined}`")
            words = _words(below)
            told = (
                f"One of the words {', '.join(f'`{w}`' for w in words)}, or:\n\n" if words else ""
            )
            parts.append(f"### {title}\n\n{told}{_table(_rows(below, ''))}")
    return "\n".join(parts)


def _table(rows: Iterator[tuple[str, str, str]]) -> str:
    lines = ["| key | takes | is |", "| --- | --- | --- |"]
    seen: set[str] = set()
    for key, takes, told in rows:
        if key not in seen:
            seen.add(key)
            lines.append(f"| `{key}` | {takes} | {told} |")
    return "\n".join(lines) + "\n"


def _rows(schema: Json, above: str) -> Iterator[tuple[str, str, str]]:
    for part in schema.get("anyOf", ()):
        yield from _rows(part, above)
    required = set(schema.get("required", ()))
    for key, below in schema.get("properties", {}).items():
        path = f"{above}.{key}" if above else key
        yield path, _takes(below), _told(below, required=key in required)
        yield from _rows(below, path)
    if isinstance(schema.get("items"), dict):
        yield from _rows(schema["items"], f"{above}[]")
    if isinstance(schema.get("additionalProperties"), dict):
        yield from _rows(schema["additionalProperties"], f"{above}.<name>")


def _told(schema: Json, *, required: bool) -> str:
    told = str(schema.get("description", ""))
    if required:
        told += " Required."
    if "default" in schema and schema["default"] is not False and schema["default"] != "":
        told += f" Default `{schema['default']}`."
    for example in schema.get("examples", ()):
        told += f" Example: `{_text(example)}`."
    return told.strip().replace("|", "\\|")


def _text(value: Json) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _takes(schema: Json) -> str:
    found = list(dict.fromkeys(_kinds(schema)))
    return " or ".join(found) if found else "anything"


def _kinds(schema: Json) -> Iterator[str]:
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        title = _DEFINED.get(name, name)
        yield f"[{title[:1].lower()}{title[1:].replace('`', '')}](#{_anchor(title)})"
    for part in schema.get("anyOf", ()):
        yield from _kinds(part)
    yield from _plain_kind(schema)


def _plain_kind(schema: Json) -> Iterator[str]:
    if "enum" in schema:
        yield ", ".join(f"`{word}`" for word in schema["enum"])
    elif "const" in schema:
        yield f"`{schema['const']}`"
    elif "pattern" in schema and schema["pattern"].startswith("^\\$"):
        yield '`"${NAME}"`'
    elif isinstance(schema.get("type"), list):
        yield ", ".join(schema["type"])
    elif "minimum" in schema:
        yield f"{schema['type']} from {schema['minimum']} to {schema['maximum']}"
    elif schema.get("type") == "string":
        yield "expression" if "maxLength" in schema else "text"
    elif "type" in schema:
        yield _NAMES[schema["type"]]


_NAMES = {"boolean": "true or false", "array": "list", "object": "mapping", "null": "null"}


def _anchor(title: str) -> str:
    return title.lower().replace("`", "").replace("'", "").replace(" ", "-")


def _words(schema: Json) -> list[str]:
    return [word for part in schema.get("anyOf", ()) for word in part.get("enum", ())]
