"""Mapping files, and what a mapping makes of a body."""

from __future__ import annotations

from marshmallow import Schema, fields

from bridge.operate.api.kinds import flag, number, sent, text, texts, time, word


class Mistake(Schema):
    file = text()
    line = number()
    column = number()
    code = text()
    message = text()
    hint = text()


class Condition(Schema):
    """A part of a rule's `when`, between && and ||."""

    holds = flag("null: not asked, since those before it had decided", maybe=True)
    text = text()
    values = fields.Dict(
        keys=fields.String(),
        values=fields.String(),
        required=True,
        metadata={"description": "what it met in the event, as JSON, long values cut"},
    )


class RuleTrace(Schema):
    rule = text()
    fired = flag("whether the rule applies")
    why = text()
    conditions = fields.List(fields.Nested(Condition), required=True)


class LeadUpdate(Schema):
    campaign = text()
    phone = text()
    fields_sent = sent()
    rules = texts()
    notes = texts()


class LookUp(Schema):
    look_up = text()
    ids = texts()


class TracedEvent(Schema):
    """What a mapping makes of one event."""

    ordinal = number()
    key = text()
    event_time = time()
    weak_time = flag()
    notes = texts()
    contacts = texts()
    look_ups = fields.List(fields.Nested(LookUp), required=True)
    rules = fields.List(fields.Nested(RuleTrace), required=True)
    updates = fields.List(fields.Nested(LeadUpdate), required=True)
    state = text(maybe=True)
    reason = text()


class Trial(Schema):
    """What a mapping makes of a body; ``mistakes`` if it is no mapping yet."""

    mistakes = fields.List(fields.Nested(Mistake), required=True)
    problem = text()
    events = fields.List(fields.Nested(TracedEvent), required=True)
    more_events = number()


class DeliveryTrial(Trial):
    """What the mapping in force makes of a stored delivery."""

    version = text("of the mapping in force")


class Rule(Schema):
    name = text()
    reached = flag("whether some case lets it fire")


class CaseResult(Schema):
    name = text()
    line = number()
    passed = flag()
    differences = texts()


class MappingFile(Schema):
    name = text()
    file = text()
    title = text()
    version = text()
    state = word("ready", "not_configured", "not_taken_in")
    missing = texts()
    look_ups = texts()
    rules = fields.List(fields.Nested(Rule), required=True)
    cases = fields.List(fields.Nested(CaseResult), required=True)
    cases_problem = text()


class Mappings(Schema):
    problem = text("why the last edit was not taken in; null: it was", maybe=True)
    rows = fields.List(fields.Nested(MappingFile), required=True)
