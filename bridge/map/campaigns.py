"""``campaigns.yaml``: the campaigns by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields as fields_of
from typing import Any

from bridge.map.address import Address
from bridge.map.document import Document
from bridge.map.kinds import Kind, Number, SecretRef, Text, Word, about, faulty
from bridge.map.nearest import advice
from bridge.map.parts import Many, Named, Part, load_part
from bridge.map.route import ALL
from bridge.map.secrets import SecretMissingError, Secrets
from bridge.map.substitution import Environment, missing_in, substitute
from bridge.model import CallLimits, Campaign, Json, Secret

FILE = "campaigns.yaml"
STANDARD = CallLimits()
TOKEN_SETTING = "BRIDGE_API_TOKEN"  # noqa: S105 - the name of a setting


class _Id(Text):
    def read(self, value: Json) -> Any:
        text = str(super().read(value))
        if any(c.isspace() or not c.isprintable() for c in text):
            raise faulty("bad-id", "holds a blank.", "Write the id exactly as the API gives it.")
        return value


def _tuning() -> dict[str, Kind]:
    # No defaults here: None lets `defaults` of the file and then the model's own decide.
    return {
        "batch_size": Number(1, 10_000, whole=True, metadata=about("Leads per call (100).", 50)),
        "batch_bytes": Number(
            1_000, 50_000_000, whole=True, metadata=about("Bytes per call (512000).", 100_000)
        ),
        "concurrency": Number(
            1,
            100,
            whole=True,
            metadata=about("Calls at a time and worker process (BRIDGE_CAMPAIGN_CONCURRENCY).", 1),
        ),
        "rate": Number(
            0.01,
            10_000,
            metadata=about("Calls per second and worker process (BRIDGE_CAMPAIGN_RATE).", 5),
        ),
        "timeout": Number(
            0.1, 600, metadata=about("Seconds for one call, a third of BRIDGE_LEASE at most (10).")
        ),
        "linger_ms": Number(
            0,
            60_000,
            whole=True,
            metadata=about(
                "How long an update that is no opt-out may wait for company at most; it is due "
                "after three quarters (50)."
            ),
        ),
        "phone_format": Word(
            ("e164", "digits"), metadata=about("e164, or digits: without the + (e164).")
        ),
        "custom_fields": Word(
            ("changed", "all_known"),
            metadata=about(
                "all_known: send every custom field that the bridge knows of the lead, for an API "
                "that replaces the whole object (changed)."
            ),
        ),
        "reply_order": Word(
            ("in_order", "any_order"),
            metadata=about(
                "in_order: a reply counts only if its rows stand in the order of the request; "
                "any_order: index and phone number together name the lead (in_order)."
            ),
        ),
    }


_ID_HINT = 'id: "${BRIDGE_CAMPAIGN_ID}", or the id itself in quotes'
_TOKEN = about("Its API key (BRIDGE_API_TOKEN), as the name of a setting.", "${ACME_API_TOKEN}")
_URL = about("Base URL of its API (BRIDGE_API_URL).", "https://api.example.com")
CAMPAIGNS = Part(
    {
        "campaigns": Named(
            Part(
                {
                    "id": _Id(
                        required=True,
                        example=_ID_HINT,
                        metadata=about(
                            "The campaign's id, exactly as the API shows it.",
                            "${BRIDGE_CAMPAIGN_ID}",
                        ),
                    ),
                    "token": SecretRef(metadata=_TOKEN),
                    "url": Address(metadata=_URL),
                    "tenant": Text(metadata=about("A name under `tenants`.", "acme")),
                    "groups": Many(
                        Text(),
                        default=(),
                        example="groups: [us]",
                        metadata=about("Groups that rules may name in `campaigns`.", ["us"]),
                    ),
                    **_tuning(),
                },
                example=_ID_HINT,
            ),
            required=True,
            least=0,
            example="campaigns: and below it `main:` with its id",
            metadata=about("The campaigns, by the name that mapping files, logs and pages use."),
        ),
        "tenants": Named(
            Part(
                {
                    "token": SecretRef(metadata=_TOKEN),
                    "url": Address(metadata=_URL),
                    "rate": Number(
                        0.01,
                        10_000,
                        metadata=about(
                            "Calls per second and worker process with this token "
                            "(BRIDGE_TOKEN_RATE).",
                            20,
                        ),
                    ),
                    "concurrency": Number(
                        1,
                        1000,
                        whole=True,
                        metadata=about(
                            "Calls at a time and worker process with this token "
                            "(BRIDGE_TOKEN_CONCURRENCY).",
                            4,
                        ),
                    ),
                }
            ),
            default={},
            metadata=about("Other accounts, by name: API key and address."),
        ),
        "defaults": Part(
            _tuning(), default={}, metadata=about("For campaigns that say nothing else.")
        ),
    }
)
_RENAMED = {"rate": "rate_per_s", "timeout": "timeout_s"}
_TUNABLE = frozenset(field.name for field in fields_of(Campaign))


def read_campaigns(
    document: Document,
    environment: Environment,
    *,
    api_url: str,
    api_token: Secret | None,
    limits: CallLimits = STANDARD,
    placeholders: bool = False,
) -> dict[str, Campaign]:
    """The campaigns by name. Mistakes end in the document."""
    if document.data is None:
        return {}
    data, _ = substitute(document, environment, lambda path: bool(path) and path[-1] == "token")
    loaded = load_part(CAMPAIGNS, data, document)
    if loaded is None:
        return {}
    secrets = Secrets(environment, document, placeholders)
    found: dict[str, Campaign] = {}
    for name, given in loaded["campaigns"].items():
        tenant = loaded["tenants"].get(given["tenant"]) if given["tenant"] else None
        if given["tenant"] and tenant is None:
            document.add(
                ("campaigns", name, "tenant"),
                "unknown-tenant",
                f"there is no tenant `{given['tenant']}`.",
                advice(given["tenant"], loaded["tenants"]),
            )
        names = given["token"] or (tenant or {}).get("token")
        missing = [] if placeholders else list(missing_in(given["id"]))
        token = api_token
        if names:
            try:
                token = secrets.take(names)
            except SecretMissingError as lacking:
                token = None
                missing.append(str(lacking))
        elif token is None and placeholders:
            token = secrets.take((TOKEN_SETTING,))
        elif token is None:
            missing.append(TOKEN_SETTING)
        url = given["url"] or (tenant or {}).get("url") or api_url
        found[name] = Campaign(
            name,
            str(given["id"]) if placeholders or not missing_in(given["id"]) else "",
            url.rstrip("/"),
            token,
            tenant=str(given["tenant"] or ""),
            groups=tuple(str(group) for group in given["groups"]),
            missing=tuple(missing),
            token_rate_per_s=_first((tenant or {}).get("rate"), limits.token_rate_per_s),
            token_concurrency=_first((tenant or {}).get("concurrency"), limits.token_concurrency),
            **_tuned(limits, loaded["defaults"], given),
        )
    _check_names(document, found)
    if placeholders and not found:
        stand_in = secrets.take((TOKEN_SETTING,))
        found["main"] = Campaign("main", "test-main", api_url.rstrip("/"), stand_in)
    return found


def _first(given: Any, otherwise: Any) -> Any:
    return otherwise if given is None else given


def _tuned(
    limits: CallLimits, defaults: Mapping[str, Any], given: Mapping[str, Any]
) -> dict[str, Any]:
    values: dict[str, Any] = {
        "rate_per_s": limits.rate_per_s,
        "concurrency": limits.concurrency,
    }
    for layer in (defaults, given):
        for key, value in layer.items():
            field = _RENAMED.get(key, key)
            if value is not None and key in _tuning() and field in _TUNABLE:
                values[field] = value
    return values


def _check_names(document: Document, campaigns: Mapping[str, Campaign]) -> None:
    ids: dict[tuple[str, str], str] = {}
    for name, campaign in campaigns.items():
        path = ("campaigns", name)
        if name == ALL or name != name.strip():
            document.add(
                path, "bad-name", f"`{name}` cannot name a campaign.", "Choose another.", key=True
            )
        for group in campaign.groups:
            if group == ALL or group in campaigns:
                document.add(
                    (*path, "groups"),
                    "bad-name",
                    f"`{group}` cannot name a group, since it already means something else.",
                    f"Rename the group, such as `{group}-group`.",
                )
        same = ids.setdefault((campaign.url, campaign.id), name)
        if campaign.id and same != name and campaign.configured:
            document.add(
                (*path, "id"),
                "same-id",
                f"`{name}` has the same id as `{same}`.",
                "Keep one of the two.",
            )
