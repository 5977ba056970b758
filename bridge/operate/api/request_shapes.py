"""What came in: deliveries and refusals."""

from __future__ import annotations

from marshmallow import Schema, fields

from bridge.operate.api.kinds import flag, number, text, time
from bridge.operate.api.mapping_shapes import DeliveryTrial
from bridge.operate.api.outcome_shapes import Outcome


class Delivery(Schema):
    """A webhook request as it arrived."""

    receipt = text()
    source = text()
    received_at = time()
    method = text()
    path = text()
    address = text()
    scheme = text()
    state = text()
    problem = text(maybe=True)
    version = text(maybe=True)
    erased_at = time(maybe=True)
    bytes = number()


class Deliveries(Schema):
    rows = fields.List(fields.Nested(Delivery), required=True)
    cursor = number(maybe=True)


class EventRow(Schema):
    """One event of a delivery, as it is stored."""

    id = number()
    ordinal = number()
    event_time = time()
    weak_time = flag()
    state = text()
    duplicate_of = number(maybe=True)
    trouble = text(maybe=True)


class DeliveryWhole(Delivery):
    """A delivery with all that belongs to it."""

    headers = fields.Dict(keys=fields.String(), values=fields.String(), required=True)
    query = fields.Dict(keys=fields.String(), values=fields.String(), required=True)
    body = text("as text, if it is UTF-8", maybe=True)
    body_base64 = text()
    damaged = text("why the body is not what came; null: it is", maybe=True)
    events = fields.List(fields.Nested(EventRow), required=True)
    outcomes = fields.List(fields.Nested(Outcome), required=True)
    trace = fields.Nested(DeliveryTrial, required=True, allow_none=True)


class Refusal(Schema):
    """A request that did not pass verification, or was too large; kept without credentials."""

    receipt = text()
    source = text()
    received_at = time()
    address = text()
    method = text()
    url = text()
    reason = text()
    passed_over = number()
    bytes = number()


class Refusals(Schema):
    rows = fields.List(fields.Nested(Refusal), required=True)
    cursor = number(maybe=True)


class RefusalWhole(Refusal):
    headers = fields.Dict(keys=fields.String(), values=fields.List(fields.String()), required=True)
    body = text(maybe=True)
    body_base64 = text()
