"""Keyed hashes are HMAC by SHA-256, so that every version finds what another has written."""

from __future__ import annotations

import hmac

from hypothesis import given
from hypothesis import strategies as st

from bridge.store.digest import LENGTH, MARK, Digest


@given(st.binary(min_size=1, max_size=200), st.lists(st.text(max_size=80), min_size=1, max_size=4))
def test_a_hash_is_an_hmac_of_its_parts(key: bytes, parts: list[str]) -> None:
    digest = Digest(key)
    whole = "\0".join(parts).encode("utf-8", "surrogatepass")
    wanted = MARK + hmac.digest(key, whole, "sha256").hex()[:LENGTH]
    assert [digest.of(*parts), digest.of(*parts)] == [wanted, wanted]


def test_a_key_is_not_shown() -> None:
    assert "secret" not in repr(Digest(b"secret"))
