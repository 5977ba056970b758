"""What must hold between the keys of a look-up."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from bridge.map.kinds import Fault
from bridge.model import Json

_MARK = re.compile(r"\{([A-Za-z_@]*)\}")
_MARKS = frozenset({"id", "ids", "account"})
_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}\Z")
_NOT_YOURS = frozenset(
    {"host", "content-length", "transfer-encoding", "connection", "accept-encoding", "cookie", "te"}
)
_LOOKS_SECRET = re.compile(
    r"authori[sz]ation|token|secret|password|api-?key|access-?key", re.IGNORECASE
)


def check_lookup(
    loaded: Mapping[str, Any], written: Mapping[str, Json]
) -> Iterable[tuple[str | None, Fault]]:
    """The mistakes between keys, each at its key."""
    yield from _check_login(loaded, written)
    yield from _check_marks(loaded, written)
    yield from _check_reply(loaded, written)
    if loaded.get("method") == "GET" and "body" in written:
        yield "body", Fault("body-of-get", "stands beside method: GET.", "Write method: POST.")


def _check_login(
    loaded: Mapping[str, Any], written: Mapping[str, Json]
) -> Iterable[tuple[str | None, Fault]]:
    del loaded
    ways = [key for key in ("token", "basic", "oauth") if key in written]
    if "tokens" in written and "token" not in written:
        ways.insert(0, "tokens")
    if len(ways) > 1:
        yield ways[1], Fault("two-logins", f"stands beside `{ways[0]}`.", "Keep one of them.")
    if not ways and "headers" not in written:
        yield (
            None,
            Fault(
                "no-credentials",
                "has no credentials.",
                'Write token: "${NAME}", basic:, oauth:, or headers: with the API key.',
            ),
        )
    headers = written.get("headers")
    for fault in _headers_check(headers) if isinstance(headers, dict) else ():
        yield "headers", fault
    if ways and isinstance(headers, dict):
        for name in headers:
            if name.lower() == "authorization":
                yield (
                    "headers",
                    Fault(
                        "two-logins",
                        f"sets `{name}`, which `{ways[0]}` sets already.",
                        "Keep one of them.",
                    ),
                )


def is_single(written: Mapping[str, Json]) -> bool:
    """Whether each id takes a call of its own: ``{id}`` in the URL, or ``@id`` in the body."""
    texts = _url_texts(written)
    if any("{id}" in text for text in texts):
        return True
    return _holds(written.get("body"), "@id") and not _holds(written.get("body"), "@ids")


def _url_texts(written: Mapping[str, Json]) -> list[str]:
    query = written.get("query")
    below = list(query.values()) if isinstance(query, dict) else []
    return [text for text in (written.get("url"), *below) if isinstance(text, str)]


def names_account(written: Mapping[str, Json]) -> bool:
    """Whether a call holds the account itself."""
    texts = _url_texts(written)
    return any("{account}" in text for text in texts) or _holds(written.get("body"), "@account")


def _check_marks(
    loaded: Mapping[str, Any], written: Mapping[str, Json]
) -> Iterable[tuple[str | None, Fault]]:
    del loaded
    body, texts = written.get("body"), _url_texts(written)
    for key in ("url", "query"):
        given = written.get(key)
        values = list(given.values()) if isinstance(given, dict) else [given]
        for text in values:
            for found in _MARK.finditer(text) if isinstance(text, str) else ():
                if found.group(1) not in _MARKS:
                    yield (
                        key,
                        Fault(
                            "template-mark",
                            f"holds `{found.group()}`, which stands for nothing.",
                            "Write {id}, {ids} or {account}.",
                        ),
                    )
    if "body" in written and body is not None and not any("{id" in text for text in texts):
        if not (_holds(body, "@ids") or _holds(body, "@id")):
            yield (
                "body",
                Fault(
                    "template-mark",
                    'has no "@ids", so the ids would go nowhere.',
                    'Write body: {inputs: "@ids"} and input: {id: "@id"}.',
                ),
            )
    elif body is None and not any("{id" in text for text in texts):
        yield (
            "url" if "url" in written else None,
            Fault(
                "template-mark",
                "holds no {id}, so the ids would go nowhere.",
                "Write {id} into url or query, {ids} for several in one call, or a body.",
            ),
        )
    if "input" in written and not _holds(written["input"], "@id"):
        yield (
            "input",
            Fault(
                "template-mark",
                'has no "@id", so the ids would go nowhere.',
                'Write body: {inputs: "@ids"} and input: {id: "@id"}.',
            ),
        )
    if names_account(written) and "account" not in written:
        yield (
            None,
            Fault(
                "account-missing", "holds the account, and none is declared.", "Write account: …"
            ),
        )


def _check_reply(
    loaded: Mapping[str, Any], written: Mapping[str, Json]
) -> Iterable[tuple[str | None, Fault]]:
    del loaded
    if "result" in written and "results" in written:
        yield "result", Fault("two-results", "stands beside `results`.", "Keep one of the two.")
    if is_single(written):
        if "size" in written:
            yield (
                "size",
                Fault("size-of-one", "is for several ids in one call.", "Delete it."),
            )
        return
    if "result" in written:
        yield (
            "result",
            Fault(
                "result-of-many",
                "is for a call for one id; this one is for many.",
                "Write results, result_id and result_value.",
            ),
        )
    for key in ("results", "result_id"):
        if key not in written and "result" not in written:
            example = "results" if key == "results" else "id"
            yield key, Fault("missing-key", "is missing.", f"Write {key}: {example}.")


def _holds(template: Json, mark: str) -> bool:
    if isinstance(template, dict):
        return any(_holds(item, mark) for item in template.values())
    if isinstance(template, list):
        return any(_holds(item, mark) for item in template)
    return bool(template == mark)


def _headers_check(written: Mapping[str, Json]) -> Iterable[Fault]:
    for name, value in written.items():
        if not _HEADER.match(name) or name.lower() in _NOT_YOURS:
            yield Fault(
                "bad-header", f"cannot set the header `{name[:60]}`.", "Take it out of headers."
            )
        elif _LOOKS_SECRET.search(name) and isinstance(value, str) and "${" not in value:
            yield Fault(
                "literal-secret",
                f"holds a credential in `{name}`.",
                'Put it into a setting and write "${NAME_OF_THE_SETTING}" here.',
            )
