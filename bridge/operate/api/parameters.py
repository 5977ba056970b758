"""What the API takes: path, query and body parameters."""

from __future__ import annotations

import re
from typing import Any

from marshmallow import Schema, ValidationError, fields, validate

from bridge.model import State
from bridge.operate.export.lines import Form

MOST = 2**53 - 1
"""The largest id: what JSON numbers hold everywhere."""

STATES = [state.value for state in State]
_DIGITS = re.compile(r"[0-9]{1,16}", re.ASCII)


class Pattern(validate.Regexp):
    """A regular expression for the whole text, without the line break that ``$`` lets through."""

    def __call__(self, value: Any) -> Any:
        regex: Any = self.regex
        if regex.fullmatch(value) is None:
            raise ValidationError(self._format_error(value))
        return value


_PRINTABLE = Pattern(r"^[^\x00-\x1f\x7f]*$", error="Holds a control character.")
RECEIPT = Pattern(r"^[0-9a-f]{32}$", error="A receipt has 32 hexadecimal digits.")


class Whole(fields.Integer):
    """A whole number in plain digits, or a JSON integer."""

    def _validated(self, value: Any) -> Any:
        if isinstance(value, float) and value.is_integer():
            value = int(value)  # JSON has no other way of telling 5.0 from 5
        plain = isinstance(value, str) and _DIGITS.fullmatch(value)
        if not plain and (isinstance(value, bool) or not isinstance(value, int)):
            raise self.make_error("invalid", input=value)
        return super()._validated(value)


def _id(what: str) -> Whole:
    return Whole(required=True, validate=validate.Range(1, MOST), metadata={"description": what})


def _name(what: str, longest: int) -> fields.String:
    return fields.String(
        validate=[validate.Length(1, longest), _PRINTABLE], metadata={"description": what}
    )


class Paging(Schema):
    """A page: its size, and where it begins."""

    cursor = Whole(
        load_default=None,
        validate=validate.Range(1, MOST),
        metadata={"description": "`cursor` of the page before; left out: the newest"},
    )
    limit = Whole(
        load_default=50,
        validate=validate.Range(1, 500),
        metadata={"description": "rows of a page, at most"},
    )


class OutcomeQuery(Paging):
    state = fields.String(
        validate=validate.OneOf(STATES), metadata={"description": "only outcomes in this state"}
    )
    campaign = _name("only this campaign, by its name in campaigns.yaml", 200)
    source = _name("only this source", 100)
    receipt = fields.String(validate=RECEIPT, metadata={"description": "only this delivery"})
    lead = Whole(
        validate=validate.Range(1, MOST),
        metadata={
            "description": "only the phone number of this lead, by its id (POST /api/leads/search "
            "finds it); numbers stand in no URL, since URLs are written to logs"
        },
    )


class OpenQuery(Schema):
    limit = Whole(
        load_default=50,
        validate=validate.Range(1, 500),
        metadata={"description": "the oldest of each state, at most"},
    )


class DeliveryQuery(Paging):
    source = _name("only this source", 100)
    waiting = fields.String(
        load_default="false",
        validate=validate.OneOf(["true", "false"]),
        metadata={"description": "true: only deliveries that no worker has taken in yet"},
    )


class RefusalQuery(Paging):
    source = _name("only this source", 100)


class StoryQuery(Schema):
    cursor = Whole(
        load_default=None,
        validate=validate.Range(1, MOST),
        metadata={"description": "`cursor` of the part before; left out: the newest part"},
    )


class OutcomePath(Schema):
    id = _id("id of the outcome")


class LeadPath(Schema):
    id = _id("id of the lead")


class ReceiptPath(Schema):
    receipt = fields.String(
        required=True, validate=RECEIPT, metadata={"description": "32 hexadecimal digits"}
    )


