"""Descriptions of keys that several schemes, look-ups or transforms share, by section.

They stand in the JSON Schema and in the reference wherever the definition of a key does not
describe it by itself (``metadata={"description": …}``).
"""

from __future__ import annotations

from collections.abc import Mapping

SHARED: Mapping[str, Mapping[str, str]] = {
    "scheme": {
        "hubspot_v1": "HubSpot's signature, version 1 (legacy private apps).",
        "hubspot_v2": "HubSpot's signature, version 2; covers the URL (BRIDGE_PUBLIC_URL).",
        "hubspot_v3": "HubSpot's signature, version 3; covers the URL (BRIDGE_PUBLIC_URL). "
        "A request that carries one is judged by it alone.",
        "ghl_ed25519": "HighLevel's signature in X-GHL-Signature.",
        "ghl_rsa": "HighLevel's older signature in X-WH-Signature; steps back where the request "
        "carries X-GHL-Signature.",
        "public_key": "A signature over the body that a published key verifies.",
        "hmac": "An HMAC, described by its parameters.",
        "standard_webhooks": "Standard Webhooks (https://www.standardwebhooks.com).",
        "bearer": "Authorization: Bearer <token>.",
        "basic": "HTTP Basic.",
        "header": "A header: with a fixed secret value; in other schemes, the one that carries "
        "the signature.",
        "query": "A query parameter with a fixed secret value.",
        "path": "A secret in the URL: the hook is /hooks/<source>/<token>.",
        "all_of": "Every one of these schemes must pass.",
        "optional": "true: left out while its secret has no value.",
        "secret": 'The shared secret, as "${NAME_OF_THE_SETTING}".',
        "token": 'The token, as "${NAME_OF_THE_SETTING}".',
        "password": 'The password, as "${NAME_OF_THE_SETTING}".',
        "user": "The user's name.",
        "name": "The name of the header or parameter.",
        "tolerance": "Seconds by which the signed time may differ from now.",
        "keys": "The sender's public keys: PEM texts, or 64 hexadecimal digits (Ed25519).",
        "algorithm": "The algorithm of the signature.",
        "absent": "Header values that stand for no signature.",
        "key": "How the secret is written.",
        "encoding": "How the signature is written.",
        "prefix": "Text in front of the signature.",
        "style": "alone; parts (t=…,v1=…); items (v1,… v1,…); wrapped (base64 of id:signature).",
        "part": "The name of the part that holds it.",
        "signed": "What is signed, in order: body, body_base64, timestamp, url, method, form, "
        "header:<name>, text:<literal>.",
        "timestamp": "Where the time of signing stands.",
        "format": "How the time is written.",
        "headers": "How the headers' names begin.",
    },
    "enrich": {
        "url": "Where the records are read by POST; https, or http to this machine.",
        "token": 'Bearer token, as "${NAME_OF_THE_SETTING}".',
        "tokens": "Tokens of accounts that have their own.",
        "when": "Only for events for which this holds; left out: for all.",
        "account": "Expression for the account: whose token, pace and cache.",
        "ids": "Expression for one id or a list of ids.",
        "body": 'What is posted; the text "@ids" becomes the list of inputs.',
        "input": 'One input; the text "@id" becomes the id.',
        "results": "Expression for the list of rows in the reply.",
        "result_id": "Expression for the id in a row.",
        "result_value": "Expression for what the rules see of a row.",
        "size": "Ids per call, at most.",
        "deleted": "Query parameters of a second try for ids without a row.",
        "rate": "Calls per second and account.",
        "cache": "Seconds for which a record may be used again.",
        "timeout": "Seconds for one call.",
    },
    "transform": {
        "e164": "Phone number to E.164, of this region where it has no +.",
        "region": "ISO code of the country of numbers without +.",
        "boolean": "Words for true and false, in place of the usual ones.",
        "true": "Words that mean true.",
        "false": "Words that mean false.",
        "date": "A date or time in another format.",
        "from": "unix_s, unix_ms, unix_us, iso, http_date, dotnet, or a strptime pattern.",
        "zone": "IANA time zone of times without an offset.",
        "to": "A date (2026-01-31), or a time in UTC.",
        "default": "This value in place of absent and null.",
        "null_if": "These values count as absent.",
        "contains": "Whether a list, or a text with commas, has this item.",
        "pick": "From a list of objects the first that matches.",
        "where": "Keys and the values they must have.",
        "value": "Expression over the object that was picked; left out: the object.",
        "join": "A list as one text, with this between its items.",
        "truncate": "At most so many characters.",
        "table": "Another value for each of these.",
        "otherwise": "For values that the table does not have; left out, they are a mistake.",
    },
}
