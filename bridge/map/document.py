"""A YAML file as plain data, with the place of every key and value.

The one home of yaml. Only its parser is used: events are turned into data here, so that what the
mapping language says holds (only ``true`` and ``false`` are booleans, nothing looks like a date,
``+14155550123`` and ``0123`` stay text) and no file can make the reader run away.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NoReturn, TypeAlias

import yaml

from bridge.errors import Mistake
from bridge.map.syntax import syntax_mistake
from bridge.model import Json

Place: TypeAlias = tuple[int, int]
Path_: TypeAlias = tuple[str | int, ...]

LARGEST = 1_000_000
DEEPEST = 40

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_WHOLE = re.compile(r"-?(?:0|[1-9][0-9]{0,17})\Z")
_FRACTION = re.compile(r"-?(?:0|[1-9][0-9]{0,17})\.[0-9]{1,17}(?:[eE][-+]?[0-9]{1,2})?\Z")
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\x80-\x84\x86-\x9f\ufffe\uffff]")


@dataclass(slots=True)
class Document:
    """What a file says. ``data`` is None when it could not be read at all.

    ``keys`` and ``values`` give line and column, from 1, by path from the top. ``text`` is the
    whole file as it is written.
    """

    file: str
    data: Json = None
    keys: dict[Path_, Place] = field(default_factory=dict)
    values: dict[Path_, Place] = field(default_factory=dict)
    mistakes: list[Mistake] = field(default_factory=list)
    text: str = field(default="", repr=False)
    _ends: dict[Place, Place] = field(default_factory=dict, repr=False)
    _lines: list[str] = field(default_factory=list, repr=False)

    def place(self, path: Path_, *, key: bool = False) -> Place:
        """Where a path stands, or the nearest thing above it that is in the file."""
        if key and path in self.keys:
            return self.keys[path]
        while path and path not in self.values:
            path = path[:-1]
        if path in self.keys and not key and isinstance(self._at(path), dict):
            return self.keys[path]
        return self.values.get(path, (1, 1))

    def _at(self, path: Path_) -> Json:
        value = self.data
        for step in path:
            try:
                value = value[step]
            except (KeyError, IndexError, TypeError):
                return None
        return value

    def add(
        self,
        path: Path_,
        code: str,
        message: str,
        hint: str = "",
        *,
        key: bool = False,
        part: str = "",
    ) -> None:
        """Notes a mistake at a path; at its key if ``key``, at ``part`` of its value if given."""
        self.mistakes.append(self.mistake(path, code, message, hint, key=key, part=part))

    def mistake(
        self,
        path: Path_,
        code: str,
        message: str,
        hint: str = "",
        *,
        key: bool = False,
        part: str = "",
    ) -> Mistake:
        """A mistake at a path, not noted."""
        line, column = self.place(path, key=key)
        end = self._end_of((line, column))
        if part and end:
            text = self._line(line)[column - 1 : end - 1]
            if (at := text.find(part)) >= 0:
                column, end = column + at, column + at + len(part)
        return Mistake(self.file, line, column, code, message, hint, end)

    def ends(self, start: Place, end: Place) -> None:
        """Notes where the text that starts at a place ends."""
        self._ends[start] = end

    def _end_of(self, place: Place) -> int:
        line, column = self._ends.get(place, place)
        if line > place[0]:
            return len(self._line(place[0]).rstrip()) + 1
        return column if column > place[1] else 0

    def _line(self, number: int) -> str:
        if not self._lines:
            self._lines = self.text.split("\n")
        return self._lines[number - 1].rstrip("\r") if number <= len(self._lines) else ""

    def finished(self, mistakes: Iterable[Mistake] | None = None) -> list[Mistake]:
        """The mistakes, each with the line of the file that it points into."""
        told = self.mistakes if mistakes is None else mistakes
        return [replace(one, line_text=shown_line(self._line(one.line))) for one in told]


_SECRET = re.compile(
    r"""(?:secret|token|password|bearer|user|(?:api|access)[-_]?key|authori[sz]ation)s?["']?"""
    r"""\s*+:\s*+""",
    re.IGNORECASE,
)
_IN_BRACKETS = re.compile(r"""[\[{](?:"[^"]*"|'[^']*'|[^\]}"'])*[\]}]?|"[^"]*"|'[^']*'|[^,}\]]+""")
_ITEM = re.compile(
    r"""(?:[^\s,{}\[\]:"']+\s*:\s+)?(?P<value>"[^"]*"|'[^']*'|[^\s,{}\[\]][^,{}\[\]]*)"""
)
_NAMES = re.compile(r"""["']?\$\{|["']?\$\{?[A-Z][A-Z0-9_]*\}?["']?$|[|>][-+0-9]*$|#""")
_LOGIN = re.compile(r"(://)[^/@\s\"']+(@)")
_LONGEST_LINE = 500


