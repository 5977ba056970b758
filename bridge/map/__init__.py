"""A mapping file and an event become lead updates, or the reason why not. Pure.

Nothing here speaks to a network, a database or a clock; only loading reads files. The mapping
language is described in ``docs/mappings.md``.
"""

from bridge.map.cases import Case, CaseResult, load_cases, run_cases
from bridge.map.load import load_kept, load_mappings, load_text
from bridge.map.mapping import MappingSet, SourceMapping

__all__ = [
    "Case",
    "CaseResult",
    "MappingSet",
    "SourceMapping",
    "load_cases",
    "load_kept",
    "load_mappings",
    "load_text",
    "run_cases",
]
