"""Which address a request came from, believing only trusted proxies."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, MutableMapping
from typing import Any, TypeAlias

Scope: TypeAlias = MutableMapping[str, Any]
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def parse_networks(texts: Iterable[str]) -> tuple[Network, ...]:
    """Networks written as addresses or CIDR."""
    return tuple(ipaddress.ip_network(text, strict=False) for text in texts)


def address_of(text: str) -> Address | None:
    """An address as written; None if it is none."""
    try:
        address = ipaddress.ip_address(text.strip().strip("[]"))
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


def is_trusted(address: Address, trusted: tuple[Network, ...]) -> bool:
    """Whether an address lies in one of the networks."""
    return any(address.version == net.version and address in net for net in trusted)


def _header(scope: Scope, name: bytes) -> str:
    values = [value for key, value in scope["headers"] if key == name]
    return b",".join(values).decode("latin-1")


def client_address(scope: Scope, trusted: tuple[Network, ...]) -> Address | None:
    """The nearest address that is not one of our proxies; None on a unix socket.

    X-Forwarded-For is read from the right, as each proxy appends; what stands
    left of the first untrusted entry is the client's own invention.
    """
    peer = scope.get("client")
    address = address_of(peer[0]) if peer else None
    if address is None or not is_trusted(address, trusted):
        return address
    for entry in reversed(_header(scope, b"x-forwarded-for").split(",")[-16:]):
        hop = address_of(entry)
        if hop is None:
            return address
        address = hop
        if not is_trusted(hop, trusted):
            return hop
    return address


def came_by_tls(scope: Scope, trusted: tuple[Network, ...]) -> bool:
    """Whether the client spoke TLS, to us or to a trusted proxy."""
    if scope.get("scheme") in ("https", "wss"):
        return True
    peer = scope.get("client")
    address = address_of(peer[0]) if peer else None
    return (
        address is not None
        and is_trusted(address, trusted)
        and _header(scope, b"x-forwarded-proto").strip() == "https"
    )


def limit_key(address: Address | None) -> str:
    """What rates are counted by: an IPv4 address, or an IPv6 network of one site."""
    if isinstance(address, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((address, 64), strict=False))
    return str(address) if address else "local"