def shown_line(line: str) -> str:
    """A line as it may be shown: a secret that stands in it is blotted out."""
    line, place = line[:_LONGEST_LINE], 0
    while found := _SECRET.search(line, place):
        place = found.end()
        inside = "{" in line[: found.start()] or line[place : place + 1] in ("{", "[")
        value = _IN_BRACKETS.match(line, place) if inside else None
        end = value.end() if value else len(line)
        line = line[:place] + _blotted(line[place:end]) + line[end:]
    line = _LOGIN.sub(lambda m: m[1] + "•" * (len(m[0]) - 4) + m[2], line)
    if "PRIVATE KEY" in line:
        line = "•" * len(line)
    return line


def _blotted(value: str) -> str:
    """What stands behind the key of a secret: names of settings stay, all else is blotted out."""
    if value[:1] in ("{", "["):
        return _ITEM.sub(_blotted_item, value)
    return value if _NAMES.match(value) else _dots(value)


def _blotted_item(item: re.Match[str]) -> str:
    before = item[0][: item.start("value") - item.start()]
    return before + _blotted(item["value"])


def _dots(text: str) -> str:
    return "•" * len(text.rstrip()) + text[len(text.rstrip()) :]


class _Broken(Exception):  # noqa: N818 - private signal
    def __init__(self, mistake: Mistake) -> None:
        self.mistake = mistake
        super().__init__(str(mistake))


def read_document(path: Path, name: str | None = None) -> Document:
    """Reads a file; whatever is wrong with it ends in ``mistakes``, never in an exception."""
    try:
        raw = read_bytes(path)
    except OSError as error:
        mistake = Mistake(
            name or path.name,
            1,
            1,
            "unreadable-file",
            f"the file cannot be read ({type(error).__name__}).",
            "Check that it exists and may be read.",
        )
        return Document(mistake.file, mistakes=[mistake])
    return parse_document(raw, name or path.name)


def read_bytes(path: Path) -> bytes:
    """The content of a file, at most one byte more than a mapping file may have.

    A device or a pipe is no file, and waiting for it would never end. Errors: ``OSError``.
    """
    if not path.is_file():
        raise IsADirectoryError(path.name) if path.is_dir() else FileNotFoundError(path.name)
    with path.open("rb") as file:
        return file.read(LARGEST + 1)


def parse_document(raw: bytes, name: str) -> Document:
    """Reads the bytes of a file; see ``read_document``."""
    document = Document(name)
    try:
        document.text = _decode(raw, name)
        _Reader(document, document.text).read()
    except _Broken as broken:
        document.data = None
        document.mistakes.append(broken.mistake)
    return document


def _decode(raw: bytes, name: str) -> str:
    if len(raw) > LARGEST:
        raise _Broken(
            Mistake(
                name,
                1,
                1,
                "too-large",
                f"the file has more than {LARGEST} bytes.",
                "Split it or take out what is not a mapping.",
            )
        )
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = raw[: error.start]
        line = before.count(b"\n") + 1
        column = error.start - (before.rfind(b"\n") + 1) + 1
        raise _Broken(
            Mistake(
                name,
                line,
                column,
                "not-utf8",
                f"the byte {raw[error.start]:#04x} is not UTF-8.",
                "Save the file as UTF-8.",
            )
        ) from None
    odd = _UNPRINTABLE.search(text)
    if odd:
        line, column = _place_of(text, odd.start())
        raise _Broken(
            Mistake(
                name,
                line,
                column,
                "control-character",
                f"the character U+{ord(odd.group()):04X} may not stand in a mapping file.",
                "Delete it.",
            )
        )
    return text


def _place_of(text: str, index: int) -> Place:
    return text.count("\n", 0, index) + 1, index - (text.rfind("\n", 0, index) + 1) + 1


