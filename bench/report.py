"""What a benchmark says: a table for people, JSON for machines."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True, slots=True)
class Row:
    """One figure. ``target``: what it has to be, in words; ``met`` None: it has no target."""

    name: str
    value: float
    unit: str
    target: str = ""
    met: bool | None = None


@dataclass(slots=True)
class Report:
    """One benchmark on one engine. ``load``: how it was measured, in words."""

    name: str
    engine: str
    load: str = ""
    durability: dict[str, str] = field(default_factory=dict)
    rows: list[Row] = field(default_factory=list)

    def add(
        self,
        name: str,
        value: float,
        unit: str,
        *,
        least: float | None = None,
        most: float | None = None,
    ) -> None:
        """Add a figure; ``least`` and ``most`` are its target."""
        target, met = "", None
        if least is not None:
            target, met = f"at least {least:g}", value >= least
        if most is not None:
            target, met = f"at most {most:g}", value <= most
        self.rows.append(Row(name, value, unit, target, met))

    def note(self, name: str, value: float, unit: str, target: str) -> None:
        """Add a figure whose target, in words, cannot be judged here."""
        self.rows.append(Row(name, value, unit, target))

    @property
    def met(self) -> bool:
        """Whether no target was missed."""
        return all(row.met is not False for row in self.rows)

    def show(self, console: Console) -> None:
        """Print the table."""
        title = f"{self.name} ({self.engine})" + (f": {self.load}" if self.load else "")
        kept = ", ".join(f"{name}={value}" for name, value in self.durability.items())
        table = Table(title=title, title_justify="left", caption=kept, caption_justify="left")
        for title in ("figure", "value", "unit", "target", ""):
            table.add_column(title, no_wrap=True)
        table.columns[1].justify = "right"
        for row in self.rows:
            mark = "" if row.met is None else ("met" if row.met else "NOT MET")
            table.add_row(
                row.name,
                f"{row.value:,.4g}" if row.value < 1000 else f"{row.value:,.0f}",
                row.unit,
                row.target,
                mark,
            )
        console.print(table)


def write(reports: list[Report], machine: dict[str, Any], path: Path) -> None:
    """Write everything as JSON."""
    document = {"machine": machine, "reports": [asdict(report) for report in reports]}
    path.write_text(json.dumps(document, indent=1) + "\n")
