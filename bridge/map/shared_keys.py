"""Descriptions of keys that several schemes or transforms share, by section.

They stand in the JSON Schema and in the reference wherever the definition of a key does not
describe it by itself (``metadata={"description": …}``).
"""

from __future__ import annotations

from collections.abc import Mapping

SHARED: Mapping[str, Mapping[str, str]] = {
    "scheme": {
        "all_of": "Every one of these schemes must pass.",
        "any_of": "One of these schemes must pass; inside all_of.",
        "optional": "true: left out while its secret has no value.",
    },
    "transform": {
        "e164": "Phone number to E.164, of this region where it has no +.",
        "region": "ISO code of the country of numbers without +. Left out: the phone number's.",
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
        "join": "A list as one text, with this between its items.",
        "truncate": "At most so many characters.",
        "map": "A list of objects with a key and a value as one object.",
        "table": "Another value for each of these.",
        "otherwise": "For values that the table does not have; left out, they are a mistake.",
    },
}