class _Reader:
    def __init__(self, document: Document, text: str) -> None:
        self.document = document
        self.text = text

    def fail(self, place: Place, code: str, message: str, hint: str = "") -> NoReturn:
        raise _Broken(Mistake(self.document.file, *place, code, message, hint))

    def read(self) -> None:
        events = self.events()
        for event in events:
            if isinstance(event, yaml.DocumentStartEvent):
                break
        else:
            self.fail((1, 1), "empty-file", "the file is empty.", "Write a mapping into it.")
        first = next(events)
        if isinstance(first, yaml.ScalarEvent) and not first.value and not first.style:
            self.fail((1, 1), "empty-file", "the file is empty.", "Write a mapping into it.")
        if not isinstance(first, yaml.MappingStartEvent | yaml.SequenceStartEvent):
            self.fail(
                _start(first),
                "not-a-mapping",
                "the file holds a single text, not keys with values.",
                "Write lines such as `source: hubspot`.",
            )
        self.document.data = self.node(first, events, (), 0)
        for event in events:
            if isinstance(event, yaml.DocumentStartEvent):
                self.fail(
                    _start(event),
                    "second-document",
                    "a second YAML document starts here (`---`).",
                    "Keep one document in a file.",
                )

    def events(self) -> Iterator[Any]:
        loader = _LOADER(self.text)
        try:
            while loader.check_event():
                yield loader.get_event()
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            place = (mark.line + 1, mark.column + 1) if mark else (1, 1)
            problem = error.problem or error.context or "it cannot be read"
            line, column, message, hint = syntax_mistake(self.text, *place, problem)
            self.fail((line, column), "yaml-syntax", message, hint)
        except yaml.YAMLError:
            self.fail((1, 1), "yaml-syntax", "this is not YAML.", "Save the file as plain text.")
        finally:
            loader.dispose()

    def node(self, event: Any, events: Iterator[Any], path: Path_, depth: int) -> Json:
        place = _start(event)
        if depth > DEEPEST:
            self.fail(
                place, "too-deep", f"more than {DEEPEST} levels of nesting.", "Nest less deeply."
            )
        if isinstance(event, yaml.AliasEvent) or event.anchor:
            self.fail(
                place,
                "anchor",
                f"YAML anchors and aliases (`&{event.anchor}`, `*{event.anchor}`) are not used.",
                "Write the value out, in quotes if it is an expression.",
            )
        if event.tag is not None:
            self.fail(
                place,
                "yaml-tag",
                f"`{event.tag}` is read as a YAML tag.",
                f'Put the value in quotes: "{event.tag}".',
            )
        self.document.values[path] = place
        if isinstance(event, yaml.ScalarEvent):
            self.document.ends(place, _end(event))
            return _scalar(event)
        if isinstance(event, yaml.SequenceStartEvent):
            return self.sequence(events, path, depth)
        return self.mapping(events, path, depth)

    def sequence(self, events: Iterator[Any], path: Path_, depth: int) -> list[Json]:
        items: list[Json] = []
        for event in events:
            if isinstance(event, yaml.SequenceEndEvent):
                break
            items.append(self.node(event, events, (*path, len(items)), depth + 1))
        return items

    def mapping(self, events: Iterator[Any], path: Path_, depth: int) -> dict[str, Json]:
        found: dict[str, Json] = {}
        for event in events:
            if isinstance(event, yaml.MappingEndEvent):
                break
            key = self.key(event)
            here = (*path, key)
            value = self.node(next(events), events, here, depth + 1)
            if key in found:
                line = self.document.keys[here][0]
                self.document.mistakes.append(
                    Mistake(
                        self.document.file,
                        *_start(event),
                        "duplicate-key",
                        f"`{key}` stands here a second time, after line {line}.",
                        "Keep one of them, or rename one.",
                        _end(event)[1],
                    )
                )
            self.document.keys[here] = _start(event)
            self.document.ends(_start(event), _end(event))
            found[key] = value
        return found

    def key(self, event: Any) -> str:
        place = _start(event)
        if not isinstance(event, yaml.ScalarEvent):
            self.fail(
                place,
                "bad-key",
                "a key must be a plain word, not a list, a mapping or an alias.",
                "Put values that start with [, {, * or & in quotes.",
            )
        if event.anchor or event.tag is not None:
            self.fail(place, "bad-key", "a key takes no YAML tag or anchor.", "Put it in quotes.")
        if event.value == "<<" and not event.style:
            self.fail(place, "bad-key", "merge keys (`<<`) are not used.", "Write the keys out.")
        text: str = event.value
        if not text or len(text) > 200:
            self.fail(
                place,
                "bad-key",
                "a key must have between 1 and 200 characters.",
                "Write `key: value`.",
            )
        return text


def _start(event: Any) -> Place:
    return event.start_mark.line + 1, event.start_mark.column + 1


def _end(event: Any) -> Place:
    return event.end_mark.line + 1, event.end_mark.column + 1


def _scalar(event: yaml.ScalarEvent) -> Json:
    text: str = event.value
    if event.style:
        return text
    if text in ("", "~", "null"):
        return None
    if text in ("true", "false"):
        return text == "true"
    if _WHOLE.match(text):
        return int(text)
    if _FRACTION.match(text):
        return float(text)
    return text
