"""A secret whose text never shows."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Secret:
    """One secret with every value that is live now (two while it is being rotated).

    Its text never shows: ``repr`` and ``str`` give a mask.
    """

    name: str
    values: tuple[str, ...] = field(repr=False)

    def __str__(self) -> str:
        return f"<secret {self.name}>"

    @property
    def first(self) -> str:
        """The value to send or to sign with."""
        return self.values[0]
