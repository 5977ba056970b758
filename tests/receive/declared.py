"""Sources as mapping files declare them: what stands below ``receive``, by vector or sender."""

from __future__ import annotations

import textwrap
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from bridge.map import load_mappings
from bridge.model import Source
from bridge.settings import Environment

CAMPAIGNS = "campaigns: {main: {id: camp_1}}\n"
RULES = """
rules:
  - name: all
    lead: {phone_number: phone, first_name: name}
"""

_STANDARD = """\
verify:
  - standard_webhooks: {secret: "${SECRET}"}
"""
_ZENDESK = """\
verify:
  - hmac:
      secret: "${SECRET}"
      header: X-Zendesk-Webhook-Signature
      encoding: base64
      signed: [timestamp, body]
      timestamp: {header: X-Zendesk-Webhook-Signature-Timestamp, format: iso}
"""
_KLAVIYO = """\
verify:
  - all_of:
      - any_of:
          - hmac:
              secret: "${SECRET}"
              header: Klaviyo-Signature
              signed: [body, timestamp]
              timestamp: {header: Klaviyo-Timestamp, format: iso}
          - hmac:
              secret: "${SECRET}"
              header: Klaviyo-Signature
              signed: [body, timestamp]
              timestamp: {header: Klaviyo-Timestamp, format: http_date}
      - equals: {body: meta.klaviyo_webhook_id, header: Klaviyo-Webhook-Id}
"""
_MAILCHIMP = """\
decode: nested_form
verify:
  - hmac:
      secret: "${SECRET}"
      header: X-Mailchimp-Signature
      style: parts
      signed: [timestamp, "text:.", body]
      timestamp: {part: t}
"""
_TWILIO = """\
decode: form
verify:
  - hmac:
      secret: "${SECRET}"
      header: X-Twilio-Signature
      algorithm: sha1
      encoding: base64
      signed: [url, form]
"""

BY_VECTOR: dict[str, str] = {
    "standard-webhooks-v1": _STANDARD,
    "standard-webhooks-v1-rotation": _STANDARD,
    "standard-webhooks-v1-public": _STANDARD,
    "standard-webhooks-v1a": _STANDARD,
    "svix-v1": 'verify:\n  - standard_webhooks: {secret: "${SECRET}", headers: svix}\n',
    "close": """\
verify:
  - hmac:
      secret: "${SECRET}"
      key: hex
      header: close-sig-hash
      signed: [timestamp, body]
      timestamp: {header: close-sig-timestamp}
""",
    "attio": 'verify:\n  - hmac: {secret: "${SECRET}", header: Attio-Signature}\n',
    "intercom": """\
verify:
  - hmac: {secret: "${SECRET}", header: X-Hub-Signature, algorithm: sha1, prefix: "sha1="}
""",
    "follow-up-boss": """\
verify:
  - hmac: {secret: "${SECRET}", header: FUB-Signature, signed: [body_base64]}
""",
    "zendesk": _ZENDESK,
    "zendesk-empty-body": _ZENDESK,
    "twenty": """\
verify:
  - hmac:
      secret: "${SECRET}"
      header: X-Twenty-Webhook-Signature
      signed: [timestamp, "text::", body]
      timestamp: {header: X-Twenty-Webhook-Timestamp, format: unix_ms}
""",
    "espocrm": 'verify:\n  - hmac: {secret: "${SECRET}", header: Signature, style: wrapped}\n',
    "espocrm-legacy": """\
verify:
  - hmac: {secret: "${SECRET}", header: X-Signature, style: wrapped, encoding: raw}
""",
    "frappe": """\
verify:
  - hmac: {secret: "${SECRET}", header: X-Frappe-Webhook-Signature, encoding: base64}
""",
    "customerio": """\
verify:
  - hmac:
      secret: "${SECRET}"
      header: X-CIO-Signature
      signed: ["text:v0:", timestamp, "text::", body]
      timestamp: {header: X-CIO-Timestamp}
""",
    "klaviyo-http-date": _KLAVIYO,
    "klaviyo-iso": _KLAVIYO,
    "mailchimp": _MAILCHIMP,
    "mailchimp-rotation": _MAILCHIMP,
    "calendly": """\
verify:
  - hmac:
      secret: "${SECRET}"
      header: Calendly-Webhook-Signature
      style: parts
      signed: [timestamp, "text:.", body]
      timestamp: {part: t, tolerance: 180}
""",
    "typeform": """\
verify:
  - hmac: {secret: "${SECRET}", header: Typeform-Signature, prefix: "sha256=", encoding: base64}
""",
    "twilio-form": _TWILIO,
    "twilio-form-query": _TWILIO,
    "twilio-form-port": _TWILIO,
    "twilio-repeated": _TWILIO,
    "twilio-sha256": _TWILIO.replace("sha1", "sha256"),
    "twilio-json": _TWILIO.replace("[url, form]", "[url]").replace("form\n", "json\n", 1)
    + "      body_hash: bodySHA256\n",
    "monday-jwt": 'verify:\n  - jwt: {secret: "${SECRET}"}\n',
    "pipedrive-basic": 'verify:\n  - basic: {user: bridge, password: "${SECRET}"}\n',
    "static-header": 'verify:\n  - header: {name: X-Bridge-Token, token: "${SECRET}"}\n',
    "dataverse-webhook-key": 'verify:\n  - query: {name: code, token: "${SECRET}"}\n',
    "zoho-body-token": 'verify:\n  - body: {at: token, token: "${SECRET}"}\n',
    "copper-body-secret": 'verify:\n  - body: {at: secret, token: "${SECRET}"}\n',
    "salesforce-organization": """\
decode: xml
lists: [Envelope.Body.notifications.Notification]
drop: {body: [Envelope.Body.notifications.SessionId]}
verify:
  - all_of:
      - path: {token: "${SECRET}"}
      - equals:
          body: Envelope.Body.notifications.OrganizationId
          value: "${SALESFORCE_ORGANIZATION_ID}"
          length: 15
answer:
  content_type: text/xml; charset=utf-8
  body: |
    <?xml version="1.0" encoding="UTF-8"?>
    <soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/"><soapenv:Body><notificationsResponse xmlns="http://soap.sforce.com/2005/09/outbound"><Ack>true</Ack></notificationsResponse></soapenv:Body></soapenv:Envelope>
""",  # noqa: E501 - one line, as it goes out
}
SETTINGS = {"SALESFORCE_ORGANIZATION_ID": "00D5e00000A1bCd"}


@cache
def declared(receive: str, secret: str | None = None) -> Source:
    """The source ``crm`` with this below ``receive``. Errors: ``MappingError``."""
    given = SETTINGS if secret is None else {**SETTINGS, "SECRET": secret}
    text = f"source: crm\nreceive:\n{textwrap.indent(receive, '  ')}{RULES}"
    with TemporaryDirectory() as folder:
        (Path(folder) / "campaigns.yaml").write_text(CAMPAIGNS, encoding="utf-8")
        (Path(folder) / "crm.yaml").write_text(text, encoding="utf-8")
        loaded = load_mappings(
            Path(folder),
            Environment(given),
            api_url="https://api.example.com/",
            api_token=None,
            default_region="US",
        )
    return loaded.sources["crm"]
