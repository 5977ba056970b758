"""``rules``: how one is written, and what it says of one event."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from marshmallow import ValidationError

from bridge.map.expression import Expression
from bridge.map.expression_kind import Expr
from bridge.map.kinds import Definitions, Fault, Flag, Kind, Text, Word, about, faulty
from bridge.map.lint import Use, negations
from bridge.map.parts import Named, Part
from bridge.map.phone import Phones
from bridge.map.route import ALL, Directory, Route, RouteKind
from bridge.map.substitution import missing_in
from bridge.map.text import clean
from bridge.map.unusable import Unusable, shown
from bridge.map.value import Value, custom_field, flag_field, text_field
from bridge.map.value_kind import ValueKind
from bridge.model import Channel, Json

_TEXTS: Mapping[str, tuple[str, Json]] = {
    "first_name": ("The lead's first name.", "contact.firstname"),
    "last_name": ("The lead's last name.", "contact.lastname"),
    "email": ("The lead's e-mail address.", {"from": "contact.email", "to": "email"}),
}
_OTHER_CHANNELS = (Channel.SMS, Channel.EMAIL, Channel.NONE)


class Told(NamedTuple):
    """What a rule did, in words that are known."""

    rule: str
    fired: bool
    why: str


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule, compiled. Either ``skip`` or the fields of a lead.

    ``phone`` is the place of its phone number among the distinct ones of the file. ``custom_all``
    gives an object whose every key is a custom field; ``custom`` names them one by one.
    ``yields_to_opt_in``: its opt-out repeats what is remembered, so an opt-in of the same event
    goes before it. ``recalls``: it asks for what is remembered of the contact, so its opt-out is
    also one that the contact gave before. ``silent`` is its trace where it does not fire,
    ``skipped`` that where it skips the event.
    ``erase``: what is kept of the person is erased when the rule fires.
    """

    name: str
    when: Expression | None
    skip: str | None
    route: Route
    allow_opt_in: bool
    yields_to_opt_in: bool
    recalls: bool
    phone: int
    do_not_call: Value | None
    fields: tuple[tuple[str, Value, Callable[[Json], Json]], ...]
    custom: tuple[tuple[str, Value], ...]
    custom_all: Value | None
    silent: Told
    skipped: Told
    erase: bool = False


@dataclass(slots=True)
class Said:
    """What one rule that fired says of one event, and its trace.

    ``by``: the rule. ``errors`` are mistakes in the data that leave it without a lead or a
    campaign; ``left_out`` those that cost it single fields. ``denied`` says why an opt-in was left
    out.
    """

    by: Rule
    fields: dict[str, Json]
    phones: tuple[str, ...]
    notes: list[str]
    errors: list[str]
    left_out: list[str]
    campaigns: tuple[str, ...] = ()
    denied: str = ""

    @property
    def opts_out(self) -> bool:
        """Whether the rule opts the lead out of calls."""
        return self.fields.get("do_not_call") is True

    @property
    def rule(self) -> str:
        """The rule's name."""
        return self.by.name

    @property
    def fired(self) -> bool:
        """That it did: a rule that does not fire says nothing."""
        return True

    @property
    def why(self) -> str:
        """What it sets, and what it could not."""
        told = [f"sets {', '.join(self.fields)}" if self.fields else "sets nothing"]
        if not self.phones:
            told.append("no phone number")
        if self.denied:
            told.append(self.denied)
        return "; ".join([*told, *self.errors, *self.left_out, *self.notes])


def say(
    rule: Rule,
    view: Mapping[str, Json],
    phones: Phones,
    directory: Directory,
    *,
    weak_time: bool,
    notes: list[str],
) -> Said:
    """Evaluates a rule that fired. Never raises for anything in the data."""
    said = Said(rule, {}, phones.numbers, notes, [], [])
    if rule.do_not_call is not None:
        _consent(rule, rule.do_not_call, view, weak_time, said)
    left_out = _fields(rule, view, said)
    if left_out and said.opts_out:
        notes.extend(f"left out {problem}" for problem in left_out)
    else:
        said.left_out = left_out
    if phones.problems and phones.numbers:
        notes.extend(f"left out a number: {problem}" for problem in phones.problems)
    elif phones.problems:
        said.errors.extend(f"phone_number: {problem}" for problem in phones.problems[:3])
    try:
        said.campaigns = rule.route.resolve(view, directory, notes, opts_out=said.opts_out)
    except Unusable as problem:
        said.errors.append(f"campaigns: {problem}")
    return said


