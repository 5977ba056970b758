"""What a body must look like, field by field.

The lead fields are those of the campaign API's reference pages:
https://docs.voiceaiwrapper.app/api-reference/leads-v2/bulk-update-in-voice-campaign and
https://docs.voiceaiwrapper.app/api-reference/leads-v2/bulk-add-to-voice-campaign. Types are
strict: a boolean is ``true`` or ``false``, ``null`` is no string, an unknown key is a mistake.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from marshmallow import Schema, ValidationError, fields, validate, validates_schema

from bridge.sandbox.behaviour import MODES
from bridge.sandbox.database import Json


class ShapeError(Exception):
    """A body does not have the documented shape.

    ``messages`` is keyed by field, or by the index of the element and then by field.
    ``valid`` holds, by index, the elements that are right.
    """

    def __init__(self, messages: Json, valid: dict[int, Json]) -> None:
        self.messages = messages
        self.valid = valid
        super().__init__(f"not the documented shape: {messages}")


class StrictBoolean(fields.Boolean):
    """``true`` or ``false``; not ``1``, not ``"yes"``."""

    def _deserialize(self, value: Any, *_where: Any, **_kwargs: Any) -> bool:
        if not isinstance(value, bool):
            raise self.make_error("invalid", input=value)
        return value


def _present() -> validate.Length:
    return validate.Length(min=1, error="Must not be empty.")


class LeadUpdateSchema(Schema):
    """One element of the bulk update, and the body of the single update."""

    phone_number = fields.String(required=True, validate=_present())
    first_name = fields.String()
    last_name = fields.String()
    email = fields.Email()
    do_not_call = StrictBoolean()
    custom_fields = fields.Dict(keys=fields.String())
    mark_as_unanswered = StrictBoolean()


class NewLeadSchema(Schema):
    """One element of the bulk add."""

    phone_number = fields.String(
        required=True,
        validate=validate.Regexp(
            r"\+[1-9]\d{1,14}\Z", error="Must be E.164, such as +14155552671."
        ),
    )
    first_name = fields.String()
    last_name = fields.String()
    email = fields.Email()
    custom_fields = fields.Dict(keys=fields.String())


class NewLeadOfTenantSchema(NewLeadSchema):
    """The body of the single add."""

    tenant_id = fields.String(required=True, validate=_present())


class LeadSettingSchema(LeadUpdateSchema):
    """One element of ``PUT /sandbox/leads``."""

    class Meta:
        exclude = ("mark_as_unanswered",)

    campaign = fields.String(required=True, validate=_present())
    answered = StrictBoolean()


class ContactSettingSchema(Schema):
    """One element of ``PUT /sandbox/contacts``."""

    id = fields.String(
        required=True, validate=validate.Regexp(r"\d+\Z", error="Must be digits, as text.")
    )
    properties = fields.Dict(keys=fields.String())
    created_at = fields.AwareDateTime(format="iso")
    updated_at = fields.AwareDateTime(format="iso")
    archived = StrictBoolean()
    privacy_deleted = StrictBoolean(validate=validate.Equal(True))
    merged_into = fields.String(validate=_present())


class BatchInputSchema(Schema):
    """One element of ``inputs``."""

    id = fields.String(required=True, validate=_present())


class BatchReadSchema(Schema):
    """The body of HubSpot's batch read.

    Source: https://developers.hubspot.com/docs/api-reference/latest/crm/objects/objects/batch/get-objects.
    ``idProperty`` and a non-empty ``propertiesWithHistory`` exist there, not here.
    """

    inputs = fields.List(
        fields.Nested(BatchInputSchema),
        required=True,
        validate=validate.Length(max=100, error="At most 100 inputs."),
    )
    properties = fields.List(fields.String(), load_default=list)
    propertiesWithHistory = fields.List(  # noqa: N815 - the API's own name
        fields.String(),
        required=True,
        validate=validate.Length(max=0, error="The sandbox keeps no history: send []."),
    )
    idProperty = fields.String(  # noqa: N815 - the API's own name
        validate=validate.Equal("hs_object_id", error="The sandbox reads by record id only.")
    )


class StepSchema(Schema):
    """How one call goes wrong."""

    mode = fields.String(required=True, validate=validate.OneOf(MODES))
    retry_after = fields.Raw()
    status = fields.Integer(strict=True, validate=validate.Range(100, 599))
    body = fields.Raw(allow_none=True)
    seconds = fields.Float(validate=validate.Range(0, 600))
    rows = fields.Integer(strict=True, validate=validate.Range(1))

    @validates_schema
    def _status_only_where_it_counts(self, data: Mapping[str, Any], **_kwargs: Any) -> None:
        if data["mode"] == "status" and "status" not in data:
            raise ValidationError("Mode 'status' needs a status, such as 503.", "status")


class DrawSchema(Schema):
    """A behaviour drawn for every call: the same seed gives the same calls."""

    seed = fields.Integer(strict=True, required=True)
    weights = fields.Dict(
        keys=fields.String(validate=validate.OneOf(MODES)),
        values=fields.Float(validate=validate.Range(0)),
        required=True,
        validate=_present(),
    )
    steps = fields.Dict(
        keys=fields.String(validate=validate.OneOf(MODES)), values=fields.Nested(StepSchema)
    )

    @validates_schema
    def _something_to_draw(self, data: Mapping[str, Any], **_kwargs: Any) -> None:
        if sum(data["weights"].values()) <= 0:
            raise ValidationError("At least one weight must be above 0.", "weights")
        if data["weights"].get("status") and "status" not in data.get("steps", {}):
            raise ValidationError('Write steps: {"status": {"mode": "status", …}} too.', "steps")


class BehaviourSchema(Schema):
    """The body of ``PUT /sandbox/behaviour``."""

    campaign = fields.String(validate=_present())
    hubspot = StrictBoolean()
    steps = fields.List(fields.Nested(StepSchema), load_default=list)
    default = fields.Nested(StepSchema)
    random = fields.Nested(DrawSchema)

    @validates_schema
    def _one_place_and_one_default(self, data: Mapping[str, Any], **_kwargs: Any) -> None:
        if "campaign" in data and data.get("hubspot"):
            raise ValidationError("Name a campaign or hubspot, not both.", "campaign")
        if "default" in data and "random" in data:
            raise ValidationError("Give default or random, not both.", "default")


def load_one(schema: type[Schema], body: Json) -> dict[str, Json]:
    """The body, checked. ShapeError says which field is wrong and how."""
    try:
        loaded: dict[str, Json] = schema().load(body)
    except ValidationError as error:
        raise ShapeError(error.messages, {}) from None
    return loaded


def load_many(schema: type[Schema], body: list[Json]) -> list[dict[str, Json]]:
    """Every element, checked. ShapeError names the wrong ones and keeps the right ones."""
    try:
        loaded: list[dict[str, Json]] = schema(many=True).load(body)
    except ValidationError as error:
        messages: Json = error.messages
        whole = dict(enumerate(error.valid_data)) if isinstance(error.valid_data, list) else {}
        right = {index: row for index, row in whole.items() if index not in messages}
        raise ShapeError(messages, right) from None
    return loaded
