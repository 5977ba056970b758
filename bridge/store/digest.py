"""Keyed hashes: what is left of a phone number or contact once it is erased.

With the key, which is in the database, it can be told whether a number that somebody asks about is
the one that a row was about. Without it a hash says nothing. Phone numbers are few, so whoever has
the whole database could try them all: the hashes keep data apart from persons, not from the
operator.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field

from sqlalchemy import Connection, select

from bridge.errors import StoreError
from bridge.store.schema import hash_key

MARK = "#"
"""What every hash begins with, and no phone number does."""

LENGTH = 38

_KNOWN = "digest"
"""Under which name a connection keeps the hashes of its database."""


@dataclass(frozen=True, slots=True)
class Digest:
    """Makes hashes with the key of this database."""

    key: bytes = field(repr=False)

    def of(self, *parts: str) -> str:
        """The hash of some texts: 39 characters, the first a ``#``."""
        whole = "\0".join(parts).encode("utf-8", "surrogatepass")
        return MARK + hmac.digest(self.key, whole, "sha256").hex()[:LENGTH]

    def of_bytes(self, body: bytes) -> str:
        """The hash of a body: 64 hexadecimal digits."""
        return hmac.digest(self.key, body, "sha256").hex()


def load(connection: Connection) -> Digest:
    """The hashes of this database. Errors: ``StoreError`` if its key is gone.

    The key was made once and never changes; each connection asks for it once.
    """
    found: Digest | None = connection.info.get(_KNOWN)
    if found is not None:
        return found
    value = connection.scalar(select(hash_key.c.value).where(hash_key.c.name == "person"))
    if value is None:
        raise StoreError("the key of the hashes is gone from the table hash_key; restore a backup")
    found = connection.info[_KNOWN] = Digest(bytes.fromhex(value))
    return found
