"""Replays: the plan of one, and what has come of one."""

from __future__ import annotations

from marshmallow import Schema, fields

from bridge.operate.api.kinds import flag, fraction, number, text, word


def _counts() -> fields.Dict:
    return fields.Dict(keys=fields.String(), values=fields.Integer(), required=True)


class Plan(Schema):
    """What a replay would do; nothing was done."""

    deliveries = number()
    on_their_way = number("events that are on their way by themselves, and left alone")
    events = _counts()
    look_ups = number("events of which only their CRM's answer will tell")
    updates = _counts()
    opt_outs = number()
    marks = number()
    versions = _counts()
    problems = _counts()
    leads = _counts()
    fields_changed = fields.Dict(
        keys=fields.String(),
        values=fields.Integer(),
        attribute="fields",
        data_key="fields",
        required=True,
    )
    events_that_differ = number()
    examples = fields.List(fields.Dict(keys=fields.String()), required=True)


class Replay(Schema):
    """A replay and what has come of it; times in UTC."""

    id = number()
    state = word("preparing", "running", "cancelled", "done")
    created_at = text()
    ended_at = text(maybe=True)
    selection = fields.Dict(keys=fields.String(), required=True)
    mapping = text()
    marks = flag()
    rate = fraction()
    deliveries = number()
    deliveries_done = number()
    outcomes = _counts()
    share = fraction()
    settled = flag()
    trouble = text()


class Replays(Schema):
    rows = fields.List(fields.Nested(Replay), required=True)
    cursor = number(maybe=True)