class CampaignPath(Schema):
    campaign = fields.String(
        required=True,
        validate=[validate.Length(1, 200), _PRINTABLE],
        metadata={"description": "name of the campaign in campaigns.yaml"},
    )


class SearchBody(Schema):
    text = fields.String(
        required=True,
        validate=[validate.Length(1, 320), _PRINTABLE],
        metadata={
            "description": "a phone number as people write it, an e-mail address, or the id of a "
            "contact in its CRM"
        },
    )


def _no_surrogates(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValidationError("Holds half a character.") from None


class TrialBody(Schema):
    source = fields.String(
        required=True,
        validate=Pattern(r"^[a-z0-9][a-z0-9_-]{0,62}$", error="Small letters, 0-9, - and _."),
        metadata={"description": "name of the source, which is the name of its file"},
    )
    mapping = fields.String(
        load_default=None,
        allow_none=True,
        validate=[validate.Length(0, 200_000), _no_surrogates],
        metadata={"description": "text of the mapping file; null: the file as it is on disk"},
    )
    payload = fields.String(
        load_default="",
        validate=[validate.Length(0, 300_000), _no_surrogates],
        metadata={"description": "body of a webhook, as text"},
    )
    receipt = fields.String(
        load_default=None,
        allow_none=True,
        validate=RECEIPT,
        metadata={"description": "a stored delivery, whose body is taken instead of payload"},
    )
    records = fields.Dict(
        keys=fields.String(),
        values=fields.Dict(keys=fields.String()),
        load_default=dict,
        metadata={"description": "what stands in for look-ups: look-up → id → record"},
    )


class ReplayPath(Schema):
    id = _id("id of the replay")


class PauseBody(Schema):
    reason = fields.String(
        load_default="",
        validate=[validate.Length(0, 500), _PRINTABLE],
        metadata={"description": "why, for those who see it later"},
    )
    hold_opt_outs = fields.Boolean(
        load_default=False,
        truthy={True},
        falsy={False},
        metadata={"description": "hold opt-outs as well: who opts out may be called meanwhile"},
    )


def _moment(what: str, *, required: bool = False) -> Whole:
    return Whole(
        required=required,
        validate=validate.Range(1, MOST),
        metadata={"description": f"{what}; milliseconds since 1970 UTC"},
    )


class ReplayBody(Schema):
    """What is to be replayed; at least one thing has to be said."""

    states = fields.List(
        fields.String(validate=validate.OneOf(STATES)),
        validate=validate.Length(1, len(STATES)),
        metadata={"description": "events whose newest outcome is one of these"},
    )
    source = _name("only this source", 100)
    campaign = _name("only outcomes of this campaign, and send to no other", 200)
    error = _name("only outcomes whose message holds this text", 500)
    version = _name("only outcomes that this mapping version made", 64)
    receipt = fields.String(validate=RECEIPT, metadata={"description": "only this delivery"})
    since = _moment("received since")
    until = _moment("received before")
    mapping = fields.String(
        load_default="current",
        validate=[validate.Length(1, 64), _PRINTABLE],
        metadata={"description": "current, original, or a kept version"},
    )


class FileBody(Schema):
    """How a file of evidence is to be made."""

    format = fields.String(
        load_default=Form.JSONL.value,
        validate=validate.OneOf([form.value for form in Form]),
        metadata={"description": "JSON Lines, or CSV for spreadsheets"},
    )
    bodies = fields.Boolean(
        load_default=True,
        truthy={True},
        falsy={False},
        metadata={"description": "raw webhooks with their bodies, or with hashes of these alone"},
    )


class LeadFileBody(SearchBody, FileBody):
    """Whose record is wanted."""


class PeriodFileBody(FileBody):
    """Which time is wanted; what came in the last five seconds is left out."""

    since = _moment("received since", required=True)
    until = _moment("received before; left out: until now")
    source = _name("only this source", 100)
    campaign = _name("only outcomes of this campaign, and of events without lead updates", 200)
