"""Keyed hashes: what is left of a phone number or contact once it is erased.

With the key, which is in the database, it can be told whether a number that somebody asks about is
the one that a row was about. Without it a hash says nothing. Phone numbers are few, so whoever has
the whole database could try them all: the hashes keep data apart from persons, not from the
operator.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from typing import TYPE_CHECKING

from sqlalchemy import Connection, select

from bridge.errors import StoreError
from bridge.store.bulk import Query
from bridge.store.schema import hash_key

if TYPE_CHECKING:
    from hashlib import _Hash

MARK = "#"
"""What every hash begins with, and no phone number does."""

LENGTH = 38

_KNOWN = "digest"
"""Under which name a connection keeps the hashes of its database."""

_BLOCK = 64
"""Bytes that SHA-256 takes at a time, to which HMAC fills up a key (RFC 2104)."""


@dataclass(frozen=True)
class Digest:
    """Makes hashes with the key of this database: HMAC by SHA-256."""

    key: bytes = field(repr=False)

    def of(self, *parts: str) -> str:
        """The hash of some texts: 39 characters, the first a ``#``."""
        whole = "\0".join(parts).encode("utf-8", "surrogatepass")
        # OpenSSL looks HMAC up and reads the key anew for each text, at four times the price
        begun, ended = self._begun
        inner = begun.copy()
        inner.update(whole)
        outer = ended.copy()
        outer.update(inner.digest())
        return MARK + outer.hexdigest()[:LENGTH]

    @cached_property
    def _begun(self) -> tuple[_Hash, _Hash]:
        """The two hashes of an HMAC, with the key read."""
        key = self.key if len(self.key) <= _BLOCK else sha256(self.key).digest()
        whole = key.ljust(_BLOCK, b"\0")
        return sha256(bytes(b ^ 0x36 for b in whole)), sha256(bytes(b ^ 0x5C for b in whole))

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
    rows = _KEY.all(connection)
    if not rows:
        raise StoreError("the key of the hashes is gone from the table hash_key; restore a backup")
    found = connection.info[_KNOWN] = Digest(bytes.fromhex(rows[0][0]))
    return found


_KEY = Query(select(hash_key.c.value).where(hash_key.c.name == "person"))
