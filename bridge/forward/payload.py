"""The element of a batch that stands for one lead, in the shape the bulk endpoint documents."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bridge.jsontext import dump_bytes
from bridge.model import Campaign


def element(campaign: Campaign, phone: str, fields: Mapping[str, Any]) -> dict[str, Any]:
    """``phone_number`` (E.164 ``phone`` in the campaign's format) and the fields to change."""
    number = phone.removeprefix("+") if campaign.phone_format == "digits" else phone
    return {"phone_number": number, **fields}


def size(payload: dict[str, Any]) -> int:
    """How many bytes an element adds to a body."""
    return len(dump_bytes(payload)) + 1
