"""A CRM, a clock that only waiting moves, and look-ups over both."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jmespath
import pytest

from bridge.enrich import Lookups
from bridge.errors import LookupFailed
from bridge.model import Found, Lookup, Secret, Wanted

from .clock import Clock
from .crm import Crm
from .declared import Declared, mapping_of
from .rest import Api

TOKEN = "pat-live-0123456789"


@dataclass
class Desk:
    """The look-ups under test, with what a test needs around them."""

    crm: Crm
    lookups: Lookups
    clock: Clock

    def resolve(self, *wanted: Wanted) -> list[Found | LookupFailed]:
        return self.lookups.resolve(wanted, self.clock.now)

    def ask(self, *ids: str, account: str = "1") -> Found | LookupFailed:
        return self.resolve(Wanted("contact", account, ids))[0]

    def found(self, *ids: str, account: str = "1") -> Found:
        answer = self.ask(*ids, account=account)
        assert isinstance(answer, Found), answer
        return answer

    def failure(self, *ids: str, account: str = "1") -> LookupFailed:
        answer = self.ask(*ids, account=account)
        assert isinstance(answer, LookupFailed), answer
        return answer


def contact_lookup(url: str, **changes: Any) -> Lookup:
    """The contact look-up as the HubSpot mapping declares it."""
    declared: dict[str, Any] = {
        "name": "contact",
        "url": url,
        "token": Secret("HUBSPOT_ACCESS_TOKEN", (TOKEN,)),
        "tokens": {},
        "body": {"properties": ["phone"], "propertiesWithHistory": [], "inputs": "@ids"},
        "input": {"id": "@id"},
        "results": "results",
        "result_id": "id",
        "result_value": "properties",
        "timeout_s": 5.0,
        "survivors": True,
        "internal": True,
    }
    return Lookup(**(declared | changes))


@pytest.fixture
def crm() -> Iterator[Crm]:
    crm = Crm()
    yield crm
    crm.stop()


@pytest.fixture
def other_crm() -> Iterator[Crm]:
    crm = Crm()
    yield crm
    crm.stop()


@pytest.fixture
def opened(crm: Crm) -> Iterator[Callable[..., Desk]]:
    """Opens look-ups of which the given fields are declared otherwise."""
    open_desks: list[Desk] = []

    def open_desk(records_kept: int = 50_000, **changes: Any) -> Desk:
        clock = Clock()
        lookups = Lookups(
            {"contact": contact_lookup(**({"url": crm.url} | changes))},
            jmespath.search,
            wait=clock.wait,
            wall=clock.wall_ms,
            records_kept=records_kept,
        )
        open_desks.append(Desk(crm, lookups, clock))
        return open_desks[-1]

    yield open_desk
    for desk in open_desks:
        desk.lookups.close()


@pytest.fixture
def desk(opened: Callable[..., Desk]) -> Desk:
    return opened()


@pytest.fixture
def api() -> Iterator[Api]:
    api = Api()
    yield api
    api.stop()


@pytest.fixture
def declared(tmp_path: Path, api: Api) -> Iterator[Callable[..., Declared]]:
    """Opens a declared look-up; ``API`` in it is the server, ``KEY`` and ``OTHER`` are secrets."""
    opened: list[Declared] = []

    def opening(lookup: str, receive: str = "", keeper: Any = None, **settings: str) -> Declared:
        given = {"API": api.url, "KEY": "key-1", "OTHER": "other-1", **settings}
        opened.append(Declared(mapping_of(tmp_path, lookup, given, receive), keeper))
        return opened[-1]

    yield opening
    for one in opened:
        one.lookups.close()
