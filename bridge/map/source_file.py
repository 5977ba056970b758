"""A source's mapping file: how it is written, and how it becomes a ``SourceMapping``."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from bridge.map.document import Document, Path_
from bridge.map.events import EventPlan
from bridge.map.expression import Expression
from bridge.map.kinds import (
    Expr,
    Fault,
    Kind,
    Many,
    Named,
    Number,
    Part,
    Text,
    Word,
    faulty,
    kind_of,
    load_part,
)
from bridge.map.lookups import LOOKUP, LookupPlan, build_lookup
from bridge.map.mapping import SourceMapping
from bridge.map.route import Directory, check_route
from bridge.map.rules import Rule, build_rule, rule_part
from bridge.map.secrets import Secrets
from bridge.map.substitution import SECRET_KEYS, Environment, substitute
from bridge.map.times import FORMATS
from bridge.map.transform_kind import Format, checked_format
from bridge.map.value import Value
from bridge.map.verify_kind import SchemeKind, build_schemes
from bridge.model import Answer, Decoder, Json, Source

_SOURCE = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}\Z")
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,62}\Z")


class _Identity(Kind):
    what = "a list of expressions, or the word content"

    def read(self, value: Json) -> Any:
        """The expressions, or the word ``content``."""
        if value == "content":
            return "content"
        if isinstance(value, str):
            raise faulty(
                "wrong-type", "must be a list of expressions.", f'Write event_id: ["{value}"].'
            )
        return Many(Expr()).read(value)


_TIME = Part(
    {
        "from": Expr(required=True, example="from: occurredAt"),
        "format": Format(required=True, example=f"format: one of {', '.join(FORMATS)}"),
        "zone": Text(example="zone: UTC"),
    }
)


class _EventTime(Kind):
    what = "{from: …, format: …} or the word received"

    def read(self, value: Json) -> Any:
        """Expression and format; None for the time of receipt."""
        if value == "received":
            return None
        if not isinstance(value, dict):
            raise faulty(
                "wrong-type",
                f"must be {self.what}, not {kind_of(value)}.",
                "Write {from: occurredAt, format: unix_ms}, or received.",
            )
        given = _TIME.read(value)
        return given["from"], checked_format(given["format"], given["zone"])


def _file_part(region: str) -> Part:
    return Part(
        {
            "source": Text(required=True, example="source: and the file's name without .yaml"),
            "title": Text(),
            "receive": Part(
                {
                    "verify": Many(
                        SchemeKind(),
                        required=True,
                        example='verify: and below it - bearer: {token: "${NAME}"}; a hook that '
                        "checks nothing takes anything from anyone",
                    ),
                    "decode": Word([d.value for d in Decoder], default="json"),
                    "events": Expr(),
                    "event_id": _Identity(default=()),
                    "event_time": _EventTime(),
                    "contacts": Part(
                        {
                            "account": Expr(),
                            "ids": Many(Expr(), required=True, example="ids: [objectId]"),
                        }
                    ),
                    "answer": Part(
                        {
                            "status": Number(200, 299, whole=True, default=200),
                            "body": Text(),
                            "content_type": Text(),
                            "busy": Number(429, 599, whole=True, default=503),
                        }
                    ),
                },
                required=True,
                example="receive: and below it verify:",
            ),
            "define": Named(Expr(), default={}, example='define: {type: "not_null(a, b)"}'),
            "enrich": Named(LOOKUP, default={}),
            "rules": Many(
                rule_part(region), required=True, example="rules: and below it - name: …"
            ),
        },
        _names,
    )


def _names(
    loaded: Mapping[str, Any], written: Mapping[str, Json]
) -> Iterable[tuple[str | None, Fault]]:
    del loaded
    seen: set[str] = set()
    for section in ("define", "enrich"):
        given = written.get(section)
        for name in given if isinstance(given, dict) else ():
            if not _NAME.match(name) or name in seen:
                yield (
                    section,
                    Fault(
                        "bad-name",
                        f"cannot give something the name `{name[:60]}`.",
                        "Use letters, digits and _, a letter first, each name once.",
                    ),
                )
            seen.add(name)


def _is_secret(path: Path_) -> bool:
    below_verify = path[:2] == ("receive", "verify")
    if path[:1] == ("enrich",):
        return path[2:3] in (("token",), ("tokens",))
    return below_verify and any(step in SECRET_KEYS for step in path[2:])


def read_source(
    document: Document,
    stem: str,
    directory: Directory | None,
    environment: Environment,
    *,
    version: str,
    region: str,
    placeholders: bool,
) -> SourceMapping | None:
    """The compiled mapping of a document; None if it has mistakes, which it then holds."""
    if document.data is None:
        return None
    data, missing = substitute(document, environment, _is_secret)
    if isinstance(data, dict):
        _check_raw(document, data, stem)
    loaded = load_part(_file_part(region), data, document)
    if loaded is None:
        return None
    if directory is not None:
        for place, rule in enumerate(loaded["rules"]):
            check_route(rule["campaigns"], directory, document, ("rules", place, "campaigns"))
    take = Secrets(environment, document, placeholders).take
    receive = loaded["receive"]
    schemes, lacking = build_schemes(receive["verify"], take)
    plans: list[LookupPlan] = []
    for name, given in loaded["enrich"].items():
        plan, more = build_lookup(name, given, take)
        plans.append(plan)
        lacking = (*lacking, *more)
    if document.mistakes or directory is None:
        return None
    rules, phones = _rules(loaded["rules"], data["rules"])
    answer = receive["answer"] or {}
    everything = () if placeholders else tuple(dict.fromkeys((*missing, *lacking)))
    source = Source(
        stem,
        str(loaded["title"] or stem),
        schemes,
        Decoder(receive["decode"]),
        Answer(
            answer.get("status", 200),
            str(answer["body"]) if answer.get("body") is not None else None,
            str(answer.get("content_type") or "application/json"),
            answer.get("busy", 503),
        ),
        everything,
    )
    return SourceMapping(
        source,
        version,
        directory,
        _plan(stem, receive, loaded["define"]),
        tuple(plans),
        rules,
        phones,
        _remembered(phones),
        _emails(loaded["rules"], data["rules"]),
    )


def _check_raw(document: Document, data: dict[str, Json], stem: str) -> None:
    """What can be said of a file whatever else is wrong with it."""
    if not _SOURCE.match(stem):
        document.add(
            (),
            "bad-file-name",
            f"`{stem}` cannot be part of a URL.",
            "Name the file in small letters, digits, - and _.",
        )
    source = data.get("source")
    if isinstance(source, str) and source != stem:
        document.add(
            ("source",),
            "source-and-file",
            f"`source` is `{source}`, but the file is {document.file}.",
            f"Write source: {stem}, or rename the file to {source[:60]}.yaml.",
        )
    rules = data.get("rules")
    seen: dict[str, int] = {}
    for place, rule in enumerate(rules if isinstance(rules, list) else ()):
        name = rule.get("name") if isinstance(rule, dict) else None
        if not isinstance(name, str):
            continue
        path = ("rules", place, "name")
        if name in seen:
            document.add(
                path,
                "duplicate-rule",
                f"the name `{name[:60]}` is taken by the rule in line {seen[name]}.",
                "Give every rule a name of its own.",
            )
        seen.setdefault(name, document.place(path)[0])


def _rules(
    loaded: Iterable[Mapping[str, Any]], written: Iterable[Mapping[str, Json]]
) -> tuple[tuple[Rule, ...], tuple[Value, ...]]:
    """The rules, and the distinct ways in which they find phone numbers."""
    places: dict[str, int] = {}
    phones: list[Value] = []
    rules: list[Rule] = []
    for given, raw in zip(loaded, written, strict=True):
        place = 0
        if given["lead"]:
            text = json.dumps(raw["lead"]["phone_number"], sort_keys=True)
            place = places.setdefault(text, len(phones))
            if place == len(phones):
                phones.append(given["lead"]["phone_number"])
        rules.append(build_rule(given, place))
    return tuple(rules), tuple(phones)


def _emails(
    loaded: Iterable[Mapping[str, Any]], written: Iterable[Mapping[str, Json]]
) -> tuple[Value, ...]:
    """The distinct ways in which the rules find e-mail addresses."""
    found: dict[str, Value] = {}
    for given, raw in zip(loaded, written, strict=True):
        if given["lead"] and given["lead"].get("email") is not None:
            text = json.dumps(raw["lead"]["email"], sort_keys=True)
            found.setdefault(text, given["lead"]["email"])
    return tuple(found.values())


def _remembered(phones: tuple[Value, ...]) -> tuple[int, ...]:
    """The places without those whose every number another one gives as well."""
    covers = [
        (frozenset(source.text for source in value.sources), (value.steps, value.region))
        for value in phones
    ]

    def covered(place: int) -> bool:
        mine, treated = covers[place]
        if not mine or phones[place].default is not None:
            return False
        for other, (theirs, their_treatment) in enumerate(covers):
            if other == place or not phones[other].every or treated != their_treatment:
                continue
            if mine < theirs or (mine == theirs and (other < place or not phones[place].every)):
                return True
        return False

    return tuple(place for place in range(len(phones)) if not covered(place))


def _plan(stem: str, receive: Mapping[str, Any], defined: Mapping[str, Expression]) -> EventPlan:
    identity = receive["event_id"]
    contacts = receive["contacts"] or {}
    return EventPlan(
        stem,
        receive["events"] or Expression("@"),
        () if identity == "content" else identity,
        identity == "content",
        receive["event_time"],
        contacts.get("account"),
        contacts.get("ids") or (),
        tuple(defined.items()),
    )
