"""Events that name a contact id in place of a phone number, which the sandbox's CRM knows."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from sandbox_client import Sandbox
from system.mapping_files import CRM, write_mappings
from system.story import Story, Told

LOOK_UP = """
enrich:
  contact_record:
    url: "${CRM_RECORDS_URL}/crm/v3/objects/contacts/batch/read"
    token: "${CRM_RECORDS_TOKEN}"
    when: contact
    ids: contact
    body: {properties: [phone], propertiesWithHistory: [], inputs: "@ids"}
    input: {id: "@id"}
    results: results
    result_id: id
    result_value: properties
    rate: 50
    cache: 0.2
rules:
"""

SETTINGS = {"BRIDGE_LOOKUP_SETTLE": "120"}
"""A CRM that hides a record for a moment does not make an event end without it."""


def write_mappings_with_look_up(folder: Path, campaigns: Mapping[str, str], **tuning: Any) -> Path:
    """The mapping files of the system tests; the CRM's events may name a contact instead."""
    write_mappings(folder, campaigns, **tuning)
    remembered = "  contacts: {account: \"'the account'\", ids: [contact]}\nrules:"
    text = CRM.replace("rules:", remembered).replace("rules:\n", LOOK_UP.lstrip())
    text = text.replace(
        "phone_number: phone", "phone_number: {first: [phone, contact_record.phone]}"
    )
    (folder / "crm.yaml").write_text(text)
    return folder


def contact_of(story: Story, phone: str) -> str:
    """The id under which the CRM has the person with this number."""
    return str(1000 + story.phones.index(phone))


def put_contacts(sandbox: Sandbox, story: Story) -> None:
    """Let the CRM know everybody."""
    sandbox.put_contacts(
        [{"id": contact_of(story, phone), "properties": {"phone": phone}} for phone in story.phones]
    )


def with_contacts(story: Story, share: float, draw: random.Random) -> Story:
    """The story, in which a share of the events that end well name a contact."""
    changed: dict[str, Told] = {}

    def told(one: Told) -> Told:
        if one.end or not one.fields:
            return one
        if one.id not in changed:
            body = dict(one.body)
            if draw.random() < share:
                del body["phone"]
                body["contact"] = contact_of(story, one.phone)
            changed[one.id] = replace(one, body=body)
        return changed[one.id]

    deliveries = [[told(one) for one in delivery] for delivery in story.deliveries]
    return replace(story, deliveries=deliveries)
