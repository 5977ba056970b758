"""The chain: each line carries the hash of itself and of the hash before it.

So a line that was changed, taken out, put in or moved no longer fits, and neither does whatever
follows it. Without a key anybody can verify a file, and whoever edits one can compute the chain
anew; with a key (HMAC) only those who have it can do either.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field
from hashlib import sha256

FORMAT = "crm-bridge-evidence/1"
HEX = 64
"""Characters of a hash."""

_ABOUT_KEY = b"crm-bridge evidence key"


@dataclass(frozen=True, slots=True)
class Seal:
    """How the lines of one file are hashed. ``key`` None: by SHA-256 alone."""

    key: bytes | None = field(default=None, repr=False)

    @classmethod
    def by(cls, secret: str | None) -> Seal:
        """The seal of a secret, or the one without."""
        return cls(None if secret is None else secret.encode())

    @property
    def algorithm(self) -> str:
        """As the first line of a file names it."""
        return "sha256" if self.key is None else "hmac-sha256"

    @property
    def fingerprint(self) -> str | None:
        """Which key it is, for those who have it; None without one."""
        if self.key is None:
            return None
        return hmac.new(self.key, _ABOUT_KEY, sha256).hexdigest()[:16]

    def hash(self, before: str, content: bytes) -> str:
        """The hash of a line: its content behind the hash of the line before it (or nothing)."""
        text = before.encode() + b"\n" + content
        if self.key is None:
            return sha256(text).hexdigest()
        return hmac.new(self.key, text, sha256).hexdigest()
