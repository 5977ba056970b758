"""A source's mapping file: how it is written, and how it becomes a ``SourceMapping``."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import cache
from typing import Any

from bridge.errors import Mistake
from bridge.map.document import Document, Path_, Place
from bridge.map.event_kind import NO_IDENTITY, EventTimeKind, Identity, IdentityKind
from bridge.map.events import EventPlan
from bridge.map.expression import MOST_GROWTH, Expression, growth
from bridge.map.expression_kind import Expr
from bridge.map.kinds import Fault, Text, Word, about
from bridge.map.lookup_kind import LOOKUP
from bridge.map.lookups import LookupPlan, build_lookup
from bridge.map.mapping import SourceMapping
from bridge.map.nearest import nearest_is
from bridge.map.nesting import where_else
from bridge.map.numbers import ways_of
from bridge.map.order import holds_in_any_order
from bridge.map.parts import Many, Named, Part, load_part
from bridge.map.receive_kind import (
    answer_part,
    build_answer,
    build_drop,
    build_handshakes,
    drop_part,
    handshakes_kind,
    lists_kind,
)
from bridge.map.route import Directory, check_route
from bridge.map.rules import Rule, build_rule, rule_part
from bridge.map.scheme_build import build_schemes
from bridge.map.secrets import Secrets
from bridge.map.substitution import SECRET_KEYS, Environment, substitute
from bridge.map.value import Value
from bridge.map.value_kind import ValueKind
from bridge.map.verify_kind import SchemeKind
from bridge.map.versions import kept_mapping
from bridge.model import Decoder, Json, Reading, Source

_SOURCE = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}\Z")
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,62}\Z")


@cache
def file_part(region: str) -> Part:
    """The shape of a whole file. ``region`` is that of phone numbers without ``+``.

    It holds nothing of the files read by it, and is costly to make: one for each region.
    """
    return Part(
        {
            "source": Text(
                required=True,
                example="source: and the file's name without .yaml",
                metadata=about(
                    "The source's name: the file's name without .yaml; its hook is "
                    "POST /hooks/<source>.",
                    "hubspot",
                ),
            ),
            "title": Text(metadata=about("What people are shown.", "HubSpot app webhooks")),
            "receive": Part(
                {
                    "verify": Many(
                        SchemeKind(),
                        required=True,
                        example='verify: and below it - bearer: {token: "${NAME}"}; a hook that '
                        "checks nothing takes anything from anyone",
                        metadata=about(
                            "How a request proves where it comes from; any one scheme passing "
                            "is enough.",
                            [{"bearer": {"token": "${CRM_TOKEN}"}}],
                        ),
                    ),
                    "decode": Word(
                        [d.value for d in Decoder],
                        default="json",
                        metadata=about(
                            "How the bytes of the body are read; the Content-Type header is not "
                            "asked."
                        ),
                    ),
                    "events": Expr(
                        metadata=about(
                            "Expression for the list of events in the body; left out: the whole "
                            "body. One object counts as a list of one.",
                            "events",
                        )
                    ),
                    "each": Expr(
                        metadata=about(
                            "Expression for a list in the event of which each item, _item, is an "
                            "event of its own.",
                            "ids",
                        )
                    ),
                    "event_id": IdentityKind(
                        default=NO_IDENTITY,
                        metadata=about(
                            "Expressions whose values identify an event, so that a second one "
                            "counts as a duplicate; content: the whole event does; {of, within}: "
                            "only for so long. Left out: every delivery counts as new.",
                            ["portalId", "objectId", "occurredAt"],
                        ),
                    ),
                    "event_time": EventTimeKind(
                        default=(),
                        metadata=about(
                            "When the event happened, which decides which of two is newer; of a "
                            "list the first that can be read; received: the time of receipt.",
                            {"from": "occurredAt", "format": "unix_ms"},
                        ),
                    ),
                    "contacts": Part(
                        {
                            "account": Expr(
                                metadata=about("The account of the CRM they belong to.", "portalId")
                            ),
                            "ids": Many(
                                Expr(),
                                required=True,
                                example="ids: [objectId]",
                                metadata=about(
                                    "Expressions for their ids; each gives one id or a list.",
                                    ["objectId"],
                                ),
                            ),
                        },
                        metadata=about(
                            "The contacts the event speaks of. Their numbers and opt-outs are "
                            "remembered (_known)."
                        ),
                    ),
                    "handshakes": handshakes_kind(),
                    "lists": lists_kind(),
                    "drop": drop_part(),
                    "answer": answer_part(),
                },
                _places,
                required=True,
                example="receive: and below it verify:",
                metadata=about("How a webhook is verified, read and split into events."),
            ),
            "define": Named(
                ValueKind(region),
                default={},
                example='define: {type: "not_null(a, b)"}',
                metadata=about(
                    "Names for values, made once for each event, in order; every expression "
                    "further down sees them.",
                    {"type": "not_null(subscriptionType, eventType, '')"},
                ),
            ),
            "enrich": Named(
                LOOKUP,
                default={},
                metadata=about(
                    "Look-ups by name: what is read from the CRM for an event. Rules see the "
                    "record under that name."
                ),
            ),
            "rules": Many(
                rule_part(region),
                required=True,
                example="rules: and below it - name: …",
                metadata=about("What events mean. Every rule whose `when` holds fires."),
            ),
        },
        _names,
    )


def _places(
    loaded: Mapping[str, Any], written: Mapping[str, Json]
) -> Iterable[tuple[str | None, Fault]]:
    """A flat form has no names inside names."""
    del written
    places: list[tuple[str, tuple[str, ...]]] = []
    places += [("lists", place) for place in loaded.get("lists") or ()]
    places += [("drop", place) for place in (loaded.get("drop") or {}).get("body") or ()]
    places += [("verify", place) for e in loaded.get("verify") or () for place in e.places]
    for key, place in places:
        if loaded.get("decode") == "form" and len(place) > 1:
            name = ".".join(place)[:60]
            yield (
                key,
                Fault(
                    "bad-place",
                    f"names {name}, and a flat form has no names inside names.",
                    f'Write the name as a list, ["{name}"], or decode: nested_form.',
                ),
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
    below_verify = path[:2] in (("receive", "verify"), ("receive", "handshakes"))
    if path[:1] == ("enrich",):
        held = path[2:3] in (("token",), ("tokens",), ("headers",), ("basic",))
        return held or path[2:] in (("oauth", "client_secret"), ("oauth", "refresh_token"))
    return below_verify and any(step in SECRET_KEYS for step in path[2:])


def read_source(
    document: Document,
    stem: str,
    directory: Directory | None,
    environment: Environment,
    *,
    region: str,
    placeholders: bool,
) -> SourceMapping | None:
    """The compiled mapping of a document; None if it has mistakes, which it then holds."""
    if document.data is None:
        return None
    data, missing = substitute(document, environment, _is_secret)
    if isinstance(data, dict):
        _check_raw(document, data, stem)
    shape = file_part(region)
    loaded = load_part(shape, data, document)
    if loaded is None:
        at = {
            place: path
            for path, place in reversed(document.keys.items())
            if isinstance(path[-1], str)
        }
        document.mistakes = [_nested(shape, at, one) for one in document.mistakes]
        return None
    if directory is not None:
        for place, rule in enumerate(loaded["rules"]):
            check_route(rule["campaigns"], directory, document, ("rules", place, "campaigns"))
    _check_growth(document, loaded["define"])
    take = Secrets(environment, document, placeholders).take
    receive = loaded["receive"]
    decoder = Decoder(receive["decode"])
    schemes, lacking = build_schemes(receive["verify"], take, decoder)
    handshakes, unset = build_handshakes(receive["handshakes"], take)
    lacking = (*lacking, *unset)
    plans: list[LookupPlan] = []
    for name, given in loaded["enrich"].items():
        plan, more = build_lookup(name, given, data["enrich"][name], take)
        plans.append(plan)
        lacking = (*lacking, *more)
    if document.mistakes or directory is None:
        return None
    rules, phones = _rules(loaded["rules"], data["rules"])
    everything = () if placeholders else tuple(dict.fromkeys((*missing, *lacking)))
    source = Source(
        stem,
        str(loaded["title"] or stem),
        schemes,
        Reading(decoder, receive["lists"]),
        build_answer(receive["answer"]),
        everything,
        handshakes,
        build_drop(receive["drop"]),
    )
    plan_of_events = _plan(stem, receive, loaded["define"])
    return SourceMapping(
        source,
        kept_mapping(stem, document.text, region, data=data, rules=rules, directory=directory),
        directory,
        plan_of_events,
        tuple(plans),
        rules,
        ways_of(phones),
        _remembered(phones),
        _emails(loaded["rules"], data["rules"]),
        # nothing is remembered of anybody where the file names no contacts
        any_order=not plan_of_events.contacts or holds_in_any_order(rules),
    )


def _nested(shape: Part, at: Mapping[Place, Path_], mistake: Mistake) -> Mistake:
    """A key that is not known where it stands, with the place where it would be.

    ``at``: the keys of the file by their places.
    """
    if mistake.code != "unknown-key" or nearest_is(mistake.hint):
        return mistake
    path = at[mistake.line, mistake.column]
    above = [step for step in path[:-1] if isinstance(step, str)]
    hint = where_else(shape, str(path[-1]), above)
    return replace(mistake, hint=hint) if hint else mistake


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


def _check_growth(document: Document, defined: Mapping[str, Value]) -> None:
    """Definitions that multiply one another: each small, the last one too large for any memory."""
    grown: dict[str, int] = {}
    for name, value in defined.items():
        grown[name] = max((growth(source.tree, grown) for source in value.sources), default=1)
        if grown[name] > MOST_GROWTH:
            document.add(
                ("define", name),
                "grows-too-large",
                f"`define.{name}` repeats what it is made of more than {MOST_GROWTH} times.",
                "Take out lists of lists of the same thing.",
            )
            return


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
        (
            frozenset(source.text for source in value.sources),
            (value.steps, value.region, value.region_from and value.region_from.told),
        )
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


def _plan(stem: str, receive: Mapping[str, Any], defined: Mapping[str, Value]) -> EventPlan:
    identity: Identity = receive["event_id"]
    contacts = receive["contacts"] or {}
    return EventPlan(
        stem,
        receive["events"] or Expression("@"),
        identity.parts,
        identity.by_content,
        receive["event_time"],
        contacts.get("account"),
        contacts.get("ids") or (),
        tuple(defined.items()),
        receive["each"],
        identity.within_s,
    )
