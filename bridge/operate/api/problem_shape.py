"""An error."""

from __future__ import annotations

from marshmallow import Schema, fields

from bridge.operate.api.kinds import number, text


class Problem(Schema):
    """An error, as RFC 9457 has it."""

    type = text()
    title = text()
    status = number()
    detail = text()
    errors = fields.Dict(keys=fields.String(), metadata={"description": "by place and parameter"})
