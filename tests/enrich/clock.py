"""A clock that only waiting moves."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Clock:
    """Monotonic seconds that pass when somebody waits; ``go`` False: the process is stopping."""

    time: float = 1000.0
    waits: list[float] = field(default_factory=list)
    go: bool = True

    def now(self) -> float:
        return self.time

    def wall_ms(self) -> int:
        """The same clock as milliseconds of the day."""
        return round(self.time * 1000)

    def wait(self, seconds: float) -> bool:
        self.waits.append(seconds)
        self.time += seconds
        return self.go
