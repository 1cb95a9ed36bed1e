import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.client_addresses import client_address, client_network

ADDRESSES = st.ip_addresses().map(str)
# Short: long ones take a busy machine seconds to make and say nothing more.
WRITTEN = st.lists(st.text(st.characters(max_codepoint=255), max_size=20), max_size=4)


@pytest.mark.parametrize(
    ("forwarded", "hops", "seen"),
    [
        ("", 0, "10.0.0.9"),
        ("1.2.3.4", 0, "10.0.0.9"),
        ("1.2.3.4", 1, "1.2.3.4"),
        ("52.66.101.190, 1.2.3.4", 1, "1.2.3.4"),
        ("52.66.101.190, 1.2.3.4, 10.0.0.8", 2, "1.2.3.4"),
        ("", 1, "10.0.0.9"),
        (" , 1.2.3.4 ", 1, "1.2.3.4"),
        ("1.2.3.4, <script>", 1, "10.0.0.9"),
        ("1.2.3.999", 1, "10.0.0.9"),
        ("2001:DB8::1", 1, "2001:db8::1"),
    ],
)
def test_only_our_own_proxies_are_believed(forwarded: str, hops: int, seen: str) -> None:
    assert client_address("10.0.0.9", forwarded, hops) == seen


@given(WRITTEN, st.lists(ADDRESSES, max_size=3), ADDRESSES, ADDRESSES)
def test_what_a_client_writes_moves_nothing(written: list[str], proxies: list[str], client: str, peer: str) -> None:
    """The client, then our proxies, each of which appends the address that it saw; the last of them is the peer."""
    hops = len(proxies) + 1
    chain = ", ".join([*written, client, *proxies])
    assert client_address(peer, chain, hops) == client_address(peer, ", ".join([client, *proxies]), hops) == client


@given(ADDRESSES)
def test_a_network_is_the_address_or_its_64(address: str) -> None:
    network = ipaddress.ip_network(client_network(address))
    parsed = ipaddress.ip_address(address)
    mapped = parsed.ipv4_mapped if isinstance(parsed, ipaddress.IPv6Address) else None
    assert (mapped or parsed) in network
    assert network.prefixlen == (64 if network.version == 6 else 32)


def test_addresses_of_one_network_are_one_client() -> None:
    assert client_network("2001:db8:1:2:3:4:5:6") == client_network("2001:db8:1:2::") == "2001:db8:1:2::/64"
    assert client_network("2001:db8:1:3::") != client_network("2001:db8:1:2::")
    assert client_network("::ffff:192.0.2.1") == client_network("192.0.2.1") == "192.0.2.1"
    assert client_network("fe80::1%eth0") == "fe80::/64"
    assert client_network("nonsense") == "nonsense"
