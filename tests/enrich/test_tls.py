"""The time limit of a call holds inside an encrypted connection as well."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from .conftest import Desk
from .crm import Crm, Play, drips, hangs


def certified(folder: Path) -> Path:
    """A file with a key and its own certificate for this machine."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]), False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
        .sign(key, hashes.SHA256())
    )
    path = folder / "crm.pem"
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    return path


@pytest.mark.parametrize("play", [hangs, drips("head"), drips("body")])
def test_a_slow_crm_behind_tls_is_cut_off(
    tmp_path: Path,
    crm: Crm,
    opened: Callable[..., Desk],
    monkeypatch: pytest.MonkeyPatch,
    play: Play,
) -> None:
    certificate = certified(tmp_path)
    crm.encrypt(certificate)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    desk = opened(timeout_s=0.5)
    crm.add("1")
    assert desk.found("1").records == (crm.contacts["1"],)
    crm.script.append(play)
    start = time.monotonic()
    assert "within 0.5 s" in str(desk.failure("2"))
    assert time.monotonic() - start < 3
    desk.clock.time += 60
    assert desk.found("1").records == (crm.contacts["1"],)


def test_a_certificate_that_nobody_vouches_for_is_refused(
    tmp_path: Path, crm: Crm, opened: Callable[..., Desk]
) -> None:
    crm.encrypt(certified(tmp_path))
    assert "could not be reached" in str(opened().failure("1"))
    assert crm.asked == []
