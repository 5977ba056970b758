"""The shipped mapping files verify what their senders really sign, not only our own."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from bridge.map import load_mappings
from bridge.model import Refused, Source, Verified
from bridge.receive.verify import verify
from bridge.settings import Environment

from .test_declared_schemes import VECTORS, request_of, secret_of

SHIPPED = Path(__file__).parents[2] / "mappings"
ORGANIZATION = {"SALESFORCE_ORGANIZATION_ID": "00D5e00000A1bCd"}

# vector → source, the setting that holds its secret, further settings
VERIFIED_BY: dict[str, tuple[str, str, dict[str, str]]] = {
    "close": ("close", "CLOSE_SIGNATURE_KEY", {}),
    "pipedrive-basic": ("pipedrive", "PIPEDRIVE_PASSWORD", {}),
    "salesforce-organization": ("salesforce-outbound", "SALESFORCE_PATH_TOKEN", ORGANIZATION),
    "static-header": ("salesforce-flow", "SALESFORCE_FLOW_TOKEN", {}),
    "standard-webhooks-v1": ("generic", "GENERIC_SECRET", {}),
    "standard-webhooks-v1a": ("generic", "GENERIC_SECRET", {}),
    "twilio-form": ("twilio", "TWILIO_AUTH_TOKEN", {}),
    "twilio-repeated": ("twilio", "TWILIO_AUTH_TOKEN", {}),
    "twilio-sha256": ("twilio", "TWILIO_SHARED_KEY", {}),
}


def shipped(name: str, **settings: str) -> Source:
    return load_mappings(
        SHIPPED,
        Environment(settings),
        api_url="https://api.example.com",
        api_token=None,
        default_region="US",
    ).sources[name]


@pytest.mark.parametrize("name", sorted(VERIFIED_BY))
def test_a_request_as_its_sender_signs_it_passes(name: str) -> None:
    source_name, setting, further = VERIFIED_BY[name]
    vector = VECTORS[name]
    now = vector["now"] * 1000
    request = request_of(vector)
    schemes = shipped(source_name, **{setting: secret_of(vector)}, **further).verify
    assert isinstance(verify(schemes, request, now), Verified)
    bare = replace(request, headers={}, token=None)
    assert isinstance(verify(schemes, bare, now), Refused)
