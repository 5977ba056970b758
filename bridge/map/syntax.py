"""What is wrong with a text that is not YAML, told by its line and not by the parser's grammar.

The parser says where it gave up, which may be far below the quote that was not closed. The lines
up to there are looked through for what people get wrong.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

Told = tuple[int, int, str, str]
"""Line and column from 1, message, hint."""

_VALUE = re.compile(r"^(\s*(?:- +)*)((?:[^\s'\"#{\[:]|:(?!\s|$))[^:#]*?:(?:\s+|$))?(.*)$")
_CLOSERS = {"[": "]", "{": "}"}


def syntax_mistake(text: str, line: int, column: int, problem: str) -> Told:
    """The mistake behind an error of the parser at a place, as far as the lines show it."""
    lines = text.splitlines()
    for look in (_tab, _quotes, _brackets, _start, _no_colon, _second_colon, _indent):
        found = look(lines, line, column, problem)
        if found is not None:
            return found
    return (
        line,
        column,
        f"this is not YAML: {problem}.",
        "Check indentation, colons, quotes and brackets here and in the line above.",
    )


def _at(lines: list[str], line: int) -> str:
    return lines[line - 1] if 0 < line <= len(lines) else ""


def _code(line: str) -> bool:
    return bool(line.strip()) and not line.lstrip().startswith("#")


def _tab(lines: list[str], line: int, column: int, problem: str) -> Told | None:
    del column, problem
    for number in (line, line - 1):
        text = _at(lines, number)
        indent = text[: len(text) - len(text.lstrip())]
        if "\t" in indent:
            blanks = "Indent with blanks; YAML takes no tabs."
            return number, indent.index("\t") + 1, "the line is indented with a tab.", blanks
    return None


def _values(lines: list[str], line: int) -> Iterator[tuple[int, int, str]]:
    """Line, column and text of every value down to a line; block texts are passed over."""
    block: int | None = None
    for number, text in enumerate(lines[:line], 1):
        indent = len(text) - len(text.lstrip())
        if block is not None and (not text.strip() or indent > block):
            continue
        block = None
        if not _code(text):
            continue
        found = _VALUE.match(text)
        if found is None:
            continue
        value = found[3]
        if re.match(r"[|>][-+0-9]*\s*(#.*)?$", value):
            block = indent
            continue
        yield number, len(text) - len(value) + 1, value


def _quotes(lines: list[str], line: int, column: int, problem: str) -> Told | None:
    del column, problem
    for number, column_, value in _values(lines, line):
        quote = value[:1]
        if quote not in ("'", '"'):
            continue
        end = _closing(value, quote)
        if end is None:
            return (
                number,
                column_,
                f"the text that starts here with {quote} is not closed on its line.",
                f"Close it with {quote}, or take the first one away.",
            )
        rest = value[end + 1 :].strip()
        if rest and not rest.startswith(("#", ",", "]", "}", ":")):
            return (
                number,
                column_ + end + 1,
                f"the text goes on behind its closing {quote}.",
                (
                    "Put the whole value in double quotes and the texts inside it in single ones: "
                    "when: \"kind == 'stop'\"."
                ),
            )
    return None


def _closing(value: str, quote: str) -> int | None:
    place = 1
    while place < len(value):
        if value[place] == "\\" and quote == '"':
            place += 2
        elif value[place] == quote and quote == "'" and value[place + 1 : place + 2] == "'":
            # two of them stand for one inside the text, unless the text ends there
            if value[place + 2 :].strip() == "" and value.count("'") % 2 == 1:
                return place + 1
            place += 2
        elif value[place] == quote:
            return place
        else:
            place += 1
    return None


def _brackets(lines: list[str], line: int, column: int, problem: str) -> Told | None:
    if "expected ','" not in problem and "end of stream" not in problem:
        return None
    for number, column_, value in _values(lines, line):
        if value[:1] not in _CLOSERS:
            continue
        if "${" in re.sub(r"'[^']*'|\"[^\"]*\"", "", value):
            return (
                number,
                column_ + value.index("${"),
                "`${` in a list or mapping in brackets is read as a bracket of its own.",
                'Put it in quotes: "${NAME}".',
            )
        missing = _unclosed(value)
        if missing:
            return (
                number,
                column_,
                f"the `{value[0]}` that starts here is not closed on its line.",
                f"Write `{missing}` at its end.",
            )
    text = _at(lines, line)
    colons = len(re.findall(r":\s", text))
    if re.search(r"\{[^}]*:\s[^,}]*:\s", text) or colons > text.count(",") + 2:
        return line, column, "a comma is missing between two keys.", "Write {a: x, b: y}."
    return None


def _unclosed(value: str) -> str:
    waiting: list[str] = []
    for char in re.sub(r"'[^']*'|\"(?:\\.|[^\"\\])*\"", "", value):
        if char in _CLOSERS:
            waiting.append(_CLOSERS[char])
        elif waiting and char == waiting[-1]:
            waiting.pop()
        elif char == "#":
            break
    return "".join(reversed(waiting))


def _start(lines: list[str], line: int, column: int, problem: str) -> Told | None:
    if "cannot start any token" not in problem:
        return None
    char = _at(lines, line)[column - 1 : column] or "this"
    return (
        line,
        column,
        f"a value cannot start with `{char}`."
        if char != "`"
        else "a value cannot start with a backtick.",
        'Put the whole value in quotes, such as when: "…".',
    )


def _no_colon(lines: list[str], line: int, column: int, problem: str) -> Told | None:
    del column
    if "expected ':'" not in problem:
        return None
    for number in range(line, 0, -1):
        text = _at(lines, number)
        if _code(text) and not re.search(r":(\s|$)", text) and not text.lstrip().startswith("- "):
            start = len(text) - len(text.lstrip())
            word, colon, rest = text.strip().partition(":")
            if not colon:
                word, _, rest = text.strip().partition(" ")
            return (
                number,
                start + 1,
                "the line has no colon with a blank behind it.",
                f"Write `{word}: {rest.strip() or '…'}`.",
            )
    return None


def _second_colon(lines: list[str], line: int, column: int, problem: str) -> Told | None:
    if "mapping values" not in problem:
        return None
    text = _at(lines, line)
    if len(re.findall(r":(?:\s|$)", text[:column])) > 1:
        return (
            line,
            column,
            "a second `: ` stands in the value.",
            'Put the whole value in quotes: title: "a: b".',
        )
    return _indent(lines, line, column, "expected key")


def _indent(lines: list[str], line: int, column: int, problem: str) -> Told | None:
    del column
    if "expected key" not in problem and "expected '-'" not in problem:
        return None
    text = _at(lines, line)
    indent = depth_of(text)
    levels: list[int] = []
    above = 0
    lowest = len(max(lines, key=len))
    for number in range(line - 1, 0, -1):
        before = _at(lines, number)
        if not _code(before):
            continue
        above = above or number
        if depth_of(before) <= lowest:
            keys, items = _depths(before)
            levels += items if text.lstrip().startswith("- ") else keys
            lowest = depth_of(before)
    if not levels:
        return None
    best = min(levels, key=lambda depth: (abs(depth - indent), -depth))
    if best == indent:
        best = levels[0]
    if best == indent:
        return None
    return (
        line,
        indent + 1,
        f"the line is indented by {_blanks(indent)}, which is no level of the lines above.",
        f"Indent it by {_blanks(best)}, like what it stands beside, or correct line {above}.",
    )


def depth_of(text: str) -> int:
    """How many characters stand before the text of a line."""
    return len(text) - len(text.lstrip())


def _depths(text: str) -> tuple[list[int], list[int]]:
    """The levels that a line opens for keys and for list items beside it."""
    depth = depth_of(text)
    items: list[int] = []
    rest = text[depth:]
    while rest.startswith("- "):
        items.append(depth)
        inner = len(rest) - len(rest[1:].lstrip())
        depth += inner
        rest = rest[inner:]
    return [depth], items or [depth]


def _blanks(count: int) -> str:
    return f"{count} blank{'' if count == 1 else 's'}"
