"""A new case from a delivery as it came in, with personal data replaced."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from urllib.parse import parse_qsl, urlencode
from xml.sax.saxutils import escape

from bridge.clock import iso
from bridge.map.anonymous import Anonymous
from bridge.map.case_file import REGION
from bridge.map.cases import Decode
from bridge.map.document import Document
from bridge.map.mapping import SourceMapping
from bridge.model import Decoder, Delivery, Event, Found, Json, Known, Mapped

Given = Mapping[str, Mapping[str, Json]]

_QUOTED = re.compile(r"'((?:[^'\\]|\\.)*)'")
_SETTING = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)")
_WIDTH = 100
_SPLITS = ("events", "each", "event_id", "event_time", "contacts", "lists", "drop")
_ASKS = ("when", "account", "ids")


@dataclass(frozen=True, slots=True)
class NewCase:
    """A case as it is written. ``differs``: what goes another way than with the real data."""

    fields: Mapping[str, Json]
    differs: tuple[str, ...]

    def text(self) -> str:
        """The case in YAML, to be put behind the others of its file."""
        lines: list[str] = []
        for key, value in self.fields.items():
            lead = "- " if not lines else "  "
            if key == "expect" and value:
                lines.append(f"{lead}expect:")
                lines += [f"    - {json.dumps(one, ensure_ascii=False)}" for one in value]
                continue
            text = json.dumps(value, ensure_ascii=False)
            if len(text) > _WIDTH and isinstance(value, dict | list):
                text = json.dumps(value, ensure_ascii=False, indent=2).replace("\n", "\n    ")
            lines.append(f"{lead}{key}: {text}")
        return "\n".join(lines) + "\n"


def make_case(
    name: str,
    mapping: SourceMapping,
    file: Document,
    delivery: Delivery,
    *,
    given: Given,
    known: Known,
    settings: Mapping[str, str],
    decode: Decode,
) -> NewCase:
    """The case of a stored delivery.

    ``file`` is the mapping file as read, ``given`` what its look-ups find (look-up → id →
    record), ``known`` what is remembered of its contacts, ``settings`` the values of settings.
    Errors: ``DecodeError``.
    """
    document = decode(mapping.source.decode, delivery.body)
    before = _results(mapping, document, delivery, given, known)
    hidden = Anonymous(_region(mapping), _words(mapping, file))
    for one in before:
        numbers = [update.phone for update in one.updates]
        hidden.learn((*one.phones, *numbers, *known.phones), {})
        for update in one.updates:
            hidden.learn((), update.fields)
    changed = hidden.document(document)
    records = {
        lookup: {id_: hidden.document(record) for id_, record in rows.items()}
        for lookup, rows in given.items()
    }
    remembered = replace(known, phones=tuple(hidden.phone(phone) for phone in known.phones))
    headers = _used(file, "_headers", delivery.headers, hidden)
    query = _used(file, "_query", delivery.query, hidden)
    body = _body(mapping.source.decode.decoder, delivery.body, hidden)
    if body is not None:
        changed = decode(mapping.source.decode, body.encode())
    shown = replace(delivery, receipt="case", headers=headers, query=query)
    after = _results(mapping, changed, shown, records, remembered)
    fields: dict[str, Json] = {"name": name}
    fields |= {"payload": changed} if body is None else {"body": body}
    fields["received_at"] = iso(delivery.received_at)
    extra: dict[str, Json] = {
        "headers": headers,
        "query": query,
        "settings": {n: settings[n] for n in _settings(file) if n in settings},
        "found": records,
    }
    fields |= {key: value for key, value in extra.items() if value}
    if remembered.phones or remembered.opted_out:
        phones = list(remembered.phones)
        fields["known"] = {"phones": phones, "opted_out": remembered.opted_out}
    fields["expect"] = [_expected(mapping, one) for one in after]
    return NewCase(fields, tuple(_differs(before, after)))


def _results(
    mapping: SourceMapping, document: Json, delivery: Delivery, given: Given, known: Known
) -> list[Mapped]:
    return [
        mapping.apply(event, _found(mapping, event, given), known)
        for event in mapping.split(document, delivery)
    ]


def _found(mapping: SourceMapping, event: Event, given: Given) -> dict[str, Found]:
    return {
        wanted.lookup: Found(
            tuple(rows[one] for one in wanted.ids if one in rows),
            tuple(one for one in wanted.ids if one not in rows),
        )
        for wanted in mapping.wants(event)
        for rows in (given.get(wanted.lookup, {}),)
    }


def _region(mapping: SourceMapping) -> str:
    return mapping.phones[0].region if mapping.phones else "US"


def _words(mapping: SourceMapping, file: Document) -> frozenset[str]:
    """The words that the mapping compares with or that its file holds as values."""
    texts = list(_strings(file.data))
    texts += [source.source for _, value in mapping.plan.defined for source in value.sources]
    texts += [rule.when.source for rule in mapping.rules if rule.when is not None]
    return frozenset([*texts, *(word for text in texts for word in _QUOTED.findall(text))])


def _strings(value: Json) -> Iterator[str]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield str(key)
            yield from _strings(item)
    elif isinstance(value, list):
        for item in value:
            yield from _strings(item)
    elif isinstance(value, str):
        yield value


def _settings(file: Document) -> list[str]:
    """The settings that decide what becomes of an event; secrets stand in other parts of the file.

    BRIDGE_DEFAULT_REGION, which no file names, is the first of them.
    """
    data = file.data if isinstance(file.data, dict) else {}
    receive, enrich = data.get("receive") or {}, data.get("enrich") or {}
    parts = [data.get("define"), data.get("rules")]
    parts += [receive.get(key) for key in _SPLITS]
    parts += [plan.get(key) for plan in enrich.values() for key in _ASKS]
    return [REGION, *sorted({n for text in _strings(parts) for n in _SETTING.findall(text)})]


def _used(
    file: Document, what: str, values: Mapping[str, str], hidden: Anonymous
) -> dict[str, str]:
    """Of headers or query parameters those that an expression of the file reads."""
    text = "\n".join(_strings(file.data))
    names = {one or other for one, other in re.findall(what + r'\.(?:(\w+)|"([^"]+)")', text)}
    return {name: hidden.text(text_, name) for name, text_ in values.items() if name in names}


def _body(decoder: Decoder, body: bytes, hidden: Anonymous) -> str | None:
    """The body as text with personal data replaced; None where the payload says the same."""
    if decoder is Decoder.JSON:
        return None
    text = body.decode("utf-8", "replace")
    if decoder in (Decoder.FORM, Decoder.NESTED_FORM):
        pairs = parse_qsl(text, keep_blank_values=True)
        return urlencode([(key, hidden.text(value, key)) for key, value in pairs])
    for old in sorted(hidden.replaced, key=len, reverse=True):
        text = text.replace(escape(old), escape(hidden.replaced[old]))
    return text


def _expected(mapping: SourceMapping, mapped: Mapped) -> dict[str, Json]:
    outcome = _outcome(mapping, mapped)
    return {**outcome, "erase": True} if mapped.erase else outcome


def _outcome(mapping: SourceMapping, mapped: Mapped) -> dict[str, Json]:
    if mapped.state is not None:
        return {mapped.state.value: mapped.reason}
    everyone = set(mapping.directory.configured)
    groups: dict[str, tuple[dict[str, Json], list[str]]] = {}
    for update in mapped.updates:
        row = {"phone_number": update.phone, **update.fields}
        _, names = groups.setdefault(json.dumps(row, sort_keys=True), (row, []))
        names.append(update.campaign)
    return {
        "updates": [
            {"campaigns": "all" if set(names) == everyone else sorted(names), **row}
            for row, names in groups.values()
        ]
    }


def _differs(before: Sequence[Mapped], after: Sequence[Mapped]) -> Iterator[str]:
    for place, (one, other) in enumerate(zip(before, after, strict=False), 1):
        was = [trace.rule for trace in one.trace if trace.fired]
        now = [trace.rule for trace in other.trace if trace.fired]
        if (was, one.state) != (now, other.state):
            yield (
                f"event {place}: with the real data {_told(was, one)}, with the replaced data "
                f"{_told(now, other)}"
            )
    if len(before) != len(after):
        yield f"{len(before)} events with the real data, {len(after)} with the replaced data"


def _told(rules: Sequence[str], mapped: Mapped) -> str:
    state = f"{mapped.state.value}" if mapped.state else "updates"
    return f"{state} by {', '.join(rules) or 'no rule'}"
