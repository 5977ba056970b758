"""The folder of mapping files, loaded whole or not at all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bridge.errors import MappingError, Mistake
from bridge.map.campaigns import FILE, STANDARD, read_campaigns
from bridge.map.case_file import REGION
from bridge.map.document import Document, parse_document, read_bytes, read_document
from bridge.map.mapping import MappingSet, SourceMapping
from bridge.map.route import Directory
from bridge.map.source_file import read_source
from bridge.map.substitution import Environment, Overlay
from bridge.map.versions import digest, directory_of
from bridge.model import CallLimits, Campaign, KeptMapping, Secret

CASES = ".cases.yaml"


def load_mappings(
    folder: Path,
    environment: Environment,
    *,
    api_url: str,
    api_token: Secret | None,
    default_region: str,
    limits: CallLimits = STANDARD,
    placeholders: bool = False,
    only: str | None = None,
) -> MappingSet:
    """Reads ``campaigns.yaml`` and every ``<source>.yaml`` of a folder. See ``read_folder``.

    Errors: ``MappingError`` with every mistake of every file.
    """
    found = read_folder(
        folder,
        environment,
        api_url=api_url,
        api_token=api_token,
        default_region=default_region,
        limits=limits,
        placeholders=placeholders,
        only=only,
    )
    if found.mistakes:
        raise MappingError(list(found.mistakes))
    return found.mappings


@dataclass(frozen=True, slots=True)
class Folder:
    """What a folder holds: the mappings that can be used, every mistake, every file as read."""

    mappings: MappingSet
    mistakes: tuple[Mistake, ...]
    documents: Mapping[str, Document]


def read_folder(
    folder: Path,
    environment: Environment,
    *,
    api_url: str,
    api_token: Secret | None,
    default_region: str,
    limits: CallLimits = STANDARD,
    placeholders: bool = False,
    only: str | None = None,
) -> Folder:
    """Reads ``campaigns.yaml`` and every ``<source>.yaml`` of a folder, mistakes and all.

    ``api_url`` and ``api_token`` serve campaigns without their own; ``default_region`` is the
    country of phone numbers without ``+``; ``limits`` hold where the file says nothing. With
    ``placeholders`` every setting without a value counts as ``test-<NAME>``, and a campaign
    ``main`` stands in where there is none: for cases. ``only`` leaves the files of other sources
    unread, whatever is in them; where there is no file of that source, it is as without ``only``.
    """
    mistakes: list[Mistake] = []
    campaigns: dict[str, Campaign] = {}
    directory: Directory | None = None
    contents = _contents(folder, mistakes, only)
    documents: dict[str, Document] = {}
    if FILE in contents:
        document = documents[FILE] = _document(folder, FILE, contents[FILE])
        campaigns = read_campaigns(
            document,
            environment,
            api_url=api_url,
            api_token=api_token,
            limits=limits,
            placeholders=placeholders,
        )
        mistakes += document.finished()
        directory = None if document.mistakes else Directory(campaigns)
    mappings: dict[str, SourceMapping] = {}
    for name, content in contents.items():
        if name == FILE:
            continue
        document = documents[name] = _document(folder, name, content)
        stem = name.removesuffix(".yaml")
        mapping = read_source(
            document,
            stem,
            directory,
            environment,
            region=default_region,
            placeholders=placeholders,
        )
        mistakes += document.finished()
        if mapping is not None:
            mappings[stem] = mapping
    parts = [part for name, content in contents.items() for part in (name.encode(), content or b"")]
    return Folder(
        MappingSet(mappings, campaigns, digest(parts)),
        tuple(sorted(mistakes, key=lambda m: (m.file, m.line, m.column))),
        documents,
    )


class CaseMappings:
    """Mappings as their cases see them: settings without a value have one.

    ``environment``: what lies below the settings that a case brings.
    Errors of ``under``: ``MappingError``.
    """

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self._kept: dict[tuple[str, tuple[tuple[str, str], ...]], SourceMapping] = {}

    def under(self, mapping: SourceMapping, values: Mapping[str, str]) -> SourceMapping:
        """A mapping that was loaded with placeholders, with other values of these settings."""
        if not values:
            return mapping
        key = (mapping.version, tuple(sorted(values.items())))
        if key not in self._kept:
            name = mapping.source.name
            self._kept[key] = load_text(
                mapping.kept.text.encode(),
                name,
                mapping.directory,
                Overlay(self._environment, values),
                region=values.get(REGION, mapping.kept.region),
                named=f"{name}.yaml",
                placeholders=True,
            )
        return self._kept[key]


def load_kept(kept: KeptMapping, environment: Environment) -> SourceMapping:
    """A mapping as it was once in force, with the routing of then and the settings of now.

    Errors: ``MappingError`` if this version of the program no longer reads it.
    """
    return load_text(
        kept.text.encode(),
        kept.source,
        directory_of(kept.routing),
        environment,
        region=kept.region,
        named=f"{kept.source}.yaml (version {kept.version})",
    )


def load_for_cases(kept: KeptMapping, environment: Environment, *, region: str) -> SourceMapping:
    """A mapping that is in force as its cases see it: placeholders, every campaign configured.

    Errors: ``MappingError`` if it cannot do without a setting that ``environment`` lacks.
    """
    routing = kept.routing or {"main": {"groups": []}}
    return load_text(
        kept.text.encode(),
        kept.source,
        directory_of({name: {**seen, "configured": True} for name, seen in routing.items()}),
        environment,
        region=region,
        named=f"{kept.source}.yaml",
        placeholders=True,
    )


def load_text(
    content: bytes,
    stem: str,
    directory: Directory,
    environment: Environment,
    *,
    region: str,
    named: str,
    placeholders: bool = False,
) -> SourceMapping:
    """The mapping of one source from the content of a file; ``named`` is what mistakes call it.

    Errors: ``MappingError`` with every mistake.
    """
    document = parse_document(content, named)
    mapping = read_source(
        document, stem, directory, environment, region=region, placeholders=placeholders
    )
    if mapping is None:
        raise MappingError(document.finished())
    return mapping


def _contents(folder: Path, mistakes: list[Mistake], only: str | None) -> dict[str, bytes | None]:
    """The content of every mapping file by name; None for one that cannot be read."""
    try:
        names = sorted(path.name for path in folder.iterdir())
    except OSError:
        mistakes.append(
            Mistake(
                str(folder),
                1,
                1,
                "no-folder",
                "there is no such folder, or it cannot be read.",
                "Set BRIDGE_MAPPINGS to the folder of mapping files, or make one by "
                "“crm-bridge mapping init”.",
            )
        )
        return {}
    mistakes += [
        Mistake(
            name,
            1,
            1,
            "file-ending",
            "mapping files end in .yaml; this one would be overlooked.",
            f"Rename it to {name.removesuffix('.yml')}.yaml.",
        )
        for name in names
        if name.endswith(".yml")
    ]
    wanted = [n for n in names if n.endswith(".yaml") and not n.endswith(CASES) and n[0] != "."]
    if FILE not in wanted:
        mistakes.append(
            Mistake(
                FILE,
                1,
                1,
                "no-campaigns",
                f"there is no {FILE}.",
                'Write one: campaigns: {main: {id: "${BRIDGE_CAMPAIGN_ID}"}}.',
            )
        )
    if not [n for n in wanted if n != FILE]:
        mistakes.append(
            Mistake(
                str(folder),
                1,
                1,
                "no-mapping",
                "the folder holds no mapping file.",
                "Write <source>.yaml; docs/mappings.md shows a whole one.",
            )
        )
    if only is not None and f"{only}.yaml" in wanted:
        wanted = [name for name in wanted if name in (FILE, f"{only}.yaml")]
    return {name: _bytes(folder / name) for name in wanted}


def _bytes(path: Path) -> bytes | None:
    try:
        return read_bytes(path)
    except OSError:
        return None


def _document(folder: Path, name: str, content: bytes | None) -> Document:
    return read_document(folder / name) if content is None else parse_document(content, name)
