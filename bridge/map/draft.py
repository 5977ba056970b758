"""A mapping that is being written: one source's text beside the campaigns that are on disk."""

from __future__ import annotations

from pathlib import Path

from bridge.errors import MappingError
from bridge.map.campaigns import FILE, read_campaigns
from bridge.map.document import read_document
from bridge.map.load import load_text
from bridge.map.mapping import SourceMapping
from bridge.map.route import Directory
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
    return load_text(
        text.encode("utf-8", "surrogatepass"),
        source,
        Directory(named),
        environment,
        region=default_region,
        named=f"{source}.yaml",
        placeholders=True,
    )
