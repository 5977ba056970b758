"""What the command line can set of a benchmark."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Options:
    """``size``: how much, in the unit that the benchmark names; None for its default.

    ``rounds``: how often what is compared takes its turn. ``peer``: a URL that gets the same load
    besides. ``sink_port``: where the sink listens, for a peer to be told; 0 for any port.
    """

    size: int | None = None
    rounds: int | None = None
    peer: str | None = None
    sink_port: int = 0
