"""What one seeded run of the crash matrix is made of. The same seed and engine give the same plan.

The plan fixes what is sent, in which order, how the API answers its n-th call and which process
is hit how in which order; what the processes make of it is left to the machine.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

LEASE_S = 3
"""Short, so that what a killed worker held is soon given to another."""

TIMEOUT_S = 1
"""Of a call; a third of the lease."""

ENGINES = ("sqlite", "postgresql")


@dataclass(frozen=True)
class Plan:
    """One run. ``actions``: kinds of blows (see ``turmoil``), each after so many seconds.

    ``by_contact``: the share of events that name a contact id in place of a phone number.
    ``tuning``: for every campaign; ``turn``: events that a worker takes in at a time;
    ``sandbox``: arguments of the campaign API.
    """

    seed: int
    engine: str
    events: int
    leads: int
    mean_size: int
    by_contact: float
    actions: tuple[tuple[str, float], ...]
    api: Mapping[str, Mapping[str, Any]] = field(hash=False)
    hubspot: Mapping[str, Any] | None = field(hash=False)
    sandbox: tuple[str, ...]
    tuning: Mapping[str, Any] = field(hash=False)
    processes: int = 1
    turn: int = 500

    @property
    def command(self) -> str:
        """What repeats this run alone."""
        return f"make faults RUNS=1 SEED={self.seed} ENGINE={self.engine}"

    def draw(self, purpose: str) -> random.Random:
        """A generator for one purpose of this run."""
        return random.Random(f"{self.seed} {self.engine} {purpose}")


def drawn(seed: int, engine: str, campaigns: Mapping[str, str]) -> Plan:
    """The plan of a seed; ``campaigns``: name → id at the API."""
    draw = random.Random(f"{seed} {engine}")
    by_contact = draw.choice([0.0, 0.0, 0.4])
    replaces = draw.random() < 0.25
    most_rows = draw.choice([None, None, 3, 7])
    sandbox = [f"--custom-fields={'replace' if replaces else 'merge'}"]
    if most_rows is not None:
        sandbox += [f"--max-rows={most_rows}", f"--max-rows-status={draw.choice([400, 413])}"]
    return Plan(
        seed=seed,
        engine=engine,
        events=draw.randint(120, 320),
        leads=draw.choice([6, 20, 60]),
        mean_size=draw.choice([1, 3, 12]),
        by_contact=by_contact,
        actions=_actions(draw, engine),
        api={id_: _misbehaviour(draw, seed) for id_ in campaigns.values()},
        hubspot=_crm_misbehaviour(draw, seed) if by_contact else None,
        sandbox=tuple(sandbox),
        tuning={
            "batch_size": draw.choice([1, 5, 20, 100]),
            "concurrency": draw.choice([1, 2, 3]),
            "linger_ms": draw.choice([0, 10, 200]),
            "custom_fields": "all_known" if replaces else draw.choice(["changed", "all_known"]),
        },
        processes=1 if engine == "sqlite" else 2,
        # with few at a time there is a backlog, whose opt-outs go ahead
        turn=random.Random(f"{seed} {engine} turn").choice([500, 20, 4]),
    )


def _actions(draw: random.Random, engine: str) -> tuple[tuple[str, float], ...]:
    weights = {
        "kill web": 3,
        "kill web child": 2,
        "pause web": 2,
        "kill worker": 5,
        "pause worker": 4,
        "kill api": 1,
        "pause api": 1,
        "cut database": 2 if engine == "postgresql" else 0,
        "end worker": 1,
    }
    kinds = draw.choices(list(weights), list(weights.values()), k=draw.randint(3, 8))
    return tuple((kind, draw.uniform(0.02, 0.5)) for kind in kinds)


def _misbehaviour(draw: random.Random, seed: int) -> Mapping[str, Any]:
    """How the API treats one campaign: a mix of everything that the sandbox knows.

    Refusals that blame the data (400, 403, 422) are left to honest cases: of a lead that stands
    alone they are believed, and rightly end as rejected.
    """
    lies = {
        "truncated": 1.0,
        "empty": 0.5,
        "short": 0.5,
        "reordered": 0.5,
        "crossed": 0.5,
        "foreign": 0.5,
        "duplicated": 0.5,
        "no_results": 0.5,
        "not_json": 0.5,
        "overall_error": 0.5,
        "success_without_rows": 0.5,
    }
    trouble = {"429": 2.0, "status": 2.0, "slow": 2.0, "close": 1.0, "close_after": 2.0, **lies}
    malice = draw.choice([0.2, 0.6, 1.5])
    weights = {mode: weight * malice * draw.random() for mode, weight in trouble.items()}
    return {
        "seed": seed,
        "weights": {"ok": 10, **weights},
        "steps": {
            "429": {"mode": "429", "retry_after": draw.choice([0, "0.2", 1, "later"])},
            "status": {"mode": "status", "status": draw.choice([500, 502, 503, 504, 401, 404])},
            "slow": {"mode": "slow", "seconds": draw.choice([0.1, 0.4, 1.3])},
        },
    }


def _crm_misbehaviour(draw: random.Random, seed: int) -> Mapping[str, Any]:
    weights = {
        "ok": 12,
        "status": 1,
        "slow": 1,
        "close": 1,
        "close_after": 1,
        "truncated": 1,
        "not_json": 0.5,
        "empty": 0.5,
        "short": 0.5,
        "reordered": 0.5,
        "duplicated": 0.5,
        "no_results": 0.5,
    }
    return {
        "seed": seed,
        "weights": {mode: weight * draw.random() for mode, weight in weights.items()} | {"ok": 8},
        "steps": {
            "status": {"mode": "status", "status": draw.choice([500, 502, 503])},
            "slow": {"mode": "slow", "seconds": 0.3},
        },
    }
