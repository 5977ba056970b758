"""How a look-up's credentials are written: secrets behind a word, HTTP Basic, OAuth."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from bridge.internal_address import is_internal_host
from bridge.map.address import Address, names_the_host
from bridge.map.kinds import (
    Constant,
    Definitions,
    Fault,
    Flag,
    Kind,
    SecretRef,
    Text,
    Word,
    about,
    faulty,
    kind_of,
)
from bridge.map.parts import Named, Part
from bridge.map.substitution import missing_in
from bridge.model import Json

_PHRASE = re.compile(r"([^$]*)\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^{}]*))?\}\Z")


@dataclass(frozen=True, slots=True)
class Wording:
    """A text of the file that may end in a setting: ``text``, then the setting or its default."""

    text: str
    setting: str | None = None
    default: str | None = None


class WordingKind(Kind):
    """A constant, or a text that ends in one ``${NAME}``, which is then kept as a secret."""

    what = "a text"

    def read(self, value: Json) -> Any:
        """The wording."""
        if isinstance(value, bool | int | float):
            return Wording(str(value).lower() if isinstance(value, bool) else str(value))
        if not isinstance(value, str):
            raise faulty("wrong-type", f"must be text, not {kind_of(value)}.", self.hint())
        if "${" not in value:
            return Wording(value)
        found = _PHRASE.match(value)
        if found is None:
            raise faulty(
                "bad-reference",
                "may hold one setting, at its end.",
                'Write "${NAME}", or a word in front of it: "Token ${NAME}".',
            )
        return Wording(found.group(1), found.group(2), found.group(3))

    def json_schema(self, definitions: Definitions) -> dict[str, Json]:
        return Constant().json_schema(definitions)


class LookupAddress(Address):
    """The URL of a look-up: its host from configuration, and internal only by a setting's word."""

    def read(self, value: Json) -> Any:
        """The URL."""
        text = super().read(value)
        if missing_in(value):
            return text
        parts = urlsplit(str(text))
        if "{" in parts.netloc:
            raise faulty(
                "host-from-payload",
                "takes its host from a payload.",
                "Write the host out, or put it into a setting.",
            )
        host = parts.hostname or ""
        if is_internal_host(host) and not names_the_host(value):
            raise faulty(
                "internal-address",
                f"goes to `{host[:60]}`, which is this machine or its own network.",
                'If it shall, put the address into a setting: url: "${NAME_OF_THE_SETTING}/…".',
            )
        return text


def _oauth_check(
    loaded: Mapping[str, Any], written: Mapping[str, Json]
) -> Iterable[tuple[str | None, Fault]]:
    if "refresh_token" not in written and "client_secret" not in written:
        yield (
            None,
            Fault(
                "no-credentials",
                "has neither `refresh_token` nor `client_secret`.",
                'Write client_secret: "${NAME_OF_THE_SETTING}".',
            ),
        )
    if loaded.get("rotates") and not ("refresh_token" in written and "client_secret" in written):
        yield (
            "rotates",
            Fault(
                "rotates-what",
                "needs `refresh_token` and `client_secret`.",
                "Write both; the secret seals what is kept in the database.",
            ),
        )


OAUTH = Part(
    {
        "url": LookupAddress(
            required=True,
            example="url: https://…/token",
            metadata=about(
                "Where access tokens are fetched.", "https://accounts.zoho.com/oauth/v2/token"
            ),
        ),
        "client_id": Text(
            required=True,
            example='client_id: "${NAME_OF_THE_SETTING}"',
            metadata=about("The client's id.", "${ZOHO_CLIENT_ID}"),
        ),
        "client_secret": SecretRef(metadata=about("The client's secret.", "${ZOHO_CLIENT_SECRET}")),
        "refresh_token": SecretRef(
            metadata=about(
                "The refresh token. Left out: the client credentials alone.",
                "${ZOHO_REFRESH_TOKEN}",
            )
        ),
        "fields": Named(
            Constant(),
            default={},
            metadata=about(
                "Further fields of the form.", {"scope": "https://org.crm.dynamics.com/.default"}
            ),
        ),
        "client": Word(
            ("body", "basic"),
            default="body",
            metadata=about(
                "Whether the client's id and secret go into the form or into HTTP Basic."
            ),
        ),
        "scheme": Text(
            default="Bearer",
            metadata=about("The word in front of the access token.", "Zoho-oauthtoken"),
        ),
        "rotates": Flag(
            default=False,
            metadata=about("true: each refresh replaces the refresh token, as Keap's does."),
        ),
    },
    _oauth_check,
    metadata=about("OAuth 2: access tokens are fetched and renewed."),
)


BASIC = Part(
    {
        "user": WordingKind(
            required=True,
            example='user: "${NAME_OF_THE_SETTING}"',
            metadata=about("The user; for some APIs this is the API key.", "${CLOSE_API_KEY}"),
        ),
        "password": SecretRef(metadata=about("The password. Left out: an empty one.")),
    },
    metadata=about("HTTP Basic."),
)
