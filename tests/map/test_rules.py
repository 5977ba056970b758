"""What rules make of an event: updates merged per lead, or the reason why not."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from bridge.map import SourceMapping
from bridge.model import Delivery, Found, Json, Known, LeadUpdate, Mapped, State

from .conftest import ENVIRONMENT, One

Apply = Callable[..., Mapped]
STOP = """\
  - name: stop
    when: "stop != `null`"
    channel: voice
    lead:
      phone_number: phone
      do_not_call: {from: stop, to: boolean}
"""


NAME = """\
  - name: name
    lead: {phone_number: phone, first_name: name}
"""


@pytest.fixture
def apply(one: One, delivery: Callable[..., Delivery]) -> Apply:
    """Maps one event by the text of rules (or of a file without its head)."""

    def applying(
        text: str,
        event: Json,
        *,
        known: Known = Known(),  # noqa: B008 - immutable
        found: Mapping[str, Found] | None = None,
        environment: Mapping[str, str] = ENVIRONMENT,
    ) -> Mapped:
        mapping = one(text if "rules:" in text else "rules:\n" + text, environment)
        (made,) = mapping.split(event, delivery())
        return mapping.apply(made, found or {}, known)

    return applying


def fields(mapped: Mapped) -> dict[tuple[str, str], Mapping[str, Any]]:
    return {(u.campaign, u.phone): u.fields for u in mapped.updates}


def only(mapped: Mapped) -> LeadUpdate:
    assert len({u.phone for u in mapped.updates}) == 1
    return mapped.updates[0]


def test_all_means_every_campaign_to_an_opt_out_and_every_configured_one_otherwise(
    apply: Apply,
) -> None:
    mapped = apply(STOP + NAME, {"phone": "+14155550123", "stop": "yes", "name": "Jane"})
    assert {u.campaign: dict(u.fields) for u in mapped.updates} == {
        "main": {"do_not_call": True, "first_name": "Jane"},
        "second": {"do_not_call": True, "first_name": "Jane"},
        "unset": {"do_not_call": True},
    }
    assert mapped.opts_out is True
    assert mapped.state is None
    mapped = apply(NAME, {"phone": "+14155550123", "name": "Jane"})
    assert {u.campaign for u in mapped.updates} == {"main", "second"}


@pytest.mark.parametrize("campaigns", ["unset", "empty", "{from: to}", "{from: x, default: unset}"])
def test_an_opt_out_waits_for_a_campaign_that_is_not_configured(
    apply: Apply, campaigns: str
) -> None:
    event = {"phone": "+14155550123", "stop": True, "to": "unset", "name": "Jane", **AT}
    route = f"    campaigns: {campaigns}\n"
    mapped = apply(STOP + route, event)
    assert [(u.campaign, dict(u.fields)) for u in mapped.updates] == [
        ("unset", {"do_not_call": True})
    ]
    for text, other in (
        (NAME, event),
        (STOP + "    allow_opt_in: true\n", {**event, "stop": False}),
    ):
        mapped = apply(with_time(text + route), other)
        assert mapped.state is State.DEAD
        assert "none of the rule's campaigns is configured" in mapped.reason


@pytest.mark.parametrize(
    ("campaigns", "event", "expected"),
    [
        ("main", {}, {"main"}),
        ("us", {}, {"main"}),
        ("[us, second]", {}, {"main", "second"}),
        ("{from: to}", {"to": "second"}, {"second"}),
        ("{from: to}", {"to": ["us", "second"]}, {"main", "second"}),
        ("{from: portal, table: {57: main, x: [every]}}", {"portal": 57}, {"main"}),
        ("{from: portal, table: {57: main, x: [every]}}", {"portal": "x"}, {"main", "second"}),
        ("{from: portal, table: {57: main}, default: second}", {"portal": 58}, {"second"}),
        ("{from: portal, table: {57: main}, default: second}", {}, {"second"}),
    ],
)
def test_a_rule_chooses_its_campaigns(
    apply: Apply, campaigns: str, event: dict[str, Json], expected: set[str]
) -> None:
    text = STOP + f"    campaigns: {campaigns}\n"
    mapped = apply(text, {"phone": "+14155550123", "stop": True, **event})
    assert {u.campaign for u in mapped.updates} == expected


@pytest.mark.parametrize(
    ("campaigns", "event"),
    [
        ("{from: portal, table: {57: main}}", {"portal": 58}),
        ("{from: portal, table: {57: main}}", {}),
        ("{from: to}", {"to": "nowhere"}),
    ],
)
def test_an_event_that_no_campaign_is_named_for_is_dead(
    apply: Apply, campaigns: str, event: dict[str, Json]
) -> None:
    mapped = apply(
        STOP + f"    campaigns: {campaigns}\n", {"phone": "+14155550123", "stop": 1, **event}
    )
    assert mapped.state is State.DEAD
    assert "campaign" in mapped.reason
    assert mapped.opts_out is True


@pytest.mark.parametrize(
    ("campaigns", "event"),
    [
        ("{from: to}", {"to": ["second", "spring-2025"]}),
        ("{from: portal, table: {57: second}}", {"portal": [58, 57]}),
    ],
)
def test_an_unknown_campaign_keeps_no_opt_out_from_the_known_one(
    apply: Apply, campaigns: str, event: dict[str, Json]
) -> None:
    rule = STOP + f"    campaigns: {campaigns}\n"
    update = only(apply(rule, {"phone": "+14155550123", "stop": True, **event}))
    assert (update.campaign, update.fields) == ("second", {"do_not_call": True})
    assert any("campaign" in note for note in update.notes)


def test_an_explicit_false_survives_first(apply: Apply) -> None:
    text = STOP.replace("{from: stop,", "{first: [stop, other],") + "    allow_opt_in: true\n"
    mapped = apply(text, {"phone": "+14155550123", "stop": False, "other": True})
    assert mapped.opts_out is None
    assert mapped.state is State.SKIPPED


def with_time(rules: str) -> str:
    return "  event_time: {from: at, format: iso}\nrules:\n" + rules


AT = {"at": "2026-06-25T07:00:00Z"}


def test_false_is_sent_only_by_a_rule_that_may_and_with_a_time(apply: Apply) -> None:
    event = {"phone": "+14155550123", "stop": False, **AT}
    allowed = STOP + "    allow_opt_in: true\n"
    assert only(apply(with_time(allowed), event)).fields == {"do_not_call": False}
    assert apply(with_time(allowed), event).opts_out is False
    refused = apply(with_time(STOP), event)
    assert refused.state is State.SKIPPED
    assert refused.reason == "opt-in not allowed by rule stop"
    weak = apply(with_time(allowed), {**event, "at": None})
    assert weak.state is State.SKIPPED
    assert "no time of its own" in weak.reason
    assert weak.opts_out is None


def test_a_time_from_the_future_lifts_nothing(apply: Apply) -> None:
    event = {"phone": "+14155550123", "stop": False, "at": "2027-01-01T00:00:00Z"}
    mapped = apply(with_time(STOP + "    allow_opt_in: true\n"), event)
    assert mapped.state is State.SKIPPED


TWO = """\
  - name: one
    lead:
      phone_number: phone
      first_name: a
      custom_fields: {x: a, y: b}
  - name: two
    channel: voice
    lead:
      phone_number: phone
      first_name: b
      last_name: b
      custom_fields: {x: b, z: b}
      do_not_call: stop
