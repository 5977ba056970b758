"""Console and API show what the disk has left of a body, and say that it is not what came."""

from __future__ import annotations

import json
from pathlib import Path

from sqlalchemy import text
from system.mapping_files import write_mappings

from bridge.app import create_app
from bridge.settings import Environment, Settings
from bridge.store.database import Database
from bridge.store.migrate import migrate
from bridge.store.packing import DAMAGED

from .conftest import TOKEN

LEFT = "This is what is left of it"


def test_a_damaged_body_is_not_shown_as_it_came(tmp_path: Path) -> None:
    folder = tmp_path / "mappings"
    folder.mkdir()
    write_mappings(folder, {"one": "camp_one"})
    url = f"sqlite:///{tmp_path / 'bridge.db'}"
    database = Database(url)
    migrate(database)
    environment = {
        "DATABASE_URL": url,
        "BRIDGE_MAPPINGS": str(folder),
        "BRIDGE_API_TOKEN": "api-token-of-the-tests",
        "BRIDGE_CONSOLE_TOKEN": TOKEN,
        "CRM_TOKEN": "crm-token-of-the-tests",
    }
    client = create_app(Settings(Environment(environment))).test_client()
    body = json.dumps([{"phone": f"+1415555{n:04d}", "dnc": True} for n in range(300)])
    came = client.post(
        "/hooks/crm", data=body, headers={"Authorization": "Bearer crm-token-of-the-tests"}
    )
    path = f"deliveries/{json.loads(came.data)['receipt']}"
    client.post("/console/sign-in", data={"token": TOKEN, "who": "Ada"})
    bearer = {"Authorization": f"Bearer {TOKEN}"}

    def shown() -> tuple[str | None, bool, bool]:
        told = json.loads(client.get(f"/api/{path}", headers=bearer).data)
        page = client.get(f"/console/{path}").text
        return told["damaged"], LEFT in page, "Save it as it came" in page

    assert shown() == (None, False, True)
    with database.write() as connection:
        connection.execute(text("UPDATE delivery SET body = substr(body, 1, 100)"))
    assert shown() == (DAMAGED, True, False)
    database.close()
