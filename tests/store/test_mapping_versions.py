"""Every mapping version is kept once, before it makes anything, and without secrets."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from bridge import logs
from bridge.model import KeptMapping
from bridge.steps.versions import KeptMappings, keep
from bridge.store import mapping_versions
from bridge.store.database import Database

from .rows import NOW


def a_kept(version: str, **changes: Any) -> KeptMapping:
    values: dict[str, Any] = {
        "version": version,
        "source": "crm",
        "text": "source: crm\n",
        "region": "US",
        "routing": {"main": {"groups": ["us"], "configured": True}},
    }
    return KeptMapping(**(values | changes))


def a_set(*kept: KeptMapping) -> Any:
    return SimpleNamespace(mappings={one.source: SimpleNamespace(kept=one) for one in kept})


def test_a_version_comes_back_as_it_was_kept_first(database: Database) -> None:
    with database.write() as connection:
        mapping_versions.keep(connection, [a_kept("v1"), a_kept("v2", source="other")], NOW)
        mapping_versions.keep(connection, [a_kept("v1", text="another"), a_kept("v3")], NOW + 1)
    with database.read() as connection:
        assert mapping_versions.find(connection, "v1") == a_kept("v1")
        assert mapping_versions.find(connection, "v9") is None
        assert mapping_versions.newest(connection, "crm") == a_kept("v3")
        assert mapping_versions.unknown(connection, ["v1", "v9"]) == {"v9"}
        rows = mapping_versions.listing(connection, source="crm", limit=9)
    assert [(row["version"], row["first_seen"]) for row in rows] == [("v3", NOW + 1), ("v1", NOW)]


def test_a_set_is_kept_before_it_is_given(database: Database) -> None:
    now_in_force = [a_set(a_kept("v1"))]
    mappings = KeptMappings(database, lambda: now_in_force[0])
    assert mappings() is now_in_force[0]
    now_in_force[0] = a_set(a_kept("v2"))
    mappings()
    with database.read() as connection:
        assert mapping_versions.unknown(connection, ["v1", "v2"]) == set()


def test_a_secret_in_a_comment_is_not_kept(database: Database) -> None:
    logs.blot_out(["hush-hush-token"])
    keep(database, [a_kept("v1", text="source: crm  # hush-hush-token\n")])
    with database.read() as connection:
        kept = mapping_versions.find(connection, "v1")
    assert kept is not None
    assert kept.text == "source: crm  # <secret>\n"
