"""A mapping that is being written: one source's text beside the campaigns that are on disk."""

from __future__ import annotations

from hashlib import blake2b
from pathlib import Path

from bridge.errors import MappingError
from bridge.map.campaigns import FILE, read_campaigns
from bridge.map.document import parse_document, read_document
from bridge.map.mapping import SourceMapping
from bridge.map.route import Directory
from bridge.map.source_file import read_source
from bridge.map.substitution import Environment


def draft_mapping(
    folder: Path,
    source: str,
    text: str,
    environment: Environment,
    *,
    api_url: str,
    default_region: str,
) -> SourceMapping:
    """The compiled mapping of a text; settings without a value count as ``test-<NAME>``.

    Errors: ``MappingError`` with every mistake of the text, or of ``campaigns.yaml``.
    """
    campaigns = read_document(folder / FILE, FILE)
    named = read_campaigns(
        campaigns, environment, api_url=api_url, api_token=None, placeholders=True
    )
    if campaigns.mistakes:
        raise MappingError(campaigns.mistakes)
    content = text.encode("utf-8", "surrogatepass")
    document = parse_document(content, f"{source}.yaml")
    mapping = read_source(
        document,
        source,
        Directory(named),
        environment,
        version=blake2b(content, digest_size=6).hexdigest(),
        region=default_region,
        placeholders=True,
    )
    if mapping is None or document.mistakes:
        raise MappingError(sorted(document.mistakes, key=lambda m: (m.line, m.column)))
    return mapping
