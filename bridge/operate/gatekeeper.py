"""Who may see the console and the API: those who hold the token. Wrong ones have to wait.

The token is long and random, so the pause is not what keeps it secret; it keeps a guesser from
making work and noise. The pause is by network, and what is remembered of networks is bounded.
"""

from __future__ import annotations

import hmac
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256

from bridge.store.refusals import network_of

FREE = 3
"""Wrong tokens in a row that cost nothing: people mistype."""
LONGEST_S = 60.0
FORGET_S = 900.0
"""How long a wrong token is held against a network."""
MOST_NETWORKS = 5000


@dataclass(frozen=True, slots=True)
class TurnedAway:
    """The answer to who shows no token. ``detail``: in words, for a person."""

    status: int
    detail: str
    headers: Mapping[str, str]


class Gatekeeper:
    """``admits`` compares in a time that says nothing about the token."""

    def __init__(self, tokens: Sequence[str], clock: Callable[[], float] = time.monotonic) -> None:
        self._digests = [_digest(token) for token in tokens]
        self._clock = clock
        self._lock = threading.Lock()
        self._wrong: OrderedDict[str, tuple[int, float, float]] = OrderedDict()

    def wait_s(self, address: str) -> float:
        """How long this address has to wait before a token of it is looked at; 0: not at all."""
        with self._lock:
            _, until, _ = self._wrong.get(network_of(address), (0, 0.0, 0.0))
        return max(0.0, until - self._clock())

    def admits(self, address: str, token: str) -> bool:
        """Whether this is the token; a wrong one is counted."""
        given, good = _digest(token), False
        for digest in self._digests:  # all of them, whichever is right
            good = hmac.compare_digest(given, digest) or good
        network = network_of(address)
        with self._lock:
            if good:
                self._wrong.pop(network, None)
            else:
                self._count(network)
        return good

    def turned_away(self, address: str, authorization: str, setting: str) -> TurnedAway | None:
        """None for who shows the token in ``Authorization: Bearer``, at a time when it counts.

        ``setting``: where the token stands, for the answer to who does not.
        """
        wait = self.wait_s(address)
        if wait > 0:
            said = "Too many wrong tokens came from this address. Wait, and send the right one."
            return TurnedAway(429, said, {"Retry-After": str(max(1, round(wait)))})
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() == "bearer" and self.admits(address, token.strip()):
            return None
        said = f"Send Authorization: Bearer and the value of {setting}."
        return TurnedAway(401, said, {"WWW-Authenticate": "Bearer"})

    def _count(self, network: str) -> None:
        now = self._clock()
        count, _, last = self._wrong.pop(network, (0, 0.0, now))
        count = 1 if now - last > FORGET_S else count + 1
        pause = 0.0 if count <= FREE else min(LONGEST_S, 2.0 ** (count - FREE - 1))
        self._wrong[network] = (count, now + pause, now)
        while len(self._wrong) > MOST_NETWORKS:
            self._wrong.popitem(last=False)


def _digest(token: str) -> bytes:
    return sha256(token.encode("utf-8", "surrogatepass")).digest()


def session_keys(tokens: Sequence[str]) -> list[str]:
    """The keys that sign sessions, made from the tokens: the same in every process and node."""
    label = b"crm-bridge console session 1"
    return [hmac.new(token.encode(), label, sha256).hexdigest() for token in tokens]
