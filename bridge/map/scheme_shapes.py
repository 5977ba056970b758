"""How each scheme of ``receive.verify`` is written: its keys, what they mean, what must hold."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bridge.map.kinds import (
    Fault,
    Number,
    SecretRef,
    Text,
    Word,
    about,
)
from bridge.map.parts import Many, Part
from bridge.map.place_kind import HeaderName, OneOrMore, PlaceKind
from bridge.map.signed_kind import (
    Faults,
    Pattern,
    PemKey,
    hmac_check,
    signed_check,
    signed_parts,
    timestamp_part,
    tolerance,
)
from bridge.model import Json


def _secret() -> SecretRef:
    return SecretRef(
        required=True,
        example='secret: "${NAME_OF_THE_SETTING}"',
        metadata=about("The setting that holds the secret; a list where several are live."),
    )


def _token() -> SecretRef:
    return SecretRef(
        required=True,
        example='token: "${NAME_OF_THE_SETTING}"',
        metadata=about("The setting that holds the fixed value; a list where several are live."),
    )


def _keys() -> Many:
    return Many(
        PemKey(),
        required=True,
        example="keys: and below it the PEM text of each key",
        metadata=about(
            "The sender's public keys, as PEM texts; an Ed25519 key also as 64 hexadecimal digits."
        ),
    )


def _equals_check(loaded: Mapping[str, Any], written: Mapping[str, Json]) -> Faults:
    del loaded
    sides = [key for key in ("body", "header", "query") if key in written]
    if len(sides) != (1 if "value" in written else 2):
        yield (
            None,
            Fault(
                "two-sides",
                "must compare two things.",
                'Write {body: AccountSid, value: "${NAME}"}, or two of body, header and query.',
            ),
        )


SHAPES: Mapping[str, Part] = {
    "hubspot_v1": Part(
        {"secret": _secret()}, metadata=about("HubSpot's request signature, version 1.")
    ),
    "hubspot_v2": Part(
        {"secret": _secret()},
        metadata=about("HubSpot's request signature, version 2; needs BRIDGE_PUBLIC_URL."),
    ),
    "hubspot_v3": Part(
        {"secret": _secret(), "tolerance": tolerance(86_400, nullable=False)},
        metadata=about(
            "HubSpot's request signature, version 3; needs BRIDGE_PUBLIC_URL. A request "
            "that carries it is judged by it alone."
        ),
    ),
    "ghl_ed25519": Part({"keys": _keys()}, metadata=about("HighLevel's current signature.")),
    "ghl_rsa": Part(
        {"keys": _keys()},
        metadata=about(
            "HighLevel's older signature; steps back where the request has the current one."
        ),
    ),
    "public_key": Part(
        {
            "algorithm": Word(
                ("ed25519", "rsa_sha256", "ecdsa_sha256"),
                required=True,
                example="algorithm: ed25519",
                metadata=about(
                    "The kind of key; RSA is PKCS#1 v1.5, an ECDSA signature may be DER "
                    "or the two numbers side by side."
                ),
            ),
            "keys": _keys(),
            "header": HeaderName(
                required=True,
                example="header: X-Signature",
                metadata=about("The header that holds the signature."),
            ),
            "encoding": Word(
                ("base64", "hex"), default="base64", metadata=about("How the signature is written.")
            ),
            "prefix": Text(default="", metadata=about("Text in front of the signature.")),
            "signed": signed_parts(),
            "timestamp": timestamp_part(header_only=True),
            "absent": Many(
                Text(),
                default=("N/A",),
                metadata=about("Values of the header that mean: no signature."),
            ),
        },
        signed_check,
        metadata=about("A signature that the sender's public key verifies."),
    ),
    "hmac": Part(
        {
            "secret": _secret(),
            "header": HeaderName(
                default="",
                example="header: X-Signature",
                metadata=about("The header that holds the signature."),
            ),
            "query": Text(metadata=about("Instead of header: the query parameter that holds it.")),
            "algorithm": Word(
                ("sha1", "sha256", "sha512"), default="sha256", metadata=about("The hash.")
            ),
            "key": Word(
                ("text", "hex", "base64", "whsec"),
                default="text",
                metadata=about("What the secret is as text; whsec is base64 after whsec_."),
            ),
            "encoding": Word(
                ("hex", "base64", "base64url", "raw"),
                default="hex",
                metadata=about("How the signature is written; raw only inside style wrapped."),
            ),
            "prefix": Text(default="", metadata=about("Text in front of the signature.")),
            "style": Word(
                ("alone", "parts", "items", "wrapped", "pattern"),
                default="alone",
                metadata=about(
                    "How the header is written: the signature alone; parts t=…,v1=…; "
                    "items v1,… v1,…; wrapped, base64 around id:signature; a pattern."
                ),
            ),
            "part": Text(
                default="v1", metadata=about("The name of the signature among parts or items.")
            ),
            "separator": Text(
                metadata=about("What stands between parts (a comma) or items (a blank)."),
                example='separator: ";"',
            ),
            "pattern": Pattern(
                metadata=about("Literal text with {signature} once, and other names in braces."),
                example='pattern: "t={timestamp};h={signature}"',
            ),
            "signed": signed_parts(),
            "timestamp": timestamp_part(),
            "body_hash": Text(
                metadata=about(
                    "The query parameter that holds the SHA-256 of the body in hexadecimal "
                    "digits, where only the URL is signed."
                ),
                example="body_hash: bodySHA256",
            ),
        },
        hmac_check,
        metadata=about("An HMAC by parameters."),
    ),
    "standard_webhooks": Part(
        {
            "secret": _secret(),
            "tolerance": tolerance(86_400, nullable=False),
            "headers": Word(
                ("webhook", "svix"),
                default="webhook",
                metadata=about("What the names of the three headers begin with."),
            ),
        },
        metadata=about("Standard Webhooks; the secret begins with whsec_ or whpk_."),
    ),
    "jwt": Part(
        {
            "secret": _secret(),
            "header": HeaderName(
                default="Authorization",
                metadata=about(
                    "The header that holds the token, with or without Bearer before it."
                ),
            ),
            "audience": Text(
                metadata=about(
                    "What the claim aud must be; left out: the public URL that was called."
                ),
                example='audience: "https://bridge.example.com/hooks/monday"',
            ),
            "leeway": Number(
                0,
                3600,
                whole=True,
                default=30,
                metadata=about("Seconds by which the two clocks may differ."),
            ),
        },
        metadata=about(
            "A JSON Web Token, HS256 only, with aud and exp. It does not cover the body."
        ),
    ),
    "bearer": Part({"token": _token()}, metadata=about("Authorization: Bearer and a fixed token.")),
    "basic": Part(
        {
            "user": Text(
                required=True, example="user: crm", metadata=about("The name; it holds no colon.")
            ),
            "password": SecretRef(
                required=True,
                example='password: "${NAME_OF_THE_SETTING}"',
                metadata=about("The setting that holds the password."),
            ),
        },
        metadata=about("HTTP Basic."),
    ),
    "header": Part(
        {
            "name": HeaderName(
                required=True, example="name: X-Token", metadata=about("The header's name.")
            ),
            "token": _token(),
        },
        metadata=about("A header with a fixed secret value."),
    ),
    "query": Part(
        {
            "name": Text(
                required=True, example="name: token", metadata=about("The parameter's name.")
            ),
            "token": _token(),
        },
        metadata=about("A query parameter with a fixed secret value."),
    ),
    "path": Part(
        {"token": _token()}, metadata=about("A secret in the URL: /hooks/<source>/<token>.")
    ),
    "body": Part(
        {
            "at": PlaceKind(
                required=True, example="at: token", metadata=about("The place in the decoded body.")
            ),
            "token": _token(),
        },
        metadata=about("A fixed secret value in the body; it is never stored."),
    ),
    "equals": Part(
        {
            "body": PlaceKind(
                metadata=about("A place in the decoded body; in a list, every item must fit.")
            ),
            "header": HeaderName(metadata=about("A header.")),
            "query": Text(metadata=about("A query parameter.")),
            "value": OneOrMore(
                Text(),
                metadata=about("What it must be: a text, or a list of which one must fit."),
                example='value: "${NAME_OF_THE_SETTING}"',
            ),
            "length": Number(
                1, 200, whole=True, metadata=about("Compare only so many first characters.")
            ),
        },
        _equals_check,
        metadata=about(
            "Whether the request is for this tenant: a part of it is equal to a value, or "
            "to another part. Only inside all_of, beside something that proves the sender."
        ),
    ),
}
