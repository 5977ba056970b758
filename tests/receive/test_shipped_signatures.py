"""The shipped mapping files verify what their senders really sign, not only our own."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from bridge.map import load_mappings
from bridge.model import Refused, Source, Verified
from bridge.receive.verify.any_of import verify
from bridge.settings import Environment

from .test_declared_schemes import (
    FILE,
    NOT_OVER_BODY,
    VECTORS,
    changed,
    request_of,
    secret_of,
)

SHIPPED = Path(__file__).parents[2] / "mappings"
ORGANIZATION = {"SALESFORCE_ORGANIZATION_ID": "00D5e00000A1bCd"}
# Customer.io repeats for a week, and the file allows for it; the vectors are of five minutes.
SHORT = {"CUSTOMERIO_TOLERANCE": "300"}

# vector → source, the setting that holds its secret, further settings
VERIFIED_BY: list[tuple[str, str, str, dict[str, str]]] = [
    ("attio", "attio", "ATTIO_WEBHOOK_SECRET", {}),
    ("close", "close", "CLOSE_SIGNATURE_KEY", {}),
    ("copper-body-secret", "copper", "COPPER_WEBHOOK_SECRET", {}),
    ("customerio", "customerio", "CUSTOMERIO_SIGNING_KEY", SHORT),
    ("dataverse-webhook-key", "dataverse", "DATAVERSE_WEBHOOK_TOKEN", {}),
    ("espocrm", "espocrm", "ESPOCRM_SECRET", {}),
    ("espocrm-legacy", "espocrm", "ESPOCRM_SECRET", {}),
    ("follow-up-boss", "follow-up-boss", "FUB_SYSTEM_KEY", {}),
    ("frappe", "frappe", "FRAPPE_SECRET", {}),
    ("intercom", "intercom", "INTERCOM_CLIENT_SECRET", {}),
    ("klaviyo-http-date", "klaviyo", "KLAVIYO_SECRET", {}),
    ("klaviyo-iso", "klaviyo", "KLAVIYO_SECRET", {}),
    ("mailchimp", "mailchimp", "MAILCHIMP_SIGNING_SECRET", {}),
    ("mailchimp-rotation", "mailchimp", "MAILCHIMP_SIGNING_SECRET", {}),
    ("pipedrive-basic", "pipedrive", "PIPEDRIVE_PASSWORD", {}),
    ("pipedrive-basic", "pipedrive-v1", "PIPEDRIVE_PASSWORD", {}),
    ("pipedrive-basic", "freshsales", "FRESHSALES_TOKEN", {}),
    ("salesforce-organization", "salesforce-outbound", "SALESFORCE_PATH_TOKEN", ORGANIZATION),
    ("standard-webhooks-v1", "generic", "GENERIC_SECRET", {}),
    ("standard-webhooks-v1-public", "generic", "GENERIC_SECRET", {}),
    ("standard-webhooks-v1-rotation", "generic", "GENERIC_SECRET", {}),
    ("standard-webhooks-v1a", "generic", "GENERIC_SECRET", {}),
    ("static-header", "dataverse", "DATAVERSE_WEBHOOK_TOKEN", {}),
    ("static-header", "freshsales", "FRESHSALES_TOKEN", {}),
    ("static-header", "gohighlevel-workflow", "GHL_WORKFLOW_TOKEN", {}),
    ("static-header", "salesforce-flow", "SALESFORCE_FLOW_TOKEN", {}),
    ("static-header", "zoho-workflow", "ZOHO_WORKFLOW_TOKEN", {}),
    ("twenty", "twenty", "TWENTY_SECRET", {}),
    ("twilio-form", "twilio", "TWILIO_AUTH_TOKEN", {}),
    ("twilio-form-port", "twilio", "TWILIO_AUTH_TOKEN", {}),
    ("twilio-form-query", "twilio", "TWILIO_AUTH_TOKEN", {}),
    ("twilio-repeated", "twilio", "TWILIO_AUTH_TOKEN", {}),
    ("twilio-sha256", "twilio", "TWILIO_SHARED_KEY", {}),
    ("zendesk", "zendesk-events", "ZENDESK_EVENTS_SIGNING_SECRET", {}),
    ("zendesk", "zendesk", "ZENDESK_SIGNING_SECRET", {}),
    ("zendesk-empty-body", "zendesk", "ZENDESK_SIGNING_SECRET", {}),
    ("zoho-body-token", "zoho-notifications", "ZOHO_NOTIFICATION_TOKEN", {}),
]
# vectors that no shipped file verifies, and why
NOT_SHIPPED = {
    "calendly": "no file ships for it; test_declared_schemes declares it",
    "monday-jwt": "of apps only, and no protection of the body: commented out in monday.yaml",
    "svix-v1": "its headers have names of their own; generic.yaml takes those of the standard",
    "twilio-json": "twilio.yaml reads incoming messages, and these are forms",
    "typeform": "no file ships for it; test_declared_schemes declares it",
}


@cache
def shipped(name: str, **settings: str) -> Source:
    return load_mappings(
        SHIPPED,
        Environment(settings),
        api_url="https://api.example.com",
        api_token=None,
        default_region="US",
        only=name,
    ).sources[name]


def test_every_vector_has_a_shipped_file_or_a_reason() -> None:
    verified = {vector for vector, *_ in VERIFIED_BY}
    assert verified | NOT_SHIPPED.keys() == VECTORS.keys()
    assert not verified & NOT_SHIPPED.keys()


@pytest.mark.parametrize(
    ("name", "source", "setting", "further"),
    VERIFIED_BY,
    ids=[f"{name}-{source}" for name, source, *_ in VERIFIED_BY],
)
def test_a_request_as_its_sender_signs_it_passes(
    name: str, source: str, setting: str, further: dict[str, str]
) -> None:
    vector = VECTORS[name]
    now = vector["now"] * 1000
    request = request_of(vector)
    schemes = shipped(source, **{setting: secret_of(vector)}, **further).verify
    assert isinstance(verify(schemes, request, now), Verified)
    bare = replace(request, headers={}, token=None, query="", url=vector["url"].partition("?")[0])
    assert isinstance(verify(schemes, replace(bare, body=b"{}"), now), Refused)
    others = shipped(source, **{setting: changed(secret_of(vector))}, **further).verify
    assert isinstance(verify(others, request, now), Refused)
    if name not in NOT_OVER_BODY:
        assert isinstance(verify(schemes, bare, now), Refused)
        more = replace(request, body=request.body + b" ")
        assert isinstance(verify(schemes, more, now), Refused)


@pytest.mark.parametrize(
    ("case", "source", "setting", "further"),
    [
        pytest.param(case, source, setting, further, id=f"{case['id']}-{source}")
        for case in FILE["refuse"]
        for name, source, setting, further in VERIFIED_BY
        if case["like"] == name and case["secret"]
    ],
)
def test_a_request_that_is_to_be_refused_is_by_the_shipped_file(
    case: dict[str, Any], source: str, setting: str, further: dict[str, str]
) -> None:
    schemes = shipped(source, **{setting: secret_of(case)}, **further).verify
    assert isinstance(verify(schemes, request_of(case), case["now"] * 1000), Refused)
