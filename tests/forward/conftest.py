"""A local API, a client for it, and a campaign on it."""

from __future__ import annotations

from collections.abc import Iterator
from ssl import SSLContext

import pytest

from bridge.forward.client import CampaignClient, trusted

from .api import ApiServer


@pytest.fixture
def api() -> Iterator[ApiServer]:
    server = ApiServer()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def trust() -> SSLContext:
    return trusted()


@pytest.fixture
def client(trust: SSLContext) -> Iterator[CampaignClient]:
    client = CampaignClient(trust)
    yield client
    client.close()
