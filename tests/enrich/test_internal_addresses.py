"""No file can send a look-up, or a token, into the bridge's own network."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bridge.errors import MappingError
from bridge.internal_address import is_internal_host, is_internal_peer

from .declared import Declared, mapping_of
from .rest import Api, Says

LOOKUP = 'url: "HERE/people/{id}"\ntoken: "${KEY}"\nids: ids'

INTERNAL = [
    "https://localhost",
    "https://LOCALHOST.",
    "http://127.0.0.1:8080",
    "https://127.1",
    "https://2130706433",
    "https://0x7f000001",
    "https://0177.0.0.1",
    "https://[::1]",
    "https://[::ffff:10.0.0.1]",
    "https://[64:ff9b::a00:1]",
    "https://[fd00:ec2::254]",
    "https://10.1.2.3",
    "https://172.16.0.1",
    "https://192.168.1.1",
    "https://100.64.0.1",
    "https://169.254.169.254/latest/meta-data",
    "https://0.0.0.0",
    "https://postgres",
    "https://metadata.google.internal",
    "https://crm.local",
    "https://crm.localhost",
    "${UNSET:-https://127.0.0.1}",
    "${UNSET:-https://10.0.0.1}/x",
    "https://${ONE}.0.0.1",
    "${SCHEME}//127.0.0.1",
    "https://${UNSET:-127.0.0.1}",
]


@pytest.mark.parametrize("address", INTERNAL)
def test_a_file_that_names_an_internal_address_does_not_load(address: str, tmp_path: Path) -> None:
    settings = {"KEY": "k", "ONE": "127", "SCHEME": "https:"}
    with pytest.raises(MappingError) as caught:
        mapping_of(tmp_path, LOOKUP.replace("HERE", address), settings)
    (mistake,) = caught.value.mistakes
    assert (mistake.code, mistake.line) == ("internal-address", 8)
    assert "setting" in mistake.hint


@pytest.mark.parametrize("key", ["url", "oauth"])
def test_a_host_cannot_come_from_a_payload(key: str, tmp_path: Path) -> None:
    lookup = 'url: "https://{account}.example.com/{id}"\ntoken: "${KEY}"\nids: ids\naccount: host'
    if key == "oauth":
        lookup = (
            'url: "https://crm.example.com/{id}"\nids: ids\noauth: {url: "https://{id}.example.com",'
            ' client_id: a, client_secret: "${KEY}"}'
        )
    with pytest.raises(MappingError, match="host-from-payload"):
        mapping_of(tmp_path, lookup, {"KEY": "k"})


@pytest.mark.parametrize("address", ["${API}", "${API:-https://example.com}", "http://${HOST}"])
def test_whoever_runs_the_bridge_may_name_one_by_a_setting(address: str, tmp_path: Path) -> None:
    settings = {"KEY": "k", "API": "http://127.0.0.1:9", "HOST": "127.0.0.1:9"}
    mapping = mapping_of(tmp_path, LOOKUP.replace("HERE", address), settings)
    assert mapping.lookups["contact"].internal


def test_a_public_host_in_a_file_is_not_internal(tmp_path: Path) -> None:
    lookup = LOOKUP.replace("HERE", "https://${SUBDOMAIN}.zendesk.com")
    mapping = mapping_of(tmp_path, lookup, {"KEY": "k", "SUBDOMAIN": "acme"})
    assert not mapping.lookups["contact"].internal


def test_a_public_name_that_resolves_to_this_machine_is_not_spoken_to(
    api: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolve = socket.getaddrinfo

    def rebound(host: Any, port: Any, *args: Any, **kwargs: Any) -> Any:
        return resolve("127.0.0.1" if host == "crm.example.com" else host, port, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", rebound)
    monkeypatch.setenv("NO_PROXY", "*")
    api.answer = lambda _asked: Says(200, {"id": "1"})
    lookup = LOOKUP.replace("HERE", f"https://crm.example.com:{api.port}")
    one = Declared(mapping_of(tmp_path, lookup, {"KEY": "k"}))
    try:
        (failed,) = one.resolve({"ids": [1]})
    finally:
        one.lookups.close()
    assert "internal address" in str(failed)
    assert api.asked == []


def test_what_a_setting_names_is_spoken_to(api: Api, declared: Callable[..., Declared]) -> None:
    api.answer = lambda _asked: Says(200, {"id": "1"})
    assert declared(LOOKUP.replace("HERE", "${API}")).resolve({"ids": [1]})[0].records


@pytest.mark.parametrize("host", ["api.hubapi.com", "8.8.8.8", "[2606:4700::1111]", "a.b.co"])
def test_public_hosts_are_public(host: str) -> None:
    assert not is_internal_host(host)


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "fe80::1%eth0", "::ffff:192.168.0.1", "?"])
def test_internal_peers_are_internal(address: str) -> None:
    assert is_internal_peer(address)
