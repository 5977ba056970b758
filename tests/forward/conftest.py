"""A local API, a client for it, and a campaign on it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from bridge.forward.client import CampaignClient

from .api import ApiServer


@pytest.fixture
def api() -> Iterator[ApiServer]:
    server = ApiServer()
    yield server
    server.stop()


@pytest.fixture
def client() -> Iterator[CampaignClient]:
    client = CampaignClient()
    yield client
    client.close()
