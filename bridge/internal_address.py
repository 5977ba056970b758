"""Which hosts belong to this machine or its own network, and are nothing that a file may name.

https://www.iana.org/assignments/iana-ipv4-special-registry and its IPv6 counterpart list the
ranges; 169.254.169.254 and fd00:ec2::254, where clouds hand out credentials, are among them.
"""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

_NAMES = ("localhost", "local", "internal", "home.arpa", "lan", "intranet", "corp", "private")
_NUMBER = re.compile(r"(?:0x[0-9a-f]*|[0-9]+)\Z", re.IGNORECASE)
_NAT64 = IPv6Network("64:ff9b::/96")


def is_internal_host(host: str) -> bool:
    """Whether a host of a URL names an internal address by what it says; nothing is resolved.

    A name without a dot, and a number in any other form than a plain IP address (``127.1``,
    ``0x7f000001``), count as internal.
    """
    name = host.strip("[]").rstrip(".").lower()
    try:
        return is_internal_address(ip_address(name.partition("%")[0]))
    except ValueError:
        pass
    labels = name.split(".")
    if len(labels) == 1 or _NUMBER.match(labels[-1]):
        return True
    return any(name == one or name.endswith(f".{one}") for one in _NAMES)


def is_internal_peer(address: str) -> bool:
    """Whether the address at the other end of a connection is internal; so is one unreadable."""
    try:
        return is_internal_address(ip_address(address.partition("%")[0]))
    except ValueError:
        return True


def is_internal_address(address: IPv4Address | IPv6Address) -> bool:
    """Whether an address cannot be reached from everywhere, or carries one that cannot."""
    if isinstance(address, IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if inner is None and address in _NAT64:
            inner = IPv4Address(int(address) & 0xFFFFFFFF)
        if inner is not None:
            return is_internal_address(inner)
    return not address.is_global or address.is_multicast
