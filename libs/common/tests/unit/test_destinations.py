"""Where requests of others may go."""

import asyncio
from ipaddress import ip_network

import aiohttp
import pytest

from common.destinations import DestinationForbidden, is_public, public_session
from common.testing import free_port


@pytest.mark.parametrize(
    "address",
    [
        *("0.0.0.0", "10.0.0.1", "100.64.0.1", "127.0.0.1", "169.254.169.254", "172.16.0.1", "192.0.0.9", "192.0.2.1"),
        *("192.88.99.1", "192.168.1.1", "198.18.0.1", "198.51.100.1", "203.0.113.1", "224.0.0.1", "240.0.0.1"),
        *("::", "::1", "::127.0.0.1", "::ffff:100.64.0.1", "::ffff:127.0.0.1", "64:ff9b::7f00:1", "64:ff9b:1::1"),
        *("2001::1", "2001:db8::1", "2002:7f00:1::", "3fff::1", "5f00::1", "fc00::1", "fd00:ec2::254", "fe80::1%eth0"),
        *("fec0::1", "ff02::1", "100::1", "localhost", "", "127.1", "2130706433"),
    ],
)
def test_what_is_not_public_is_out_of_reach(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", ["1.1.1.1", "103.21.58.1", "2606:4700:4700::1111", "::ffff:1.1.1.1"])
def test_what_is_public_can_be_reached(address: str) -> None:
    assert is_public(address)


def test_a_network_that_is_allowed_can_be_reached_but_for_the_credentials_of_clouds() -> None:
    allowed = [ip_network("127.0.0.0/8"), ip_network("169.254.0.0/16")]
    assert is_public("127.0.0.1", allowed)
    assert is_public("::ffff:127.0.0.1", allowed)
    assert not is_public("::1", allowed)
    assert not is_public("169.254.169.254", allowed)


async def served(requests: list[bytes]) -> tuple[asyncio.Server, int]:
    port = free_port()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        requests.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        writer.close()

    return await asyncio.start_server(answer, "127.0.0.1", port), port


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]"])
async def test_a_call_into_our_networks_is_never_made(host: str) -> None:
    requests: list[bytes] = []
    server, port = await served(requests)
    async with server, public_session(timeout_seconds=2, connections=2) as session:
        with pytest.raises(aiohttp.ClientConnectorError) as refused:
            await session.get(f"http://{host}:{port}/", allow_redirects=False)
        assert isinstance(refused.value.os_error, DestinationForbidden)
    assert requests == []


async def test_a_redirect_is_an_answer_and_a_proxy_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    requests: list[bytes] = []
    server, port = await served(requests)
    allowed = [ip_network("127.0.0.0/8")]
    async with server, public_session(allowed, timeout_seconds=2, connections=2) as session:
        response = await session.get(f"http://127.0.0.1:{port}/x", allow_redirects=False)
        assert response.status == 302
    assert len(requests) == 1
