"""One sandbox for the folder; each test has campaigns of its own on it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from sandbox_client import Sandbox

VECTORS = Path(__file__).parent.parent / "vectors"


def vector(name: str) -> Any:
    """A documented request or answer."""
    return json.loads((VECTORS / f"{name}.json").read_text())


class Caller:
    """What a careful client of the two APIs does, over one kept connection."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.http = httpx.Client(base_url=sandbox.url, timeout=20)
        self._sandbox = sandbox

    def call(self, method: str, path: str, body: Any, token: str | None = None) -> httpx.Response:
        """One call with a bearer token; a body of bytes goes as it is."""
        headers = {
            "Authorization": f"Bearer {token or self._sandbox.token}",
            "Content-Type": "application/json",
        }
        content = body if isinstance(body, bytes) else json.dumps(body)
        return self.http.request(method, path, content=content, headers=headers)

    def update(self, campaign: str, rows: Any, token: str | None = None) -> httpx.Response:
        """The bulk update."""
        path = f"/api/v2/voice-campaigns/{quote(campaign, safe='')}/leads/update/bulk"
        return self.call("PATCH", path, rows, token)

    def add(self, campaign: str, rows: Any) -> httpx.Response:
        """The bulk add."""
        path = f"/api/v2/voice-campaigns/{quote(campaign, safe='')}/leads/bulk"
        return self.call("POST", path, rows)

    def read(self, ids: Sequence[str], *properties: str, **query: str) -> httpx.Response:
        """HubSpot's batch read."""
        body = {
            "properties": list(properties),
            "propertiesWithHistory": [],
            "inputs": [{"id": one} for one in ids],
        }
        return self.read_body(body, **query)

    def read_body(self, body: Any, token: str | None = None, **query: str) -> httpx.Response:
        """HubSpot's batch read with any body."""
        path = str(httpx.URL("/crm/v3/objects/contacts/batch/read", params=query))
        return self.call("POST", path, body, token or self._sandbox.hubspot_token)


@pytest.fixture(scope="session")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """A running sandbox with the usual options."""
    with Sandbox(tmp_path_factory.mktemp("sandbox"), "--add-delay-ms=-1") as running:
        yield running


@pytest.fixture
def caller(sandbox: Sandbox) -> Iterator[Caller]:
    """A client of the shared sandbox."""
    client = Caller(sandbox)
    yield client
    client.http.close()


@pytest.fixture
def campaign(sandbox: Sandbox, request: pytest.FixtureRequest) -> str:
    """A campaign of this test alone."""
    name = f"camp_{request.node.name}"
    sandbox.put_campaigns(name)
    return name
