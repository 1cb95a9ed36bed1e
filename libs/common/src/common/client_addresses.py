"""Who a client is by its address: read past our own proxies, and the network that limits count it under."""

import ipaddress
import re
from collections.abc import Sequence
from functools import lru_cache

# A client with one IPv6 address usually has all 2^64 of its network, so that limits count the network.
IPV6_PREFIX_LENGTH = 64

_OCTET = "(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
_plain_ipv4 = re.compile(rf"{_OCTET}(?:\.{_OCTET}){{3}}", re.ASCII).fullmatch


# A gateway and a member's phone send from one address again and again.
@lru_cache(maxsize=4_096)
def client_address(peer: str, forwarded_for: str, proxy_hops: int) -> str:
    """The client's address, when *proxy_hops* proxies of ours stand in front and each appends the peer that it saw.

    What stands further left in X-Forwarded-For was written by the client and proves nothing. The answer is an address
    or, when a proxy of ours appended what is none, *peer*.
    """
    addresses: Sequence[str] = [part.strip() for part in forwarded_for.split(",") if part.strip()] + [peer]
    address = addresses[max(len(addresses) - 1 - proxy_hops, 0)]
    try:
        return address if _plain_ipv4(address) else str(ipaddress.ip_address(address))
    except ValueError:
        return peer


def client_network(address: str) -> str:
    """What a limit by address counts: an IPv4 address itself, of an IPv6 address its /64 network.

    An IPv4 address written as IPv6 (::ffff:192.0.2.1) is the IPv4 address. What is no address is answered as it is.
    """
    if ":" not in address:
        return address
    try:
        parsed = ipaddress.IPv6Address(address.partition("%")[0])
    except ValueError:
        return address
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.ip_network((int(parsed), IPV6_PREFIX_LENGTH), strict=False))
