"""What the commands about mapping files share: reading the folder, and showing a place in it."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from bridge.errors import MappingError, Mistake
from bridge.map.cases import Decode
from bridge.map.load import CaseMappings, Folder, read_folder
from bridge.receive.decode import decode
from bridge.settings import Settings


def folder_of(settings: Settings) -> Path:
    """The configured folder of mapping files."""
    return Path(settings["BRIDGE_MAPPINGS"])


def read(settings: Settings, for_cases: bool) -> Folder:
    """The folder with every mistake in it.

    For cases with placeholders, and without the settings of this process: what a case shows may
    not depend on where it is run.
    """
    seen = Settings.declared() if for_cases else settings
    return _read(folder_of(settings), seen, for_cases)


def case_mappings(settings: Settings, *, only: str | None = None) -> tuple[Folder, CaseMappings]:
    """The folder as cases see it, or one source of it (see ``read_folder``).

    Errors: ``MappingError`` with every mistake in what was read.
    """
    seen = Settings.declared()
    found = _read(folder_of(settings), seen, True, only)
    return _faultless(found), CaseMappings(seen.environment)


def read_with_placeholders(settings: Settings) -> Folder:
    """The folder with the settings of this process, and placeholders for those without a value.

    Errors: ``MappingError`` with every mistake.
    """
    return _faultless(_read(folder_of(settings), settings, True))


def _read(folder: Path, seen: Settings, placeholders: bool, only: str | None = None) -> Folder:
    return read_folder(
        folder,
        seen.environment,
        api_url=seen["BRIDGE_API_URL"],
        api_token=seen.environment.secret("BRIDGE_API_TOKEN"),
        default_region=seen["BRIDGE_DEFAULT_REGION"],
        placeholders=placeholders,
        only=only,
    )


def _faultless(found: Folder) -> Folder:
    if found.mistakes:
        raise MappingError(list(found.mistakes))
    return found


def decoder(settings: Settings) -> Decode:
    """Reads a body as the receive stage does."""
    return partial(decode, max_depth=settings["BRIDGE_MAX_DEPTH"])


def path_of(settings: Settings, file: str) -> str:
    """A file of the folder as seen from here."""
    path = folder_of(settings) / file if "/" not in file else Path(file)
    try:
        return path.resolve().relative_to(Path.cwd().resolve()).as_posix()
    except ValueError:
        return path.as_posix()


def excerpt(mistake: Mistake) -> list[str]:
    """The line of the file with a mark below the text that the mistake points at."""
    if not mistake.line_text.strip():
        return []
    line, start = mistake.line_text, mistake.column - 1
    cut = max(0, start - 60)
    last = min(mistake.end_column or mistake.column + 1, len(line) + 1, cut + 111)
    length = max(1, last - mistake.column)
    before = "".join("\t" if char == "\t" else " " for char in line[cut:start])
    number = f"{mistake.line:>5} | "
    shown = ("…" if cut else "") + line[cut : cut + 110]
    return [f"{number}{shown}", f"{' ' * 5} | {' ' if cut else ''}{before}{'^' * length}"]
