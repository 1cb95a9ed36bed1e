"""Addresses that others chose, and where a request to them may go: never into a network of ours (SSRF).

A name is looked up when the connection is made; one address that may not be reached refuses all of them, and the
address that was checked is the one that is dialled, so that a second answer of the DNS changes nothing. Which addresses
count as public: IANA's special-purpose registries, which `ipaddress` knows in part only.
"""

import socket
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any, Final, TypeAlias

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

Network: TypeAlias = IPv4Network | IPv6Network

# What `is_global` takes for public on some or all patch releases of Python, or what leads elsewhere: relays, translated
# and tunnelled IPv4, documentation.
_DENIED: Final = tuple(
    ip_network(text)
    for text in (
        *("100.64.0.0/10", "192.0.0.0/24", "192.88.99.0/24", "198.18.0.0/15"),
        *("::/96", "64:ff9b::/96", "64:ff9b:1::/48", "100::/64", "2001::/23", "2002::/16", "3fff::/20", "5f00::/16"),
        "fec0::/10",
    )
)
# Where clouds keep the credentials of their machines: closed whatever is allowed.
_METADATA: Final = frozenset({ip_address("169.254.169.254"), ip_address("fd00:ec2::254")})


class DestinationForbidden(OSError):
    """The host leads to an address that requests of others may not reach."""


def is_public(address: str, allowed: Sequence[Network] = ()) -> bool:
    """Whether a request may go to *address*: a public one, or one within *allowed*."""
    try:
        parsed = _unwrapped(ip_address(address.partition("%")[0]))
    except ValueError:
        return False
    if parsed in _METADATA:
        return False
    if any(parsed.version == network.version and parsed in network for network in allowed):
        return True
    if parsed.is_multicast or not parsed.is_global:
        return False
    return not any(parsed.version == network.version and parsed in network for network in _DENIED)


def _unwrapped(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """The IPv4 address in an IPv6 one that maps it."""
    return (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address


def public_session(
    allowed: Sequence[Network] = (), *, timeout_seconds: float, connections: int
) -> aiohttp.ClientSession:
    """A session whose requests reach public addresses, and those within *allowed*, and nothing else.

    It follows no redirect by itself (`allow_redirects=False` at each call), asks no environment for a proxy, keeps no
    cookie, shares no connection between calls. A call to a forbidden address fails with a ClientConnectorError whose
    `os_error` is DestinationForbidden. The time-out is of the whole call.
    """
    connector = aiohttp.TCPConnector(
        limit=connections,
        force_close=True,
        use_dns_cache=False,
        resolver=_CheckedResolver(allowed),
        socket_factory=lambda info: _checked_socket(info, allowed),
    )
    return aiohttp.ClientSession(
        connector=connector,
        timeout=aiohttp.ClientTimeout(total=timeout_seconds),
        cookie_jar=aiohttp.DummyCookieJar(),
        trust_env=False,
        auto_decompress=False,
    )


class _CheckedResolver(AbstractResolver):
    """The system's resolver; one forbidden address among a name's refuses the name."""

    def __init__(self, allowed: Sequence[Network]) -> None:
        self._allowed = allowed
        self._resolver = aiohttp.ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        results = await self._resolver.resolve(host, port, family)
        if not all(is_public(result["host"], self._allowed) for result in results):
            raise DestinationForbidden("the host leads to an address that is not public")
        return results

    async def close(self) -> None:
        await self._resolver.close()


def _checked_socket(info: tuple[Any, ...], allowed: Sequence[Network]) -> socket.socket:
    """A socket for an address that may be dialled: also where the URL names it, which nobody looks up."""
    family, kind, protocol, _, address = info
    if not is_public(address[0], allowed):
        raise DestinationForbidden("the address is not public")
    return socket.socket(family=family, type=kind, proto=protocol)
