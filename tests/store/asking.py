"""A worker's steps over a database whose look-ups ask a real server."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from enrich.rest import Api

from bridge.enrich import Lookups
from bridge.map.search import search
from bridge.settings import Environment
from bridge.store.database import Database

from .replaying import BOUNDS, World


class Asking(World):
    """A world whose worker asks a CRM, in which a record may come within the hour."""

    bounds = replace(BOUNDS, lookup_settle=3_600_000)

    def __init__(self, database: Database, folder: Path, api: Api, file: str) -> None:
        self.api = api
        self.environment = Environment(
            {"CRM_TOKEN": "crm-token", "CRM_URL": api.url, "BRIDGE_API_TOKEN": "api-token"}
        )
        super().__init__(database, folder)
        self.write(file, ("one",))
        self.lookups = Lookups(self.mappings.mappings["crm"].lookups, search, wait=lambda _s: True)

    def look_up(self) -> int:
        """Ask for all that waits, whenever it is due, as if the CRM had never failed before."""
        self.lookups.replace({})
        with self.database.write() as connection:
            connection.exec_driver_sql("UPDATE event SET due_at = 0 WHERE state = 'pending'")
        return self.worker().look_up("crm", self.lookups)

    def opted_out(self) -> list[str]:
        return [row["phone"] for row in self.outcomes() if row["opts_out"]]