"""


def test_rules_are_merged_and_the_first_wins(apply: Apply) -> None:
    update = only(apply(TWO, {"phone": "+14155550123", "a": "A", "b": "B"}))
    assert update.fields == {
        "first_name": "A",
        "last_name": "B",
        "custom_fields": {"x": "A", "y": "B", "z": "B"},
    }
    assert update.rules == ("one", "two")


def test_an_opt_out_wins_over_an_opt_in_of_the_same_event(apply: Apply) -> None:
    text = STOP + "    allow_opt_in: true\n" + STOP.replace("stop", "halt")
    event = {"phone": "+14155550123", "stop": False, "halt": True, **AT}
    mapped = apply(with_time(text), event)
    assert only(mapped).fields == {"do_not_call": True}
    assert mapped.opts_out is True
    other = text.replace("phone_number: phone", "phone_number: phone2", 1)
    mapped = apply(with_time(other), {**event, "phone2": "+14155550124"})
    assert fields(mapped)["main", "+14155550123"] == {"do_not_call": True}
    assert ("main", "+14155550124") not in fields(mapped)


AGAIN = """\
  - name: again
    lead: {phone_number: phone, mark_as_unanswered: again}
"""


def test_nobody_is_called_again_who_opts_out_or_has(apply: Apply) -> None:
    event = {"phone": "+14155550123", "again": "true"}
    assert only(apply(AGAIN, event)).fields == {"mark_as_unanswered": True}
    both = only(apply(AGAIN + STOP, {**event, "stop": True}))
    assert both.fields == {"do_not_call": True}
    assert any("mark_as_unanswered" in note for note in both.notes)
    assert apply(AGAIN, event, known=Known(opted_out=True)).state is State.SKIPPED
    assert apply(AGAIN, {**event, "again": False}).state is State.SKIPPED


REMEMBERED = """\
  - name: remembered
    when: _known.opted_out
    channel: voice
    yields_to_opt_in: true
    lead: {phone_number: {all: [phone, _known.phones]}, do_not_call: {value: true}}
