"""How commands print to people: tables, and bars for long work."""

from __future__ import annotations

import json
import shutil
import sys
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

_AS_NEEDED = 1_000_000
_INDENT = "  "


def table(
    columns: Sequence[str],
    rows: Iterable[Mapping[str, Any]],
    *,
    head: Sequence[str] = (),
    text: str = "",
) -> None:
    """Print rows as a table, with the names of the columns as headings.

    Where that is wider than the terminal, each row is a block of its own: ``head`` first (left
    out: the first column), then ``text`` without its name, then what else is not empty. Lines
    break at blanks alone, so that receipts, numbers and times stay whole. A pipe is as wide as
    ``COLUMNS`` says, and otherwise as wide as need be.
    """
    cells = [{column: _cell(row.get(column)) for column in columns} for row in rows]
    grid = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        grid.add_column(column.replace("_", " "))
    for row in cells:
        grid.add_row(*(Text(row[column]) for column in columns))
    width = shutil.get_terminal_size((_AS_NEEDED, 24)).columns
    console = Console(width=_AS_NEEDED, highlight=False)
    needed = console.measure(grid).maximum
    if needed <= width:
        console.print(grid, width=needed)
        return
    for row in cells:
        for line in _block(row, head or columns[:1], text, width):
            console.print(Text(line), soft_wrap=True)


def _block(row: Mapping[str, str], head: Sequence[str], text: str, width: int) -> Iterator[str]:
    yield from _side_by_side([row[name] for name in head if row[name]], width, "")
    for line in row.get(text, "").splitlines():
        yield from _side_by_side([line], width, _INDENT)
    rest = [
        f"{name.replace('_', ' ')}: {' '.join(value.splitlines())}"
        for name, value in row.items()
        if value and name != text and name not in head
    ]
    yield from _side_by_side(rest, width, _INDENT)


def _side_by_side(pieces: Iterable[str], width: int, indent: str) -> Iterator[str]:
    """Pieces on one line as long as they fit; one that is longer than a line goes on below."""
    line = ""
    for piece in pieces:
        if line and cell_len(f"{line}  {piece}") > width:
            yield line
            line, indent = "", _INDENT
        if line:
            line += f"  {piece}"
            continue
        *full, line = textwrap.wrap(
            piece,
            max(width, 20),
            initial_indent=indent,
            subsequent_indent=indent + _INDENT if indent else _INDENT,
            break_long_words=False,
            break_on_hyphens=False,
        ) or [""]
        yield from full
    if line:
        yield line


@contextmanager
def progress(title: str) -> Iterator[Callable[[float, str], None]]:
    """A progress bar on standard error, where that is a terminal.

    Gives a function to call with how much is done, from 0 to 1, and a few words.
    """
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f}%"),
        TimeElapsedColumn(),
        TextColumn("{task.fields[words]}", markup=False),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task(title, total=1.0, words="")

        def tell(share: float, words: str) -> None:
            bar.update(task, completed=min(1.0, share), words=words)

        yield tell


@contextmanager
def bars() -> Iterator[Callable[[str, int, int], None]]:
    """Bars on a terminal's standard error, and nothing elsewhere.

    Call what it gives with the name of a task, how much of it is done, and how much there is.
    """
    bars = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
        disable=not sys.stderr.isatty(),
    )
    tasks: dict[str, Any] = {}

    def tell(name: str, done: int, total: int) -> None:
        if name not in tasks:
            tasks[name] = bars.add_task(name)
        bars.update(tasks[name], completed=done, total=total)

    with bars:
        yield tell


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, (dict, list, tuple)):
        return json.dumps(value, ensure_ascii=False) if value else ""
    return str(value)
