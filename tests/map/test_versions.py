"""A version covers everything that decides what becomes of an event, and can be used again."""

from __future__ import annotations

from bridge.map import SourceMapping, load_kept
from bridge.model import Delivery, Known
from bridge.settings import Environment

from .conftest import CAMPAIGNS, ENVIRONMENT, HEAD, Load

RULES = """\
rules:
  - name: name
    campaigns: us
    lead: {phone_number: phone, first_name: "${NAME_FIELD:-name}"}
"""
ALL = RULES.replace("campaigns: us", "campaigns: all")
BODY = {"phone": "(415) 555-0123", "name": "Jane", "nick": "J"}


def updates(mapping: SourceMapping) -> dict[str, str]:
    """What the mapping makes of the body: campaign → first name."""
    delivery = Delivery(1, "r" * 32, "crm", 0, "POST", {}, {}, b"", "bearer")
    (event,) = mapping.split(BODY, delivery)
    return {u.campaign: u.fields["first_name"] for u in mapping.apply(event, {}, Known()).updates}


def version(load: Load, rules: str = RULES, campaigns: str = CAMPAIGNS, **settings: str) -> str:
    found = load({"crm.yaml": HEAD + rules, "campaigns.yaml": campaigns}, ENVIRONMENT | settings)
    return found.mappings["crm"].version


def test_a_version_covers_the_settings_that_a_file_reads_but_no_secret(load: Load) -> None:
    first = version(load)
    assert version(load, NAME_FIELD="nick") != first
    assert version(load, CRM_TOKEN="another-token", OTHER="1") == first


def test_a_version_covers_where_the_campaigns_of_a_file_lead(load: Load) -> None:
    third = CAMPAIGNS + "  third: {id: camp_3, groups: [%s]}\n"
    assert version(load, campaigns=third % "every") == version(load)
    assert version(load, campaigns=third % "us") != version(load)
    assert version(load, ALL, third % "every") != version(load, ALL)
    assert version(load, ALL, UNSET_CAMPAIGN="camp_9") != version(load, ALL)
    assert version(load, campaigns=CAMPAIGNS + "defaults: {rate: 3}\n") == version(load)


def test_a_kept_version_maps_as_it_did_however_the_campaigns_have_changed(load: Load) -> None:
    before = load({"crm.yaml": HEAD + ALL}).mappings["crm"]
    only = "campaigns:\n  new: {id: camp_n}\n"
    after = load({"crm.yaml": HEAD + ALL, "campaigns.yaml": only}).mappings["crm"]
    assert updates(after) == {"new": "Jane"}

    again = load_kept(before.kept, Environment(ENVIRONMENT))
    assert updates(again) == updates(before) == {"main": "Jane", "second": "Jane"}
    assert again.version == before.version


def test_a_kept_version_with_another_setting_is_another_version(load: Load) -> None:
    before = load({"crm.yaml": HEAD + RULES}).mappings["crm"]
    again = load_kept(before.kept, Environment(ENVIRONMENT | {"NAME_FIELD": "nick"}))
    assert updates(again) == {"main": "J"}
    assert again.version != before.version


def test_what_is_kept_names_secrets_and_holds_none(load: Load) -> None:
    kept = load({"crm.yaml": HEAD + RULES}).mappings["crm"].kept
    assert kept.text == HEAD + RULES
    assert "${CRM_TOKEN}" in kept.text
    assert ENVIRONMENT["CRM_TOKEN"] not in kept.text