def may_opt_out(rule: Rule, view: Mapping[str, Json]) -> bool:
    """Whether a rule may opt somebody out, as far as a view without look-ups and memory shows."""
    if rule.do_not_call is None or not (rule.when is None or rule.when.holds(view, [])):
        return False
    try:
        return flag_field(rule.do_not_call.get(view, [])) is not False
    except Unusable:
        return True


def yield_to_opt_in(said: Sequence[Said], directory: Directory, *, newer: bool) -> None:
    """Takes back remembered opt-outs where another rule may and does opt in.

    ``newer``: the event is newer than what is remembered; an older one takes nothing back.
    Not where a third rule opts out by itself: then the event opts out in any case.
    """
    if not newer or not any(one.fields.get("do_not_call") is False for one in said):
        return
    yielding = [one for one in said if one.opts_out and one.by.yields_to_opt_in]
    if sum(one.opts_out for one in said) > len(yielding):
        return
    for one in yielding:
        del one.fields["do_not_call"]
        one.campaigns = tuple(name for name in one.campaigns if name in directory.configured)
        one.notes.append("left out do_not_call: true, since the same event opts in")


def _fields(rule: Rule, view: Mapping[str, Json], said: Said) -> list[str]:
    """Takes every field but consent; gives the problems with those that cannot be used."""
    problems: list[str] = []
    for name, value, finish in rule.fields:
        try:
            found = value.get(view, said.notes)
            if found is not None:
                found = finish(found)
        except Unusable as problem:
            problems.append(f"{name}: {problem}")
            continue
        # "Do not put back into the queue" is no request; only true asks for something.
        if found is not None and (name != "mark_as_unanswered" or found is True):
            said.fields[name] = found
    custom: dict[str, Json] = {}
    for key, value in rule.custom:
        try:
            found = value.get(view, said.notes)
            if found is not None and (found := custom_field(found)) is not None:
                custom[key] = found
        except Unusable as problem:
            problems.append(f"custom_fields.{key}: {problem}")
    if rule.custom_all is not None:
        _custom_of_object(rule.custom_all, view, said.notes, custom, problems)
    if custom:
        said.fields["custom_fields"] = custom
    return problems


def _custom_of_object(
    value: Value,
    view: Mapping[str, Json],
    notes: list[str],
    custom: dict[str, Json],
    problems: list[str],
) -> None:
    """Takes every key of an object as a custom field."""
    try:
        given = value.get(view, notes)
    except Unusable as problem:
        problems.append(f"custom_fields: {problem}")
        return
    if not isinstance(given, dict):
        if given is not None and given not in ("", []):
            problems.append(f"custom_fields: {shown(given)} is not an object")
        return
    for key, one in given.items():
        name = clean(key).strip()[:200]
        if not name:
            continue
        try:
            if (found := custom_field(one)) is not None:
                custom[name] = found
        except Unusable as problem:
            problems.append(f"custom_fields.{name}: {problem}")


def _consent(
    rule: Rule, value: Value, view: Mapping[str, Json], weak_time: bool, said: Said
) -> None:
    try:
        found = flag_field(value.get(view, said.notes))
    except Unusable as problem:
        said.errors.append(f"do_not_call: {problem}")
        return
    if found is True:
        said.fields["do_not_call"] = True
    elif found is False and not rule.allow_opt_in:
        said.denied = f"opt-in not allowed by rule {rule.name}"
    elif found is False and weak_time:
        said.denied = f"opt-in by rule {rule.name} left out: the event has no time of its own"
    elif found is False:
        said.fields["do_not_call"] = False


# ------------------------------------------------------------------------- how it is written


class _Skip(Text):
    what = "the reason"


