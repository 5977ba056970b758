"""A campaign, and how fast it may be called."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import Literal, NamedTuple

from bridge.model.secret import Secret


@dataclass(frozen=True, slots=True)
class CallLimits:
    """What campaigns and tokens may do where ``campaigns.yaml`` says nothing; 0: no limit."""

    rate_per_s: float = 10.0
    concurrency: int = 2
    token_rate_per_s: float = 0
    token_concurrency: int = 0


class Called(NamedTuple):
    """Which campaign of which API it is. ``address``: a hash of the API's URL, which may hold a
    password; "" where a version noted it that kept none."""

    id: str
    address: str

    def is_that_of(self, other: Called) -> bool:
        """Whether both are the same campaign, as far as is known."""
        return self.id == other.id and (
            self.address == other.address or "" in (self.address, other.address)
        )


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
    def called(self) -> Called:
        """Which campaign of which API it is."""
        return Called(self.id, sha256(self.url.encode("utf-8", "surrogatepass")).hexdigest()[:32])

    @property
    def account(self) -> str:
        """A hash of whose campaign it is: its tenant, and the setting that holds its token."""
        token = "" if self.token is None else self.token.name
        whose = f"{self.tenant}\n{token}"
        return sha256(whose.encode("utf-8", "surrogatepass")).hexdigest()[:32]

    @property
    def configured(self) -> bool:
        """Whether its id and token have values."""
        return not self.missing