"""


def test_a_remembered_opt_out_goes_to_a_new_number_but_not_before_an_opt_in(apply: Apply) -> None:
    known = Known(phones=("+14155550199",), opted_out=True)
    event = {"phone": "+14155550123", "stop": False, "again": True, **AT}
    mapped = apply(with_time(REMEMBERED + STOP + AGAIN), event, known=known)
    assert fields(mapped)["main", "+14155550123"] == {"do_not_call": True}
    assert fields(mapped)["main", "+14155550199"] == {"do_not_call": True}
    allowed = REMEMBERED + STOP + "    allow_opt_in: true\n" + AGAIN
    mapped = apply(with_time(allowed), event, known=known)
    assert {(u.campaign, u.phone) for u in mapped.updates} == {
        ("main", "+14155550123"),
        ("second", "+14155550123"),
    }
    assert only(mapped).fields == {"do_not_call": False, "mark_as_unanswered": True}
    assert mapped.opts_out is False
    assert "the same event opts in" in mapped.trace[0].why
    later = Known(phones=known.phones, opted_out=True, consent_time=2**50)
    mapped = apply(with_time(allowed), event, known=later)
    assert all(u.fields == {"do_not_call": True} for u in mapped.updates)
    weak = apply(with_time(allowed), {**event, "at": None}, known=known)
    assert all(u.fields == {"do_not_call": True} for u in weak.updates)
    third = allowed + STOP.replace("stop", "halt")
    mapped = apply(with_time(third), {**event, "halt": True}, known=known)
    assert len(mapped.updates) == 6
    assert all(u.opts_out for u in mapped.updates)


def test_only_a_rule_that_asks_for_it_gives_an_opt_out_the_time_of_a_remembered_one(
    apply: Apply,
) -> None:
    named = STOP + "      first_name: name\n"
    event = {"phone": "+14155550123", "stop": True, "name": "Ann", **AT}
    known = Known(phones=("+14155550199",), opted_out=True, consent_time=2**50)
    for update in apply(with_time(named), event, known=known).updates:
        assert (update.time_ms, update.fields) == (None, {"do_not_call": True, "first_name": "Ann"})
    # its campaigns are those of the rule that asks
    some = named + REMEMBERED + "    campaigns: main\n"
    told = {
        u.campaign: u
        for u in apply(with_time(some), event, known=known).updates
        if u.phone == event["phone"]
    }
    assert (told["main"].time_ms, told["main"].fields) == (2**50, {"do_not_call": True})
    assert any("left out first_name" in note for note in told["main"].notes)
    assert (told["second"].time_ms, told["second"].fields["first_name"]) == (None, "Ann")
    for asks in (
        named.replace("phone_number: phone", "phone_number: {all: [phone, _known.phones]}"),
        named.replace("stop != `null`", "stop || _known.opted_out"),
        named.replace("{from: stop", "{first: [_known.opted_out, stop]"),
    ):
        assert asks != named
        updates = apply(with_time(asks), event, known=known).updates
        assert {u.time_ms for u in updates if u.phone == event["phone"]} == {2**50}


def test_absent_null_and_empty_are_not_sent(apply: Apply) -> None:
    text = """\
  - name: all
    channel: voice
    lead:
      phone_number: phone
      first_name: a
      last_name: b
      email: c
      do_not_call: d
      mark_as_unanswered: e
      custom_fields: {f: a, g: b, h: c, i: f}