class _CustomKind(Kind):
    """``custom_fields``: values by name, or an expression for an object with all of them."""

    what = "a mapping of names, or an expression that gives an object"

    def __init__(self, region: str, **kwargs: Any) -> None:
        super().__init__(default={}, example="custom_fields: {plan: contact.plan}", **kwargs)
        self.all = ValueKind(region)
        self.named = Named(ValueKind(region), example=self.example)

    def read(self, value: Json) -> Any:
        if isinstance(value, str):
            return self.all.read(value)
        if not isinstance(value, dict):
            raise self.wrong(value)
        blank = {
            key: list[Any]([Fault("bad-key", "is blank.", "Name the custom field.")])
            for key in value
            if not key.strip()
        }
        if blank:
            raise ValidationError(dict[str, Any](blank))
        return self.named.read(value)

    def json_schema(self, definitions: Definitions) -> dict[str, Json]:
        return {"anyOf": [self.all.below(definitions), self.named.below(definitions)]}


class _LeadKind(Kind):
    """``lead`` of a rule."""

    what = "a mapping of fields"

    def __init__(self, region: str, **kwargs: Any) -> None:
        super().__init__(example="lead: and below it phone_number", **kwargs)
        phone = ValueKind(
            region,
            phone=True,
            required=True,
            example="phone_number: {all: [contact.phone, contact.mobilephone]}",
            metadata=about(
                "Whose lead it is: one number, or with `all` one lead for each number.",
                {"all": ["contact.phone", "contact.mobilephone"]},
            ),
        )
        self.part = Part(
            {
                "phone_number": phone,
                **{
                    name: ValueKind(region, metadata=about(told, example))
                    for name, (told, example) in _TEXTS.items()
                },
                "do_not_call": ValueKind(
                    region,
                    use=Use.DO_NOT_CALL,
                    metadata=about(
                        "true: the lead is never called again. The rule must say `channel`; false "
                        "is sent only with `allow_opt_in: true`.",
                        {"from": "propertyValue", "to": "boolean"},
                    ),
                ),
                "mark_as_unanswered": ValueKind(
                    region,
                    metadata=about(
                        "true: an answered lead is put back into the call queue.",
                        {"value": True},
                    ),
                ),
                "custom_fields": _CustomKind(
                    region,
                    metadata=about(
                        "Values by the name that the call's prompt uses, or one expression for an "
                        "object of which every key is a custom field.",
                        {"plan": "contact.plan"},
                    ),
                ),
            }
        )

    def read(self, value: Json) -> Any:
        """The values by field, and the phone number as written."""
        loaded = self.part.read(value)
        if len(value) == 1:
            raise faulty(
                "nothing-to-send",
                "has a phone number and nothing to send.",
                "Add a field, or write `skip: <reason>` instead.",
            )
        return loaded

    def json_schema(self, definitions: Definitions) -> dict[str, Json]:
        return {**self.part.below(definitions), "minProperties": 2}


def rule_part(region: str) -> Part:
    """The shape of one rule."""
    return Part(
        {
            "name": Text(
                required=True,
                example="name: opt-out (any text, once in the file)",
                metadata=about("Unique in the file; stands in every outcome.", "opt-out"),
            ),
            "when": Expr(
                Use.WHEN,
                metadata=about(
                    "The rule fires unless this gives false, null or something empty. Left out: "
                    "for every event.",
                    "type == 'contact.propertyChange' && propertyName == 'do_not_call'",
                ),
            ),
            "channel": Word(
                [channel.value for channel in Channel],
                metadata=about(
                    "What the signal speaks about. Required where the rule sets do_not_call."
                ),
            ),
            "counts_as": Word(
                ("voice",),
                metadata=about(
                    "Lets a signal about sms, email or none count as a wish not to be called."
                ),
            ),
            "campaigns": RouteKind(
                default=Route((ALL,)),
                metadata=about(
                    "all (also when left out), a campaign or group, a list of them, or "
                    "{from, table, default} to choose by a value.",
                    "all",
                ),
            ),
            "allow_opt_in": Flag(
                default=False,
                metadata=about("true: this rule may send do_not_call: false."),
            ),
            "yields_to_opt_in": Flag(
                default=False,
                metadata=about(
                    "true: this rule repeats a remembered opt-out, and steps back where another "
                    "rule may and does opt in with the same event."
                ),
            ),
            "erase": Flag(
                default=False,
                metadata=about(
                    "true: where this rule fires, what is kept of the person is erased once the "
                    "event is done."
                ),
            ),
            "lead": _LeadKind(region, metadata=about("What is sent, field by field.")),
            "skip": _Skip(
                metadata=about(
                    "Instead of `lead`: the event ends as skipped with this reason, unless "
                    "another rule fires.",
                    "deletions change no lead",
                )
            ),
        },
        _check,
        one_of=("lead", "skip"),
    )


