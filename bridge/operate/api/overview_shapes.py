"""The overview: health, figures, campaigns and sources."""

from __future__ import annotations

from marshmallow import Schema, fields

from bridge.operate.api.kinds import flag, fraction, number, text, texts, time, word
from bridge.operate.concern import Kind
from bridge.operate.overview import FLOWS, STOCKS, Period


class Check(Schema):
    name = text()
    status = word("pass", "warn", "fail")
    output = text()


class Concern(Schema):
    """Something that is not well, as alerts tell it."""

    kind = word(*(kind.value for kind in Kind))
    page = text("where the console shows what it is about; null: nowhere", maybe=True)
    subject = text()
    text = text()
    since = time(maybe=True)
    size = number()
    urgent = flag()


class NotTakenIn(Schema):
    count = number("of the oldest 5,000")
    more = flag("there may be more than were counted")
    oldest_at = time(maybe=True)


class OldestOptOut(Schema):
    waiting_since = time(maybe=True)
    standing_since = time(maybe=True)


class Steps(Schema):
    first_at = time()
    step_ms = number()
    steps = fields.List(fields.Integer(), required=True)
    total = number("the sum; of what stands, the most")


class Figure(Schema):
    now = number("null for what is counted as it happens", maybe=True)
    periods = fields.Nested(
        Schema.from_dict(
            {period.value: fields.Nested(Steps, required=True) for period in Period}, name="Periods"
        ),
        required=True,
    )


class Pause(Schema):
    """A pause by hand: nothing but opt-outs is sent, or nothing at all."""

    since = time()
    actor = text()
    reason = text()
    holds_opt_outs = flag()


class Campaign(Schema):
    name = text()
    configured = flag()
    missing = texts()
    gone = flag()
    groups = texts()
    rate_per_s = fraction(maybe=True)
    concurrency = number(maybe=True)
    condition = text()
    reason = text()
    since = time(maybe=True)
    not_before = time(maybe=True)
    paused_by_hand = fields.Nested(Pause, required=True, allow_none=True)
    waiting = number()
    standing = number()
    updated = number()
    next_due_at = time(maybe=True)


class Campaigns(Schema):
    rows = fields.List(fields.Nested(Campaign), required=True)


class Source(Schema):
    name = text()
    title = text()
    configured = flag()
    missing = texts()
    last_delivery_at = time(maybe=True)
    refused_today = number()
    last_refusal_at = time(maybe=True)


class Overview(Schema):
    at = time()
    status = word("pass", "warn", "fail")
    checks = fields.List(fields.Nested(Check), required=True)
    concerns = fields.List(fields.Nested(Concern), required=True)
    figures = fields.Nested(
        Schema.from_dict(
            {kind: fields.Nested(Figure, required=True) for kind in (*FLOWS, *STOCKS)},
            name="Figures",
        ),
        required=True,
    )
    not_taken_in = fields.Nested(NotTakenIn, required=True)
    oldest_opt_out = fields.Nested(OldestOptOut, required=True)
    campaigns = fields.List(fields.Nested(Campaign), required=True)
    sources = fields.List(fields.Nested(Source), required=True)
