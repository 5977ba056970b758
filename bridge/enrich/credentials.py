"""What a look-up shows of itself to its CRM: headers, in each of the ways that may be live."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass

from bridge.model import Lookup, Phrase, Secret


@dataclass(frozen=True, slots=True)
class Headers:
    """Headers of a call; ``names`` are the settings behind them, for messages."""

    values: Mapping[str, str]
    names: str

    @property
    def sendable(self) -> bool:
        """Whether no value holds what a header cannot."""
        return all(text.isascii() and text.isprintable() for text in self.values.values())


def headers_of(lookup: Lookup, account: str) -> list[Headers] | None:
    """The headers for an account, the newest credentials first; two while one is rotated.

    Without what OAuth adds. None: the account has no token, and nothing else is declared.
    """
    token = lookup.tokens.get(account, lookup.token)
    bare = lookup.token is None and not lookup.tokens
    if not bare and (token is None or not token.values):
        return None
    if bare and not (lookup.headers or lookup.basic or lookup.oauth):
        return None
    secrets = [one.secret for one in lookup.headers.values()]
    if lookup.basic is not None:
        secrets += [lookup.basic.user.secret, lookup.basic.password]
    held = [one for one in (token, *secrets) if one is not None]
    if any(not one.values for one in held):
        return None
    names = " or ".join(dict.fromkeys(one.name for one in held)) or "the mapping file"
    turns = max((len(one.values) for one in held), default=1)
    return [Headers(_at(lookup, token, turn), names) for turn in range(min(turns, 2))]


def _at(lookup: Lookup, token: Secret | None, turn: int) -> dict[str, str]:
    found = {name: _text(phrase, turn) for name, phrase in lookup.headers.items()}
    if token is not None:
        found["Authorization"] = f"Bearer {_value(token, turn)}"
    if lookup.basic is not None:
        user, password = _text(lookup.basic.user, turn), _value(lookup.basic.password, turn)
        found["Authorization"] = basic(user, password)
    return found


def basic(user: str, password: str) -> str:
    """The header value of HTTP Basic (RFC 7617), in UTF-8."""
    return f"Basic {b64encode(f'{user}:{password}'.encode()).decode()}"


def _text(phrase: Phrase, turn: int) -> str:
    return phrase.text + _value(phrase.secret, turn)


def _value(secret: Secret | None, turn: int) -> str:
    return "" if secret is None else secret.values[min(turn, len(secret.values) - 1)]
