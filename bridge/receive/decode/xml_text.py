"""XML as objects and lists, read with expat; document types and entities are refused.

``<a x="1"><b>t</b><b/></a>`` becomes ``{"a": {"@x": "1", "b": ["t", ""]}}``.

An element with nothing but text is that text; one with ``xsi:nil="true"`` is null; any other is
an object: attributes under ``@name``, children under their names (a list where a name repeats),
text beside them, without outer blanks, under ``#text``. Prefixes of namespaces are dropped.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NoReturn
from xml.parsers import expat

from bridge.errors import DecodeError
from bridge.model import Json
from bridge.receive.decode.bounds import Bounds

_BETWEEN = " "
_NIL = "http://www.w3.org/2001/XMLSchema-instance nil"
_TRUE = ("true", "1")


@dataclass(slots=True)
class _Element:
    """An element that is open."""

    name: str
    nil: bool
    content: dict[str, Json] = field(default_factory=dict)
    text: list[str] = field(default_factory=list)


def decode_xml(body: bytes, bounds: Bounds) -> Json:
    """The document as an object with one key, the name of the outermost element.

    Errors: ``DecodeError`` with line and column.
    """
    reader = _Reader(bounds)
    try:
        reader.parser.Parse(body.lstrip(), True)
    except expat.ExpatError as error:
        why = expat.ErrorString(error.code)
        raise DecodeError(f"line {error.lineno} column {error.offset + 1}: {why}") from None
    except (LookupError, ValueError):
        raise DecodeError("the XML declaration names an encoding that cannot be read") from None
    return reader.document


class _Reader:
    """Builds the document from what expat reports; refuses at the first thing out of bounds."""

    def __init__(self, bounds: Bounds) -> None:
        self.document: dict[str, Json] = {}
        self._bounds = bounds
        self._open: list[_Element] = []
        self._keys = 0
        self.parser = expat.ParserCreate(namespace_separator=_BETWEEN)
        self.parser.buffer_text = True
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._characters
        self.parser.StartDoctypeDeclHandler = self._refuse
        self.parser.EntityDeclHandler = self._refuse
        self.parser.ExternalEntityRefHandler = self._refuse

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self._keys += 1 + len(attributes)
        self._bounds.require_depth(len(self._open) + 1, self._where())
        self._bounds.require_keys(self._keys, self._where())
        element = _Element(_local(name), attributes.pop(_NIL, "").strip() in _TRUE)
        for key, value in attributes.items():
            _put(element.content, f"@{_local(key)}", value)
        self._open.append(element)

    def _characters(self, text: str) -> None:
        self._open[-1].text.append(text)

    def _end(self, _name: str) -> None:
        element = self._open.pop()
        parent = self._open[-1].content if self._open else self.document
        _put(parent, element.name, _value(element))

    def _refuse(self, *_declaration: object) -> NoReturn:
        raise DecodeError(f"{self._where()}: document types and entities are not read")

    def _where(self) -> str:
        line, column = self.parser.CurrentLineNumber, self.parser.CurrentColumnNumber
        return f"line {line} column {column + 1}"


def _value(element: _Element) -> Json:
    if element.nil:
        return None
    text = "".join(element.text)
    if not element.content:
        return text
    if text.strip():
        _put(element.content, "#text", text.strip())
    return element.content


def _put(into: dict[str, Json], key: str, value: Json) -> None:
    if key not in into:
        into[key] = value
    elif isinstance(into[key], list):
        into[key].append(value)
    else:
        into[key] = [into[key], value]


def _local(name: str) -> str:
    return name.rpartition(_BETWEEN)[2]