"""
    mapped = apply(text, {"phone": "+14155550123", "a": None, "b": "", "c": " ", "f": [None, ""]})
    assert mapped.state is State.SKIPPED
    assert "nothing to send" in mapped.reason


def test_an_opt_out_goes_out_without_the_broken_field(apply: Apply) -> None:
    text = STOP + "      email: {from: email, to: email}\n      custom_fields: {x: obj}\n"
    event = {"phone": "+14155550123", "email": "nowhere", "obj": {}, "stop": True}
    update = only(apply(text, event))
    assert update.fields == {"do_not_call": True}
    assert [note.partition(":")[0] for note in update.notes] == [
        "left out email",
        "left out custom_fields.x",
    ]
    assert apply(text, {**event, "stop": None, "phone": None}).state is State.SKIPPED


def test_a_broken_field_elsewhere_does_not_hold_up_an_opt_out(apply: Apply) -> None:
    text = "  - name: mail\n    lead: {phone_number: phone, email: {from: m, to: email}}\n" + STOP
    mapped = apply(text, {"phone": "+14155550123", "m": "x", "stop": True})
    assert only(mapped).fields == {"do_not_call": True}
    assert any("mail" in note for note in only(mapped).notes)
    mapped = apply(text, {"phone": "+14155550123", "m": "x"})
    assert mapped.state is State.DEAD
    assert mapped.updates == ()


@pytest.mark.parametrize("value", ["maybe", 7, [], {}, "🤷"])
def test_an_unreadable_consent_is_dead(apply: Apply, value: Json) -> None:
    mapped = apply(STOP, {"phone": "+14155550123", "stop": value})
    assert mapped.state is State.DEAD
    assert "rule stop: do_not_call" in mapped.reason
    assert mapped.opts_out is None


def test_a_number_that_cannot_be_read_is_dead_and_masked(apply: Apply) -> None:
    mapped = apply(STOP, {"phone": "4155550", "stop": True})
    assert mapped.state is State.DEAD
    assert "phone_number" in mapped.reason
    assert "4155550" not in mapped.reason
    assert mapped.opts_out is True


def test_no_number_is_skipped_and_still_remembered_as_opted_out(apply: Apply) -> None:
    for phone in (None, "", "  "):
        mapped = apply(STOP, {"phone": phone, "stop": True})
        assert mapped.state is State.SKIPPED
        assert "no phone number" in mapped.reason
        assert mapped.opts_out is True


def test_all_takes_every_number_once_and_leaves_out_the_unreadable(apply: Apply) -> None:
    text = STOP.replace("phone_number: phone", "phone_number: {all: [a, b, c]}")
    event = {"a": "415 555 0123", "b": ["+14155550123", "junk", "+14155550124"], "stop": True}
    mapped = apply(text, event)
    assert {u.phone for u in mapped.updates} == {"+14155550123", "+14155550124"}
    assert any("left out a number" in note for note in mapped.updates[0].notes)
    assert apply(text, {"a": "junk", "stop": True}).state is State.DEAD


def test_first_passes_over_a_blank_number(apply: Apply) -> None:
    text = STOP.replace("phone_number: phone", "phone_number: {first: [a, b], region: DE}")
    mapped = apply(text, {"a": "", "b": "030 901820", "stop": True})
    assert only(mapped).phone == "+4930901820"


BY_COUNTRY = STOP.replace(
    "phone_number: phone", "phone_number: {from: phone, region: {from: country, default: US}%s}"
)


@pytest.mark.parametrize("steps", ["", ", to: e164", ", to: [trim, e164]"])
@pytest.mark.parametrize(
    ("country", "typed", "expected"),
    [
        ("DE", "030 901820", "+4930901820"),
        (" de ", "030 901820", "+4930901820"),
        ("UK", "020 7946 0123", "+442079460123"),
        (None, "415 555 0123", "+14155550123"),
        ("  ", "415 555 0123", "+14155550123"),
        ("DE", "+1 415 555 0123", "+14155550123"),
        ("Atlantis", "+1 415 555 0123", "+14155550123"),
        (["DE"], "+1 415 555 0123", "+14155550123"),
    ],
)
def test_the_country_of_a_number_may_stand_in_the_event(
    apply: Apply, country: Json, typed: str, expected: str, steps: str
) -> None:
    event = {"phone": typed, "country": country, "stop": True}
    assert only(apply(BY_COUNTRY % steps, event)).phone == expected


def test_the_country_may_stand_in_a_text_that_holds_json(apply: Apply) -> None:
    text = BY_COUNTRY.replace("country,", "country, to: [json, {pick: {value: c}}],") % ""
    text = text.replace("{value: c}", "{value: c, otherwise: first}")
    event: dict[str, Json] = {"phone": "030 901820", "country": '{"c": "DE"}', "stop": True}
    assert only(apply(text, event)).phone == "+4930901820"
    event["country"] = "{"
    mapped = apply(text, event)
    assert mapped.state is State.DEAD
    assert "its country cannot be read: the text does not hold JSON" in mapped.reason
    event |= {"country": "{}", "phone": "415 555 0123"}
    assert only(apply(text, event)).phone == "+14155550123"


def test_a_country_that_is_none_makes_nobody_of_another_country_opted_out(apply: Apply) -> None:
    event = {"phone": "415 555 0123", "country": "Atlantis", "stop": True}
    mapped = apply(BY_COUNTRY % "", event)
    assert mapped.state is State.DEAD
    assert "“Atlantis” is no country code" in mapped.reason
    several = STOP.replace(
        "phone_number: phone",
        "phone_number: {all: [phone, _known.phones], region: {from: country}}",
    )
    mapped = apply(several, event, known=Known(phones=("+14155550199",)))
    assert only(mapped).phone == "+14155550199"
    assert any("no country code" in note for note in only(mapped).notes)


def test_a_transform_reads_numbers_by_the_country_of_its_field(apply: Apply) -> None:
    text = STOP.replace("phone_number: phone", "phone_number: {from: phone, to: e164, region: DE}")
    assert only(apply(text, {"phone": "030 901820", "stop": True})).phone == "+4930901820"


def test_numbers_are_remembered_by_every_country_they_are_read_by(
    one: One, delivery: Callable[..., Delivery]
) -> None:
    """Of two ways that differ in the country alone, neither covers the other."""
    german = "  - name: b\n    lead: {phone_number: {all: [phone], region: {from: c}}, email: m}\n"
    usual = "  - name: a\n    lead: {phone_number: {all: [phone]}, first_name: n}\n"
    mapping = one(f"rules:\n{usual}{german}")
    assert mapping.remembered == (0, 1)


def test_no_rule_applies_says_so(apply: Apply) -> None:
    mapped = apply(STOP, {"phone": "+14155550123"})
    assert (mapped.state, mapped.reason) == (State.SKIPPED, "no rule applies")
    assert [t.fired for t in mapped.trace] == [False]
    text = STOP.replace("stop != `null`", "contains(tags, 'x')")
    mapped = apply(text, {"phone": "+14155550123"})
    assert "contains" in mapped.reason
    assert "contains" in mapped.trace[0].why


def test_skip_gives_its_reason_unless_another_rule_fires(apply: Apply) -> None:
    text = STOP + "  - name: else\n    skip: not today\n"
    assert apply(text, {}).reason == "not today"
    assert only(apply(text, {"phone": "+14155550123", "stop": True})).opts_out
    assert "no phone number" in apply(text, {"stop": True}).reason


FULL = """\
  contacts: {account: acct, ids: [id, others]}
  event_id: [id]
