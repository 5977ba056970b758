"""URLs that the bridge itself calls: from the file and the settings, and not in the clear."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlsplit

from bridge.map.kinds import Text, faulty
from bridge.map.substitution import Filled, missing_in
from bridge.model import Json

_WHOLE_HOST = re.compile(r"(https?://)?\$\{[^{}]*\}(?=[:/?]|\Z)")
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


class Address(Text):
    """An https URL, or http to this machine."""

    def read(self, value: Json) -> Any:
        """The URL."""
        text = str(super().read(value))
        if missing_in(value):
            return text
        try:
            parts = urlsplit(text)
            host, _ = parts.hostname, parts.port
        except ValueError:
            host = None
        if (
            not host
            or parts.scheme not in ("http", "https")
            or any(c.isspace() or not c.isprintable() for c in text)
        ):
            raise faulty("bad-url", "is not a URL.", "Write https://….")
        if parts.username is not None or parts.password is not None:
            raise faulty("literal-secret", "holds a login.", "Take it out; use `token`.")
        if parts.fragment:
            raise faulty("bad-url", "has a # part.", "Take it out.")
        if parts.scheme == "http" and host not in _LOOPBACK:
            raise faulty(
                "url-in-the-clear",
                f"goes to {host} without encryption.",
                "Write https:// (http is for this machine only).",
            )
        return text


def names_the_host(value: Json) -> bool:
    """Whether a setting itself, not the file nor its default, gives the whole host of a URL."""
    if not isinstance(value, Filled) or value.first is None:
        return False
    written = _WHOLE_HOST.match(value.raw)
    if written is None:
        return False
    try:
        of_setting = urlsplit(f"{written.group(1) or ''}{value.first}").hostname
        return of_setting is not None and of_setting == urlsplit(str(value)).hostname
    except ValueError:
        return False
