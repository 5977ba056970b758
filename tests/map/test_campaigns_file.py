"""``campaigns.yaml``: ids, tokens, tenants, groups and what is missing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from bridge.errors import MappingError
from bridge.model import CallLimits, Campaign

from .conftest import ENVIRONMENT, HEAD, Load

CRM = HEAD + "rules:\n  - name: r\n    lead: {phone_number: p, first_name: n}\n"


def campaigns(
    load: Load, text: str, environment: Mapping[str, str] = ENVIRONMENT, **more: Any
) -> Mapping[str, Campaign]:
    return load({"campaigns.yaml": text, "crm.yaml": CRM}, environment, **more).campaigns


def test_a_campaign_takes_token_and_url_from_itself_tenant_or_settings(load: Load) -> None:
    text = """\
campaigns:
  own: {id: a, token: "${OWN}", url: "http://127.0.0.1:9/"}
  tenant: {id: b, tenant: acme}
  plain: {id: c}
tenants:
  acme: {token: "${ACME}", url: "https://acme.example.com"}
"""
    found = campaigns(load, text, {**ENVIRONMENT, "OWN": "o", "ACME": "t"})
    tokens = {name: c.token.first if c.token else None for name, c in found.items()}
    assert tokens == {"own": "o", "tenant": "t", "plain": "api-token"}
    assert {name: c.url for name, c in found.items()} == {
        "own": "http://127.0.0.1:9",
        "tenant": "https://acme.example.com",
        "plain": "https://api.example.com",
    }
    assert found["tenant"].tenant == "acme"
    assert all(c.configured for c in found.values())


def test_defaults_and_own_values(load: Load) -> None:
    text = """\
campaigns:
  a: {id: "Vm9pY2VDYW1wYWlnbjoxMjM="}
  b: {id: x, rate: 2.5, batch_size: 7, custom_fields: changed, concurrency: "${N:-3}"}
defaults: {custom_fields: all_known, batch_size: 50, timeout: 4}
"""
    found = campaigns(load, text)
    assert found["a"].id == "Vm9pY2VDYW1wYWlnbjoxMjM="
    assert (found["a"].batch_size, found["a"].custom_fields) == (50, "all_known")
    assert (found["b"].batch_size, found["b"].custom_fields) == (7, "changed")
    assert (found["b"].rate_per_s, found["b"].timeout_s, found["b"].concurrency) == (2.5, 4.0, 3)
    assert found["a"].rate_per_s == 10.0


def test_limits_of_a_token_come_from_its_tenant_or_the_settings(load: Load) -> None:
    text = """\
campaigns:
  a: {id: a, tenant: acme}
  b: {id: b, tenant: plain, rate: 3}
  c: {id: c}
tenants:
  acme: {token: "${ACME}", rate: 2.5, concurrency: 4}
  plain: {token: "${ACME}"}
"""
    limits = CallLimits(7, 5, token_rate_per_s=20, token_concurrency=9)
    found = campaigns(load, text, {**ENVIRONMENT, "ACME": "t"}, limits=limits)
    assert {
        name: (c.rate_per_s, c.concurrency, c.token_rate_per_s, c.token_concurrency)
        for name, c in found.items()
    } == {"a": (7, 5, 2.5, 4), "b": (3, 5, 20, 9), "c": (7, 5, 20, 9)}


def test_without_id_or_token_a_campaign_is_not_configured(load: Load) -> None:
    text = 'campaigns:\n  a: {id: "${ID}"}\n  b: {id: x, token: "${TOKEN}"}\n'
    found = campaigns(load, text, {"CRM_TOKEN": "x"})
    assert found["a"].missing == ("ID", "BRIDGE_API_TOKEN")
    assert found["b"].missing == ("TOKEN",)
    assert found["b"].token is None


def test_placeholders_configure_everything(load: Load) -> None:
    found = campaigns(load, 'campaigns:\n  a: {id: "${ID}"}\n', {}, placeholders=True)
    assert found["a"].configured
    assert found["a"].id == "test-ID"
    stand_in = campaigns(load, "campaigns: {}\n", {}, placeholders=True)
    assert list(stand_in) == ["main"]


@pytest.mark.parametrize(
    ("text", "line", "code"),
    [
        ("campaigns:\n  a: {id: 'x y'}\n", 2, "bad-id"),
        ("campaigns:\n  a: {}\n", 2, "missing-key"),
        ("campaigns:\n  a: {id: 5}\n", 2, "wrong-type"),
        ("campaigns:\n  a: {id: x, token: abc}\n", 2, "literal-secret"),
        ("campaigns:\n  a: {id: x, tenant: acme}\n", 2, "unknown-tenant"),
        ("campaigns:\n  a: {id: x}\n  b: {id: x}\n", 3, "same-id"),
        ("campaigns:\n  all: {id: x}\n", 2, "bad-name"),
        ("campaigns:\n  a: {id: x, groups: [a]}\n", 2, "bad-name"),
        ("campaigns:\n  a: {id: x, url: 'http://example.com'}\n", 2, "url-in-the-clear"),
        ("campaigns:\n  a: {id: x, batch_size: 0}\n", 2, "bad-number"),
        ("campaigns:\n  a: {id: x, batch_size: many}\n", 2, "wrong-type"),
        ("campaigns:\n  a: {id: x}\ndefaults: {rates: 5}\n", 3, "unknown-key"),
        ("- a\n", 1, "wrong-type"),
    ],
)
def test_mistakes_are_told(load: Load, text: str, line: int, code: str) -> None:
    with pytest.raises(MappingError) as caught:
        campaigns(load, text)
    assert [(m.file, m.line, m.code) for m in caught.value.mistakes] == [
        ("campaigns.yaml", line, code)
    ]
    assert caught.value.mistakes[0].hint
