"""The JSON Schema and the reference say what the definitions say, and the shipped files fit."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from bridge.map.document import parse_document, read_document
from bridge.map.reference import page
from bridge.map.schema import FOLDER, first_line, schema_for, schema_text, schemas
from bridge.model import Json

from .conftest import SHIPPED
from .fifty_mistakes import GOOD, MISTAKES

FILES = sorted(SHIPPED.glob("*.yaml"))
NAMES = sorted(schemas())


@pytest.mark.parametrize("name", NAMES)
def test_the_committed_schema_is_what_the_definitions_say(name: str) -> None:
    committed = SHIPPED / FOLDER / name
    again = "crm-bridge mapping schema --output mappings/schema"
    assert committed.read_text(encoding="utf-8") == schema_text(schemas()[name]), again


def test_the_committed_reference_is_what_the_definitions_say() -> None:
    committed = SHIPPED.parent / "docs" / "mapping-reference.md"
    again = "crm-bridge mapping schema --markdown > docs/mapping-reference.md"
    assert committed.read_text(encoding="utf-8") == page(), again


@pytest.mark.parametrize("name", NAMES)
def test_a_schema_is_one(name: str) -> None:
    Draft202012Validator.check_schema(schemas()[name])


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_shipped_file_names_its_schema_in_its_first_line_and_fits_it(path: Path) -> None:
    first = path.read_text(encoding="utf-8").partition("\n")[0]
    assert first == first_line(path)
    assert (path.parent / first.partition("$schema=")[2]).is_file()
    assert errors(path.name, read_document(path).data) == []


def errors(name: str, data: Json) -> list[str]:
    validator = Draft202012Validator(schemas()[schema_for(name)])
    return [f"{list(e.absolute_path)}: {e.message}" for e in validator.iter_errors(data)]


def undescribed(schema: Json, path: str = "") -> Iterator[str]:
    """Every key without a description."""
    if isinstance(schema, list):
        for one in schema:
            yield from undescribed(one, path)
    if isinstance(schema, dict):
        for key, below in schema.items():
            if key == "properties":
                for name, one in below.items():
                    if not one.get("description", "").strip():
                        yield f"{path}.{name}"
                    yield from undescribed(one, f"{path}.{name}")
            elif key not in ("examples", "default", "const", "enum"):
                deeper = f"{path}.{key}" if path.endswith("$defs") else path
                yield from undescribed(below, f"{path}$defs" if key == "$defs" else deeper)


@pytest.mark.parametrize("name", NAMES)
def test_every_key_has_a_description(name: str) -> None:
    missing = sorted(set(undescribed(schemas()[name])))
    assert missing == [], 'write metadata={"description": …} where the key is defined'


@pytest.mark.parametrize("name", NAMES)
def test_every_kind_of_value_says_what_it_looks_like(name: str) -> None:
    """Only what may be any JSON has no schema of its own."""
    anything = {"payload", "body", "input", "records", "updates"}

    def bare(schema: Json, key: str = "") -> Iterator[str]:
        if isinstance(schema, list):
            for one in schema:
                yield from bare(one, key)
        elif isinstance(schema, dict):
            for word, one in schema.get("properties", {}).items():
                if not {"type", "anyOf", "$ref", "enum", "const", "oneOf"} & set(one):
                    yield word
                yield from bare(one, word)
            for word in ("items", "anyOf", "additionalProperties"):
                yield from bare(schema.get(word), key)
            for one in schema.get("$defs", {}).values():
                yield from bare(one)

    fields = {"first_name", "last_name", "email", "do_not_call"}
    fields |= {"custom_fields", "mark_as_unanswered"}
    assert set(bare(schemas()[name])) <= anything | fields


def test_a_file_that_the_bridge_takes_fits_the_schema() -> None:
    assert errors("crm.yaml", parse_document(GOOD.encode(), "crm.yaml").data) == []


def test_editors_see_misspelt_and_misplaced_keys_while_one_types() -> None:
    seen = 0
    for mistake in MISTAKES:
        if mistake.code not in ("unknown-key", "unknown-scheme", "unknown-transform"):
            continue
        bad = parse_document(mistake.text_of(GOOD).encode(), "crm.yaml")
        assert errors("crm.yaml", bad.data), mistake.name
        seen += 1
    assert seen >= 8


def test_the_schemas_are_json(tmp_path: Path) -> None:
    for schema in schemas().values():
        assert json.loads(schema_text(schema)) == schema
