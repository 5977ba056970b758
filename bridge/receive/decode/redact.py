"""A body without what must not be stored, still in the format that its source declares.

What is left decodes to the same document without those places; order, spelling and spacing of
JSON and XML may change, and the bytes no longer fit a signature over them.
"""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterable
from urllib.parse import unquote_to_bytes
from xml.parsers import expat

from bridge.model import Decoder, Json, Place
from bridge.places import values_at, without
from bridge.receive.decode.nested_form import path_of

_IN_TEXT = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", "\r": "&#13;"})
_IN_QUOTES = {
    **_IN_TEXT,
    **str.maketrans({'"': "&quot;", "\t": "&#9;", "\n": "&#10;"}),
}
"""How XML writes what would mean something else; a bare line end or tab is read as another one."""


def redacted(decoder: Decoder, body: bytes, document: Json, places: Iterable[Place]) -> bytes:
    """The body without what stands at the places; the same bytes where nothing stands there.

    ``document`` is what the body decodes to, so the body is known to be sound and within bounds.
    """
    found = [place for place in places if values_at(document, place)]
    if not found:
        return body
    match decoder:
        case Decoder.JSON:
            return json.dumps(without(document, found), ensure_ascii=False).encode()
        case Decoder.XML:
            return _Copy(found).made(body)
        case _:
            return _form_without(decoder, body, found)


def _form_without(decoder: Decoder, body: bytes, places: list[Place]) -> bytes:
    kept = []
    for pair in body.strip().removeprefix(codecs.BOM_UTF8).split(b"&"):
        name = unquote_to_bytes(pair.partition(b"=")[0].replace(b"+", b" ")).decode("utf-8")
        path = tuple(path_of(name)) if decoder is Decoder.NESTED_FORM else (name,)
        if not any(_covers(place, path) for place in places):
            kept.append(pair)
    # A body of no bytes would be no form at all.
    return b"&".join(kept) or b"&"


def _covers(place: Place, path: tuple[str, ...]) -> bool:
    """Whether what a path names stands at the place or below it.

    Steps of the path that are indexes of a list may be left out in the place.
    """
    at = 0
    for step in path:
        if at == len(place):
            break
        if step == place[at]:
            at += 1
        elif step and not step.isdigit():
            return False
    return at == len(place)


class _Copy:
    """Writes an XML document again, element by element, without some of them."""

    def __init__(self, places: list[Place]) -> None:
        # The place of one item of a list stands for all of them: more is left out, never less.
        self._places = {
            tuple(name for name in place if name != "#text" and not name.isdigit())
            for place in places
        }
        self._path: list[str] = []
        self._leaving = 0
        self._text: list[str] = ['<?xml version="1.0" encoding="UTF-8"?>\n']
        self._parser = expat.ParserCreate()
        self._parser.buffer_text = True
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = self._characters

    def made(self, body: bytes) -> bytes:
        """The document as UTF-8."""
        self._parser.Parse(body.lstrip(), True)
        return "".join(self._text).encode()

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self._path.append(_local(name))
        if self._leaving or tuple(self._path) in self._places:
            self._leaving += 1
            return
        kept = "".join(
            f' {key}="{value.translate(_IN_QUOTES)}"'
            for key, value in attributes.items()
            if (*self._path, f"@{_local(key)}") not in self._places
        )
        self._text.append(f"<{name}{kept}>")

    def _end(self, name: str) -> None:
        self._path.pop()
        if self._leaving:
            self._leaving -= 1
        else:
            self._text.append(f"</{name}>")

    def _characters(self, text: str) -> None:
        if not self._leaving:
            self._text.append(text.translate(_IN_TEXT))


def _local(name: str) -> str:
    return name.rpartition(":")[2]
