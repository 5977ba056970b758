"""The shipped mapping files made ready to run: a value for every setting, a campaign for each.

``Crm`` is one file with those of its cases that do not get into each other's way. Everything is
read from the folder, so a file that is added is taken in by itself.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from bridge.map import Case, MappingSet, SourceMapping, load_cases, load_mappings
from bridge.map.case_file import body_of
from bridge.map.document import read_document
from bridge.model import (
    AllOfScheme,
    AnyOfScheme,
    Decoder,
    Delivery,
    Event,
    HmacScheme,
    Json,
    JwtScheme,
    Scheme,
    Secret,
    StandardWebhooksScheme,
)
from bridge.places import values_at
from bridge.receive.decode import decode
from bridge.settings import Environment

SHIPPED = Path(__file__).parents[2] / "mappings"
SOURCES = sorted(
    path.name.removesuffix(".yaml")
    for path in SHIPPED.glob("*.yaml")
    if not path.name.endswith(".cases.yaml") and path.name != "campaigns.yaml"
)
_REFERENCE = re.compile(r"\$\{(\w+)(?::-([^{}]*))?\}")


def campaign_of(source: str) -> str:
    """The id of the campaign that this source alone keeps up to date."""
    return f"camp_{source}"


def write_folder(folder: Path) -> Path:
    """The shipped files, each with a campaign of its own: their samples speak of the same people.

    Only where the updates go is changed. (Every JSON document is a YAML document.)
    """
    folder.mkdir()
    for source in SOURCES:
        data: Any = read_document(SHIPPED / f"{source}.yaml").data
        for rule in data["rules"]:
            if "skip" not in rule:
                rule["campaigns"] = source
        (folder / f"{source}.yaml").write_text(json.dumps(data), encoding="utf-8")
    campaigns = {
        "campaigns": {source: {"id": campaign_of(source)} for source in SOURCES},
        "defaults": {"rate": 1000, "timeout": 5, "linger_ms": 10},
    }
    (folder / "campaigns.yaml").write_text(json.dumps(campaigns), encoding="utf-8")
    return folder


# --------------------------------------------------------------------------- settings


def settings_for(folder: Path, crms_url: str, public_key: str) -> dict[str, str]:
    """A value for every setting that the files name and that has no default.

    Cases take ``test-<NAME>`` for these, so that is what they get, unless it cannot be one: a key
    has the form that its scheme wants. CRMs are looked up at ``crms_url``.
    """
    values: dict[str, str] = {}
    for source in SOURCES:
        for path, text in _walk(read_document(SHIPPED / f"{source}.yaml").data):
            for asked in _REFERENCE.finditer(text):
                name, default = asked.groups()
                if path[-1] == "url" and asked.start() == 0:
                    values[name] = f"{crms_url}/{name}{urlsplit(default or '').path}"
                elif "keys" in path:
                    values[name] = public_key
                elif default is None:
                    values.setdefault(name, f"test-{name}")
    found = loaded(folder, values)
    for source in found.mappings:
        values.update(_tenants(source, Crm(found.mappings[source])))
    return {**values, **secrets_for(found, "test")}


def _tenants(source: str, crm: Crm) -> Iterator[tuple[str, str]]:
    """What a body is compared with: what stands there in the first case that can be sent."""
    for equals in _below("equals", read_document(SHIPPED / f"{source}.yaml").data):
        asked = _REFERENCE.fullmatch(str(equals.get("value")))
        if asked is None or asked[2] is not None or "body" not in equals:
            continue
        place = equals["body"]
        steps = tuple(place if isinstance(place, list) else place.split("."))
        document = decode(crm.mapping.source.decode, body_of(crm.cases[0]), max_depth=100)
        yield asked[1], str(values_at(document, steps)[0])


def secrets_for(found: MappingSet, salt: str) -> dict[str, str]:
    """A value for every secret that a webhook is verified by; another salt, another value."""
    return {
        secret.name: _of_the_right_form(scheme, f"{salt}-{secret.name}")
        for source in found.sources.values()
        for scheme, secret in _secrets(source.verify)
    }


def loaded(folder: Path, values: Mapping[str, str]) -> MappingSet:
    """The mapping files of a folder under these settings."""
    return load_mappings(
        folder,
        Environment(values),
        api_url="https://api.example.com",
        api_token=None,
        default_region="US",
        placeholders=True,
    )


def _walk(value: Json, path: tuple[str, ...] = ("",)) -> Iterator[tuple[tuple[str, ...], str]]:
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, list):
        for item in value:
            yield from _walk(item, path)
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _walk(item, (*path, key))


def _below(key: str, value: Json) -> Iterator[Json]:
    """What stands under this key, wherever that is."""
    for item in value if isinstance(value, list) else []:
        yield from _below(key, item)
    for name, item in value.items() if isinstance(value, dict) else []:
        yield from [item] if name == key else _below(key, item)


def _secrets(schemes: Iterable[Scheme]) -> Iterator[tuple[Scheme, Secret]]:
    for scheme in schemes:
        match scheme:
            case AllOfScheme(schemes=below) | AnyOfScheme(schemes=below):
                yield from _secrets(below)
            case _:
                for name in ("secret", "token", "password"):
                    if isinstance(secret := getattr(scheme, name, None), Secret):
                        yield scheme, secret


def _of_the_right_form(scheme: Scheme, text: str) -> str:
    key = hashlib.sha256(text.encode()).digest()
    match scheme:
        case HmacScheme(key="hex"):
            return key.hex()
        case HmacScheme(key="base64"):
            return base64.b64encode(key).decode()
        case HmacScheme(key="whsec") | StandardWebhooksScheme():
            return f"whsec_{base64.b64encode(key).decode()}"
        case JwtScheme():
            return key.hex()
        case _:
            return text


# --------------------------------------------------------------------------- cases


@dataclass(frozen=True)
class Crm:
    """One shipped mapping file under its settings."""

    mapping: SourceMapping

    @property
    def name(self) -> str:
        return self.mapping.source.name

    @cached_property
    def cases(self) -> tuple[Case, ...]:
        """Cases that can be sent one after another: none knows of what another one did.

        They share no event, no contact, no phone number and no record, and presuppose nothing that
        the bridge remembers. Cases with settings of their own are not sent: the bridge has its own.
        """
        chosen: list[Case] = []
        taken: set[object] = set()
        for case in load_cases(SHIPPED / f"{self.name}.cases.yaml"):
            if case.known.phones or case.known.opted_out or case.settings:
                continue
            if case.body is None and self.mapping.source.decode.decoder is not Decoder.JSON:
                continue
            touched = set(self._touched(case))
            if not touched & taken:
                taken |= touched
                chosen.append(case)
        return tuple(chosen)

    def events(self, case: Case) -> list[Event]:
        """The events of a case."""
        body = body_of(case)
        document = decode(self.mapping.source.decode, body, max_depth=100)
        delivery = Delivery(
            1, "r", self.name, case.received_at, "POST", case.query, case.headers, body, "x"
        )
        return self.mapping.split(document, delivery)

    def _touched(self, case: Case) -> Iterator[object]:
        for event in self.events(case):
            yield event.key
            yield from event.contacts
            for wanted in self.mapping.wants(event):
                yield from ((wanted.lookup, one) for one in wanted.ids)
        for expected in case.expect:
            yield from (phone for _, phone, _ in expected.updates)

    def leads(self, case: Case) -> dict[str, dict[str, Json]]:
        """What the case expects of each lead, all its events together, by phone number."""
        leads: dict[str, dict[str, Json]] = {}
        for expected in case.expect:
            for _, phone, fields in expected.updates:
                leads.setdefault(phone, {}).update(fields)
        return leads
