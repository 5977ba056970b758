"""``replay --look-up`` and ``mapping shadow --look-up`` say what was not looked up, and why.

A refresh token that ends with its use is a worker's: a command that is stopped while it renews one
would take the only one there is with it.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import command_line
import pytest
from enrich.rest import Api, Asked, Says

from bridge.enrich.oauth import Grant
from bridge.model import OAuth, Secret
from bridge.steps.token_keeper import TokenKeeper
from bridge.store.database import Database

from .replaying import ENVIRONMENT, HEAD, World

ROTATING = (
    HEAD
    + """
enrich:
  contact:
    url: "${CRM_URL}/people/{id}"
    oauth:
      url: "${CRM_URL}/token"
      client_id: client-9
      client_secret: "${CRM_TOKEN}"
      refresh_token: "${BRIDGE_API_TOKEN}"
      rotates: true
    ids: contact
rules:
  - name: everything
    lead: {phone_number: contact.phone, first_name: name}
"""
)
WHY = (
    "look-up contact: 127.0.0.1 was not asked, since workers alone renew its access tokens "
    "(rotates: true), and the one that they keep is none, too old or refused; try again once a "
    "worker has looked something up there."
)

Call = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def crm() -> Iterator[Api]:
    def answer(asked: Asked) -> Says:
        known = asked.headers.get("authorization") == "Bearer access-1"
        return Says(200, {"phone": "+14155550101"}) if known else Says(401, {})

    api = Api(answer)
    yield api
    api.stop()


@pytest.fixture
def call(database: Database, tmp_path: Path, crm: Api) -> Call:
    """Runs a command over two events of which only the CRM knows the number."""
    folder = tmp_path / "mappings"
    folder.mkdir()
    world = World(database, folder)
    world.write(ROTATING, ("one",))
    world.take_in({"id": 1, "contact": "7", "name": "Ann"}, {"id": 2, "contact": "8", "name": "Bo"})
    with database.write() as connection:
        connection.exec_driver_sql("UPDATE event SET state = 'done'")
    settings = {
        "DATABASE_URL": database.url,
        "BRIDGE_MAPPINGS": str(folder),
        "BRIDGE_LOG_LEVEL": "error",
        "CRM_TOKEN": ENVIRONMENT["CRM_TOKEN"],
        "CRM_URL": crm.url,
        "BRIDGE_API_TOKEN": ENVIRONMENT["BRIDGE_API_TOKEN"],
    }
    return lambda *words: command_line.call(*words, settings=settings, folder=tmp_path)


def renewed_by_a_worker(database: Database, crm: Api) -> None:
    login = OAuth(
        f"{crm.url}/token",
        "client-9",
        Secret("CRM_TOKEN", (ENVIRONMENT["CRM_TOKEN"],)),
        Secret("BRIDGE_API_TOKEN", (ENVIRONMENT["BRIDGE_API_TOKEN"],)),
        rotates=True,
    )
    TokenKeeper(database).renew(login, None, lambda _token: Grant("access-1", "refresh-1", 600.0))


def test_a_plan_tells_for_each_source_what_was_not_looked_up(call: Call, crm: Api) -> None:
    done = call("replay", "--all", "--look-up")
    assert done.returncode == 1
    assert f"  not looked up, of crm: 2 events: {WHY}\n" in done.stdout
    assert "with --look-up" not in done.stdout
    told = json.loads(call("replay", "--all", "--look-up", "--json").stdout)
    assert (told["look_ups"], told["look_ups_failed"]) == (2, {"crm": {WHY: 2}})
    assert crm.asked == []


def test_a_shadow_tells_what_was_not_looked_up_and_is_no_proof(call: Call, crm: Api) -> None:
    same = ("mapping", "shadow", "crm", "--from", "mappings/crm.yaml", "--to", "mappings/crm.yaml")
    done = call(*same, "--look-up")
    assert done.returncode == 1
    assert f"  not looked up: 2 events: {WHY}\n" in done.stdout
    assert "(--look-up)" not in done.stdout
    told = json.loads(call(*same, "--look-up", "--json").stdout)
    assert (told["look_ups"], told["look_ups_failed"]) == (2, {WHY: 2})
    assert call(*same).returncode == 0  # who does not ask is told, and that is all
    assert crm.asked == []


def test_what_a_worker_has_renewed_serves_and_is_not_renewed(
    call: Call, crm: Api, database: Database
) -> None:
    renewed_by_a_worker(database, crm)
    done = call("replay", "--all", "--look-up", "--json")
    told = json.loads(done.stdout)
    assert (done.returncode, told["look_ups"], told["look_ups_failed"]) == (0, 0, {})
    assert told["updates"] == {"to_send": 2}
    assert {asked.path for asked in crm.asked} == {"/people/7", "/people/8"}


def test_a_token_that_the_crm_refuses_is_left_to_the_workers(
    call: Call, crm: Api, database: Database
) -> None:
    renewed_by_a_worker(database, crm)
    crm.answer = lambda _asked: Says(401, {})
    done = call("replay", "--all", "--look-up", "--json")
    assert done.returncode == 1
    assert json.loads(done.stdout)["look_ups_failed"] == {"crm": {WHY: 2}}
    assert "/token" not in {asked.path for asked in crm.asked}


def test_any_other_failure_is_told_as_well(call: Call, crm: Api, database: Database) -> None:
    renewed_by_a_worker(database, crm)
    crm.answer = lambda _asked: Says(403, {})
    done = call("replay", "--all", "--look-up")
    assert done.returncode == 1
    assert "  not looked up, of crm: 2 events: look-up contact: 127.0.0.1 does not let" in (
        done.stdout
    )
