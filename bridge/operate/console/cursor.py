"""What the address of a page says: where it begins, and what it is filtered by."""

from __future__ import annotations

import re

from flask import request

PER_PAGE = 50
_DIGITS = re.compile(r"[0-9]{1,16}", re.ASCII)
_RECEIPT = re.compile(r"[0-9a-f]{32}")


def cursor() -> int | None:
    """Where the page begins; None at the newest. What is no cursor is none."""
    text = request.args.get("cursor", "")
    return int(text) if _DIGITS.fullmatch(text) else None


def chosen(name: str, longest: int = 200) -> str | None:
    """The value of a filter; None if it is not set."""
    text = request.args.get(name, "").replace("\x00", "").strip()[:longest]
    return text or None


def is_receipt(text: str | None) -> bool:
    """Whether a text can be a receipt."""
    return text is not None and _RECEIPT.fullmatch(text) is not None
