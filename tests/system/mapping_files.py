"""The mapping folder of these tests: one source, ``crm``, whose events say plainly what they want.

An event is ``{"id", "at", "phone", "to", "dnc", "allowed", "again", "details": {…}}``; only
``phone`` must be there. ``at`` is in milliseconds, ``to`` a list of campaign names (left out: all).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

CRM = """
source: crm
title: The CRM of the tests
receive:
  verify:
    - bearer: {token: "${CRM_TOKEN}"}
  events: "@"
  event_id: [id]
  event_time: {from: at, format: unix_ms}
rules:
  - name: opt-out
    when: "dnc == `true`"
    channel: voice
    campaigns: {from: to, default: all}
    lead:
      phone_number: phone
      do_not_call: {value: true}
  - name: opt-in
    when: "dnc == `false` && allowed"
    channel: voice
    allow_opt_in: true
    campaigns: {from: to, default: all}
    lead:
      phone_number: phone
      do_not_call: {value: false}
  - name: opt-in that may not
    when: "dnc == `false` && allowed == `false`"
    channel: voice
    campaigns: {from: to, default: all}
    lead:
      phone_number: phone
      do_not_call: dnc
  - name: details
    when: details
    campaigns: {from: to, default: all}
    lead:
      phone_number: phone
      first_name: details.first_name
      last_name: details.last_name
      email: {from: details.email, to: email}
      custom_fields: details.custom
  - name: call again
    when: again
    campaigns: {from: to, default: all}
    lead:
      phone_number: phone
      mark_as_unanswered: {value: true}
"""

UNSET = """
source: unset
title: A source whose secret is not set
receive:
  verify:
    - bearer: {token: "${NOBODY_SETS_THIS}"}
rules:
  - name: everything
    lead: {phone_number: phone, first_name: name}
"""


def write_mappings(folder: Path, campaigns: Mapping[str, str], **tuning: Any) -> Path:
    """Write the folder: campaign name → its id at the API, and values for ``defaults``."""
    folder.mkdir(exist_ok=True)
    (folder / "crm.yaml").write_text(CRM)
    (folder / "unset.yaml").write_text(UNSET)
    write_campaigns(folder, campaigns, **tuning)
    return folder


def write_campaigns(folder: Path, campaigns: Mapping[str, str], **tuning: Any) -> None:
    """Write ``campaigns.yaml`` alone."""
    document = {
        "campaigns": {name: {"id": id_} for name, id_ in campaigns.items()},
        "defaults": {"rate": 1000, "timeout": 5, "linger_ms": 10, **tuning},
    }
    # every JSON document is a YAML document
    (folder / "campaigns.yaml").write_text(json.dumps(document, indent=1))
