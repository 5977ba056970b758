"""Outcomes, and the story of a lead that is made of them."""

from __future__ import annotations

from marshmallow import Schema, fields

from bridge.operate.api.kinds import flag, number, sent, text, texts, time, word
from bridge.operate.api.parameters import STATES


class Call(Schema):
    """One call of the bulk endpoint, as far as it concerns one outcome."""

    batch_id = number()
    started_at = time(maybe=True)
    elapsed_ms = number(maybe=True)
    leads = number("leads in the call", maybe=True)
    calls = number("calls it was taken apart to", maybe=True)
    status = number("HTTP status; null: no answer", maybe=True)
    trouble = text(maybe=True)
    detail = text()
    answered_at = time(maybe=True)
    became = word(*STATES)
    message = text()


class Outcome(Schema):
    """What became of one lead update, or of an event that led to none."""

    id = number()
    event_id = number()
    receipt = text()
    source = text()
    campaign = text("empty: no lead update")
    phone = text("E.164; empty: no lead update")
    lead_id = number(maybe=True)
    state = word(*STATES)
    fields_sent = sent()
    opts_out = flag()
    rules = texts()
    event_time = time()
    received_at = time()
    decided_at = time(maybe=True)
    elapsed_ms = number(maybe=True)
    tries = number()
    message = text()
    version = text()
    replay_id = number("0: the first way; else the replay that made it")
    erased_at = time(maybe=True)
    calls = fields.List(
        fields.Nested(Call),
        required=True,
        metadata={"description": "calls that carried it, the last one last"},
    )


class Outcomes(Schema):
    rows = fields.List(fields.Nested(Outcome), required=True)
    cursor = number("the next page; null: this was all", maybe=True)
    looked_through = flag("more may match: the page ended since it had looked far enough")


class OpenOptOuts(Schema):
    rows = fields.List(fields.Nested(Outcome), required=True)


class Hold(Schema):
    """What holds a campaign back: a pause by hand, the campaign API's answers, or settings that are
    missing."""

    by = word("hand", "api", "settings")
    who = text("who paused it; empty: nobody did")
    since = time(maybe=True)
    reason = text()
    opt_outs = flag("opt-outs are held back as well")
    condition = word("", "backoff", "paused")
    tried_at = time(maybe=True)


class Lead(Schema):
    """Where one lead stands with its opt-out."""

    id = number()
    campaign = text()
    phone = text()
    opted_out = flag()
    lane = text()
    due_at = time(maybe=True)
    in_flight = flag("a worker is sending it now")
    held_back = fields.List(
        fields.Nested(Hold),
        required=True,
        metadata={"description": "nothing that waits is sent before all of these have ended"},
    )
    verdict = word(
        "none",
        "lifted",
        "confirmed",
        "sent_again",
        "standing",
        "on_its_way",
        "held_back",
        "not_confirmed",
        "taken_over",
    )
    received_at = time(maybe=True)
    confirmed_at = time(maybe=True)
    outcome_id = number(maybe=True)
    message = text()


class StoryEvent(Schema):
    id = number()
    receipt = text()
    source = text()
    scheme = text()
    ordinal = number()
    received_at = time()
    event_time = time()
    weak_time = flag()
    pending = flag()
    trouble = text()
    outcomes = fields.List(fields.Nested(Outcome), required=True)


class Story(Schema):
    """The newest event first."""

    phones = texts()
    leads = fields.List(fields.Nested(Lead), required=True)
    events = fields.List(fields.Nested(StoryEvent), required=True)
    cursor = number(maybe=True)
    not_taken_in = number("accepted deliveries, of which nobody can say yet whom they are about")
    look_ups = number("events that wait for a look-up, of which the same is true")


class SearchResult(Story):
    understood_as = word("phone", "email", "contact", "nothing")
