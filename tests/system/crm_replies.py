"""The CRMs that the shipped mappings read: one server that knows the records of the cases.

A case says what the rules see of a look-up (``found``); here a reply is made from that record by
turning the look-up's own expressions round, so that the bridge has to find it again.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any
from urllib.parse import unquote, urlsplit

from enrich.rest import Api, Asked, Says

from bridge.map import Case, SourceMapping
from bridge.model import Json, Lookup

_NAME = re.compile(r'([A-Za-z_]\w*|"[^"]+")(\[0?\])?')
_NAMES = re.compile(rf"{_NAME.pattern}(?:\.{_NAME.pattern})*")
_MARKS = re.compile(r"%7B\w+%7D|\{\w+\}")


class Crms(Api):
    """Answers look-ups and token requests; ``know`` says with what. ``silent``: later."""

    def __init__(self) -> None:
        self._known: list[tuple[Lookup, dict[str, Json]]] = []
        self._speaking = threading.Event()
        self._speaking.set()
        super().__init__(answer=self._answer)

    @contextmanager
    def silent(self) -> Iterator[None]:
        """Takes requests and answers none of them until the end of the block."""
        self._speaking.clear()
        try:
            yield
        finally:
            self._speaking.set()

    def know(self, mapping: SourceMapping, cases: Sequence[Case]) -> None:
        """Take in the records of these cases."""
        for lookup in mapping.lookups.values():
            for url in (lookup.url, lookup.oauth.url if lookup.oauth else self.url):
                assert url.startswith(self.url), f"{url}: put the whole address into a setting"
            for expression in (lookup.result, lookup.results, lookup.result_id):
                _put(expression or "@", {}, {})
            _put(lookup.result_value, {}, {})
            records: dict[str, Json] = {}
            for case in cases:
                records.update(case.found.get(lookup.name, {}))
            self._known.append((lookup, records))

    def stop(self) -> None:
        self._speaking.set()
        super().stop()

    def _answer(self, asked: Asked) -> Says:
        self._speaking.wait()
        for lookup, records in self._known:
            if lookup.oauth is not None and asked.path == urlsplit(lookup.oauth.url).path:
                return Says(200, {"access_token": "t", "expires_in": 3600, "refresh_token": "r"})
            if asked.method == lookup.method and _path_of(lookup).fullmatch(asked.path):
                named = set(_leaves(asked, lookup))
                rows = {one: record for one, record in records.items() if one in named}
                return _reply(lookup, rows)
        return Says(404, {"error": "nothing is read here"})


def _path_of(lookup: Lookup) -> re.Pattern[str]:
    return re.compile("([^/]+)".join(map(re.escape, _MARKS.split(urlsplit(lookup.url).path))))


def _leaves(asked: Asked, lookup: Lookup) -> Iterator[str]:
    """Everything in a request that may be an id."""
    found = _path_of(lookup).fullmatch(asked.path)
    texts = [unquote(text) for text in (found.groups() if found else ())]
    texts += [text for values in asked.query.values() for text in values]
    for text in texts:
        yield text
        yield from text.split(",")
        yield from re.findall(r"[\w-]+", text)
    if asked.body:
        yield from _texts(json.loads(asked.body))


def _texts(value: Json) -> Iterator[str]:
    if isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _texts(item)
    else:
        yield str(value)


def _reply(lookup: Lookup, records: Mapping[str, Json]) -> Says:
    if lookup.single:
        if not records:
            return Says(404, {"error": "no such record"})
        (record,) = records.values()
        return Says(200, _put(lookup.result or "@", record, {}))
    rows = []
    for one, record in records.items():
        row = _put(lookup.result_value, record, {})
        rows.append(_put(lookup.result_id or "id", one, row, unless_there=True))
    return Says(200, _put(lookup.results or "@", rows, {}))


def _put(expression: str, value: Json, into: Any, *, unless_there: bool = False) -> Any:
    """The document in which the expression finds the value.

    An expression is names with dots between, each perhaps with ``[0]`` or ``[]``.
    """
    if expression == "@":
        return dict(value) if isinstance(value, dict) else value
    assert _NAMES.fullmatch(expression), f"teach {__name__} to turn `{expression}` round"
    *above, last = _NAME.findall(expression)
    place = into
    for name, first in above:
        place = place.setdefault(name.strip('"'), [{}] if first else {})
        place = place[0] if first else place
    name, first = last
    if not (unless_there and name.strip('"') in place):
        place[name.strip('"')] = [value] if first == "[0]" else value
    return into
