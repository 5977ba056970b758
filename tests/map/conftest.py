"""Writes mapping files into a folder and loads them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from bridge.errors import DecodeError, MappingError, Mistake
from bridge.map import MappingSet, SourceMapping, load_mappings
from bridge.model import Delivery
from bridge.receive.decode import decode
from bridge.settings import Environment

SHIPPED = Path(__file__).parents[2] / "mappings"
CAMPAIGNS = """\
campaigns:
  main: {id: camp_1, groups: [us, every]}
  second: {id: "Vm9pY2U6MTI=", groups: [every]}
  unset: {id: "${UNSET_CAMPAIGN}", groups: [empty]}
"""
HEAD = """\
source: crm
receive:
  verify:
    - bearer: {token: "${CRM_TOKEN}"}
"""
ENVIRONMENT = {"CRM_TOKEN": "s3cret-token", "BRIDGE_API_TOKEN": "api-token"}

Load = Callable[..., MappingSet]
One = Callable[..., SourceMapping]
Refuse = Callable[..., list[Mistake]]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """Loads files by name; ``environment`` replaces the usual one."""

    def loading(
        files: Mapping[str, str | bytes],
        environment: Mapping[str, str] = ENVIRONMENT,
        **more: Any,
    ) -> MappingSet:
        for name, text in {"campaigns.yaml": CAMPAIGNS, **files}.items():
            (tmp_path / name).write_bytes(text if isinstance(text, bytes) else text.encode())
        given = Environment(environment)
        return load_mappings(
            tmp_path,
            given,
            api_url="https://api.example.com/",
            api_token=given.secret("BRIDGE_API_TOKEN"),
            default_region="US",
            **more,
        )

    return loading


@pytest.fixture(scope="session")
def shipped() -> MappingSet:
    """The shipped files, with no setting set."""
    return load_mappings(
        SHIPPED,
        Environment({}),
        api_url="https://api.example.com",
        api_token=None,
        default_region="US",
        placeholders=True,
    )


@pytest.fixture
def one(load: Load) -> One:
    """Loads one source from the text of its file, or of what follows its head."""

    def loading(text: str, environment: Mapping[str, str] = ENVIRONMENT) -> SourceMapping:
        whole = text if text.startswith("source:") else HEAD + text
        return load({"crm.yaml": whole}, environment).mappings["crm"]

    return loading


@pytest.fixture
def refuse(load: Load) -> Refuse:
    """The mistakes of a file that does not load."""

    def refusing(text: str | bytes, environment: Mapping[str, str] = ENVIRONMENT) -> list[Mistake]:
        with pytest.raises(MappingError) as caught:
            load({"crm.yaml": text}, environment)
        return caught.value.mistakes

    return refusing


@pytest.fixture
def delivery() -> Callable[..., Delivery]:
    """A delivery received at 2026-06-25T07:19:30Z."""

    def make(
        headers: Mapping[str, str] | None = None, receipt: str = "r1", received_at: int = RECEIVED
    ) -> Delivery:
        return Delivery(
            id=1,
            receipt=receipt,
            source="crm",
            received_at=received_at,
            method="POST",
            query={},
            headers=headers or {},
            body=b"",
            scheme="bearer",
        )

    return make


RECEIVED = 1_782_371_970_000


def looked_at(mapping: SourceMapping, body: bytes) -> tuple[bool, bool]:
    """Whether a body is silent, and whether it may hold an opt-out: never both.

    Its delivery has a header and a query of the same name as fields of bodies.
    """
    silent = mapping.silent(body)
    try:
        document = decode(mapping.source.decode, body, max_depth=100)
    except DecodeError:
        return silent, False
    around = {"stop": "stop"}
    delivery = Delivery(1, "r", "crm", RECEIVED, "POST", around, around, body, "bearer")
    urgent = mapping.glance(document, delivery)
    assert not (silent and urgent), (mapping.source.name, body)
    return silent, urgent
