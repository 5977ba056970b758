"""Mistakes as code hosts take them: GitHub's workflow commands, and SARIF."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from bridge import __version__
from bridge.errors import Mistake

SARIF = "https://json.schemastore.org/sarif-2.1.0.json"

Found = Iterable[tuple[str, str, Mistake]]
"""Level (``error`` or ``warning``), path as the repository has it, mistake."""


def github(found: Found) -> list[str]:
    """Workflow commands, which GitHub, Gitea and Forgejo show beside the line.

    https://docs.github.com/actions/reference/workflow-commands-for-github-actions
    """
    lines = []
    for level, path, one in found:
        place = f"file={_property(path)},line={one.line},col={one.column}"
        if one.end_column:
            place += f",endColumn={one.end_column}"
        told = _data(f"{one.message} {one.hint}".strip())
        lines.append(f"::{level} {place},title={_property(one.code)}::{told}")
    return lines


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


def sarif(found: Found) -> dict[str, Any]:
    """A SARIF 2.1.0 log, which GitHub, GitLab and Azure DevOps take as a report.

    https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html
    """
    results: list[dict[str, Any]] = []
    for level, path, one in found:
        region: dict[str, Any] = {"startLine": one.line, "startColumn": one.column}
        if one.end_column:
            region["endColumn"] = one.end_column
        results.append(
            {
                "ruleId": one.code,
                "level": level,
                "message": {"text": f"{one.message} {one.hint}".strip()},
                "locations": [
                    {"physicalLocation": {"artifactLocation": {"uri": path}, "region": region}}
                ],
            }
        )
    rules = [{"id": code} for code in sorted({result["ruleId"] for result in results})]
    driver = {"name": "crm-bridge mapping check", "version": __version__, "rules": rules}
    return {
        "$schema": SARIF,
        "version": "2.1.0",
        "runs": [
            {"tool": {"driver": driver}, "columnKind": "unicodeCodePoints", "results": results}
        ],
    }