define:
  kind: "not_null(type, old_type)"
enrich:
  person:
    url: https://crm.example.com/read
    token: "${CRM_TOKEN}"
    when: "kind == 'thin'"
    account: acct
    ids: "[id, others][]"
    body: {inputs: "@ids"}
    results: results
    result_id: id
    result_value: "@"
rules:
  - name: stop
    when: stop
    channel: voice
    lead:
      phone_number: {all: [phone, "person_all[].phone", _known.phones]}
      do_not_call: {value: true}
  - name: name
    when: name
    lead: {phone_number: {first: [phone, person.phone]}, first_name: name}
"""


BY_RECORD = FULL.replace(
    'phone_number: {all: [phone, "person_all[].phone", _known.phones]}',
    'phone_number: {all: [phone, "person_all[].phone", _known.phones], region: {from: person.c}}',
)


def test_a_country_in_a_record_that_is_not_there_is_not_guessed(apply: Apply) -> None:
    """What goes out before the look-up, or without it, goes to nobody of another country."""
    event = {"id": 7, "acct": 1, "type": "thin", "phone": "030 901820", "stop": True}
    for found in ({}, {"person": Found((), ("7",))}):
        mapped = apply(BY_RECORD, event, found=found)
        assert mapped.state is State.DEAD
        assert "stands in the record of person, which is not there" in mapped.reason
    told = {"person": Found(({"c": "DE"},), ())}
    assert only(apply(BY_RECORD, event, found=told)).phone == "+4930901820"


def test_lookups_are_asked_only_when_wanted(one: One, delivery: Callable[..., Delivery]) -> None:
    mapping = one(FULL)
    events = mapping.split(
        [
            {"old_type": "thin", "acct": 7, "id": 5, "others": [6, "5", None, True, {}]},
            {"type": "fat", "id": 5},
            {"type": "thin"},
        ],
        delivery(),
    )
    (wanted,) = mapping.wants(events[0])
    assert (wanted.lookup, wanted.account, wanted.ids) == ("person", "7", ("5", "6"))
    assert mapping.wants(events[1]) == ()
    assert mapping.wants(events[2]) == ()
    assert [(c.account, c.id) for c in events[0].contacts] == [("7", "5"), ("7", "6")]


def test_rules_see_what_lookups_brought(apply: Apply) -> None:
    found = {"person": Found(({"phone": "+14155550101"}, {"phone": "+14155550102"}), ("9",))}
    known = Known(phones=("+14155550103",))
    mapped = apply(FULL, {"stop": 1, "id": 5, "person": "of the event"}, found=found, known=known)
    assert {u.phone for u in mapped.updates} == {"+14155550101", "+14155550102", "+14155550103"}
    gone = apply(FULL, {"stop": 1, "id": 5}, found={"person": Found((), ("5",))})
    assert "the CRM does not know person 5" in gone.reason


def test_numbers_are_remembered_whichever_rule_fires(apply: Apply) -> None:
    found = {"person": Found(({"phone": "+14155550101"},))}
    mapped = apply(FULL, {"id": 5, "phone": "415 555 0199"}, found=found)
    assert mapped.state is State.SKIPPED
    assert set(mapped.phones) == {"+14155550199", "+14155550101"}


def test_custom_fields_can_come_as_an_object(apply: Apply) -> None:
    text = "  - name: c\n    lead: {phone_number: phone, custom_fields: extra}\n"
    event = {
        "phone": "+14155550123",
        "extra": {"a": 1, "b": "x\x00y", "c": None, "d": 2**70, "e\ud800": [True, ""], " ": 1},
    }
    assert only(apply(text, event)).fields == {
        "custom_fields": {"a": 1, "b": "xy", "d": str(2**70), "e\ufffd": [True]}
    }
    assert apply(text, {**event, "extra": {"a": {}}}).state is State.DEAD


def test_other_channels_count_only_when_the_file_says_so(apply: Apply) -> None:
    text = STOP.replace("channel: voice", "channel: sms\n    counts_as: voice")
    assert only(apply(text, {"phone": "+14155550123", "stop": True})).opts_out


def test_an_unreadable_event_is_dead(one: One, delivery: Callable[..., Delivery]) -> None:
    mapping: SourceMapping = one("rules:\n" + STOP)
    events = mapping.split([None, {"phone": "+14155550123", "stop": True}], delivery())
    assert mapping.wants(events[0]) == ()
    assert mapping.apply(events[0], {}, Known()).state is State.DEAD
    assert mapping.apply(events[1], {}, Known()).updates
