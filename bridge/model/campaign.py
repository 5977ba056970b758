"""A campaign, and how fast it may be called."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from bridge.model.secret import Secret


@dataclass(frozen=True, slots=True)
class CallLimits:
    """What campaigns and tokens may do where ``campaigns.yaml`` says nothing; 0: no limit."""

    rate_per_s: float = 10.0
    concurrency: int = 2
    token_rate_per_s: float = 0
    token_concurrency: int = 0


@dataclass(frozen=True, slots=True)
class Campaign:
    """A campaign as ``campaigns.yaml`` names it.

    ``id`` is opaque and goes percent-encoded into the URL. ``reply_order``: ``in_order`` trusts a
    reply only if its rows stand in the order of the request; ``any_order`` lets index and phone
    number together name the lead. ``token_…``: limits of all campaigns with its token together,
    0 for none.
    """

    name: str
    id: str
    url: str
    token: Secret | None
    tenant: str = ""
    groups: tuple[str, ...] = ()
    batch_size: int = 100
    batch_bytes: int = 512_000
    concurrency: int = 2
    rate_per_s: float = 10.0
    timeout_s: float = 10.0
    linger_ms: int = 50
    phone_format: Literal["e164", "digits"] = "e164"
    custom_fields: Literal["changed", "all_known"] = "changed"
    reply_order: Literal["in_order", "any_order"] = "in_order"
    missing: tuple[str, ...] = ()
    token_rate_per_s: float = 0
    token_concurrency: int = 0

    @property
    def configured(self) -> bool:
        """Whether its id and token have values."""
        return not self.missing
