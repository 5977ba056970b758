"""Everything that can be said of a folder of mapping files without a running bridge."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from bridge.errors import BridgeError, MappingError, Mistake
from bridge.map.case_file import Case, load_cases
from bridge.map.cases import Decode, Under, events_of, run_cases
from bridge.map.coverage import Coverage
from bridge.map.document import Document
from bridge.map.load import CASES, CaseMappings, Folder
from bridge.map.mapping import MappingSet, SourceMapping
from bridge.map.review import review
from bridge.map.substitution import Environment

Read = Callable[[bool], Folder]
"""Reads the folder as cases see it, with placeholders in place of settings, or as it is used."""


@dataclass(frozen=True, slots=True)
class Report:
    """The result of a check, each list in the order of files and lines.

    ``mappings``: what can be used of the folder. With ``mistakes`` a bridge does not take the
    folder in; ``warnings`` hold nothing up. ``documents``: the files as read, by name.
    """

    mappings: MappingSet
    documents: Mapping[str, Document]
    mistakes: tuple[Mistake, ...]
    warnings: tuple[Mistake, ...]


def check_folder(folder: Path, read: Read, environment: Environment, *, decode: Decode) -> Report:
    """Checks every mapping file, ``campaigns.yaml`` and every case file of a folder.

    ``environment`` is that of the cases, below the settings that each of them brings.
    """
    real, tried = read(False), read(True)
    mistakes, warnings = list(real.mistakes), list[Mistake]()
    case_mappings = CaseMappings(environment)
    cases = _cases(folder, mistakes, warnings, real)
    for name, mapping in tried.mappings.mappings.items():
        given = cases.get(name)
        coverage = Coverage(mapping) if given else None
        if given and coverage is not None:
            run_cases(mapping, given, decode=decode, under=case_mappings.under, coverage=coverage)
        document = tried.documents[f"{name}.yaml"]
        seen = _names_in_events(mapping, given or (), case_mappings.under, decode)
        warnings += review(mapping, document, coverage, seen)
    return Report(real.mappings, real.documents, _sorted(mistakes), _sorted(warnings))


def _cases(
    folder: Path, mistakes: list[Mistake], warnings: list[Mistake], real: Folder
) -> Mapping[str, tuple[Case, ...]]:
    """The cases by source; a source whose case file has mistakes is left out."""
    found: dict[str, tuple[Case, ...]] = {}
    try:
        paths = sorted(folder.glob(f"*{CASES}"))
    except OSError:
        return found
    for path in paths:
        source = path.name.removesuffix(CASES)
        try:
            found[source] = load_cases(path)
        except MappingError as error:
            mistakes += error.mistakes
        if f"{source}.yaml" not in real.documents:
            warnings.append(
                Mistake(
                    path.name,
                    1,
                    1,
                    "no-source",
                    f"there is no {source}.yaml that these cases could show.",
                    f"Name the file <source>{CASES}.",
                )
            )
    return found


def _names_in_events(
    mapping: SourceMapping, cases: Iterable[Case], under: Under, decode: Decode
) -> frozenset[str]:
    names: set[str] = set()
    for case in cases:
        try:
            variant = under(mapping, case.settings)
            for event in events_of(variant, case, decode):
                names.update(event.view)
        except BridgeError:
            continue
    return frozenset(names)


def _sorted(found: Iterable[Mistake]) -> tuple[Mistake, ...]:
    unique = {(m.file, m.line, m.column, m.code, m.message): m for m in found}
    return tuple(unique[key] for key in sorted(unique))