def _check(
    loaded: Mapping[str, Any], written: Mapping[str, Json]
) -> Iterable[tuple[str | None, Fault]]:
    if "lead" in written and "skip" in written:
        yield "skip", Fault("lead-and-skip", "stands beside `lead`.", "Keep one of the two.")
    if "lead" not in written and "skip" not in written:
        yield (
            None,
            Fault(
                "nothing-to-do",
                "has neither `lead` nor `skip`.",
                "Write lead: with phone_number and what to send, or skip: <reason>.",
            ),
        )
    lead = written.get("lead")
    sets = isinstance(lead, dict) and "do_not_call" in lead
    channel = loaded.get("channel")
    if sets and "channel" not in written:
        yield (
            None,
            Fault(
                "channel-missing",
                "sets `do_not_call` and does not say what the signal speaks about.",
                "Write channel: voice (or sms, email, all).",
            ),
        )
    if sets and channel in _OTHER_CHANNELS and "counts_as" not in written:
        yield (
            "channel",
            Fault(
                "channel-is-not-voice",
                f"is {channel}: such a signal is not a do-not-call request by itself.",
                "If it shall count as one, write counts_as: voice.",
            ),
        )
    yield from _check_opt_in(loaded, written, lead if isinstance(lead, dict) else {}, channel)
    if sets and loaded.get("when") is not None:
        for trap in negations(loaded["when"]):
            yield "when", Fault(trap.code, trap.message, trap.hint)


def _check_opt_in(
    loaded: Mapping[str, Any],
    written: Mapping[str, Json],
    lead: Mapping[str, Json],
    channel: str | None,
) -> Iterable[tuple[str | None, Fault]]:
    allowed = loaded.get("allow_opt_in")
    if allowed and "do_not_call" not in lead and "lead" in written:
        yield (
            "allow_opt_in",
            Fault("opt-in-of-nothing", "allows what the rule never does.", "Delete it."),
        )
    if allowed and channel in _OTHER_CHANNELS:
        yield (
            "allow_opt_in",
            Fault(
                "opt-in-of-another-channel",
                f"stands in a rule about {channel}, which cannot lift an opt-out of calls.",
                "Delete it, or write channel: voice if the signal is about calls.",
            ),
        )
    if loaded.get("yields_to_opt_in") and "do_not_call" not in lead:
        yield (
            "yields_to_opt_in",
            Fault("opt-out-of-nothing", "takes back what the rule never says.", "Delete it."),
        )
    value = lead.get("do_not_call")
    constant = value.get("value") if isinstance(value, dict) else None
    if constant is False and not allowed and not missing_in(constant):
        yield (
            "lead",
            Fault(
                "opt-in-not-allowed",
                "always says `do_not_call: false`, which is never sent.",
                "Delete do_not_call, or write allow_opt_in: true.",
            ),
        )


def build_rule(given: Mapping[str, Any], phone: int) -> Rule:
    """The compiled rule of a loaded one."""
    lead = given["lead"] or {}
    fields: list[tuple[str, Value, Callable[[Json], Json]]] = [
        (name, lead[name], text_field) for name in _TEXTS if lead.get(name) is not None
    ]
    if lead.get("mark_as_unanswered") is not None:
        fields.append(("mark_as_unanswered", lead["mark_as_unanswered"], flag_field))
    custom = lead.get("custom_fields") or {}
    return Rule(
        str(given["name"]),
        given["when"],
        str(given["skip"]) if given["skip"] is not None else None,
        given["campaigns"],
        bool(given["allow_opt_in"]),
        bool(given["yields_to_opt_in"]),
        _recalls(given["when"], lead),
        phone,
        lead.get("do_not_call"),
        tuple(fields),
        tuple(custom.items()) if isinstance(custom, dict) else (),
        custom if isinstance(custom, Value) else None,
        Told(str(given["name"]), False, "when is false"),
        Told(str(given["name"]), True, f"skip: {given['skip']}"),
        bool(given["erase"]),
    )


def _recalls(when: Expression | None, lead: Mapping[str, Any]) -> bool:
    values = [lead[name] for name in ("phone_number", "do_not_call") if lead.get(name) is not None]
    read = [one for value in values for one in value.sources]
    return any("_known" in one.names for one in (*read, *([] if when is None else [when])))
