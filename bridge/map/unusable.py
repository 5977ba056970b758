"""A value in the data that cannot be used, and how values may be shown in a reason.

Reasons end in log lines and on pages, where phone numbers and addresses stand masked only.
"""

from __future__ import annotations

import re

from bridge.model import Json

_PRIVATE = re.compile(r"@|(?:\d\D{0,2}){5}")


class Unusable(Exception):  # noqa: N818 - reads as the state it reports
    """A transform cannot take a value; the text says which and why, private data masked."""


def shown(value: Json) -> str:
    """A value as a reason may show it: short, phone numbers and e-mail addresses masked."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list):
        return "a list"
    if isinstance(value, str):
        text = "".join(c if c.isprintable() else "\ufffd" for c in value[:200])
    elif isinstance(value, int) and value.bit_length() > 200:
        return "a huge number"
    else:
        text = str(value)
    if _PRIVATE.search(text):
        return f"“…{text[-2:]}”" if len(text) > 4 else "“…”"
    return f"“{text[:40]}…”" if len(text) > 40 else f"“{text}”"
