"""Silent and slow clients in front of a real edge: they end in time, and nobody else is refused because of them."""

import asyncio
import time
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import psutil
import pytest

from ops.tests.integration.conftest import Edge, running

# The edge's readTimeout, and what closing so many connections on a busy machine may take beyond it.
READ_SECONDS = 15
ENDED_SECONDS = READ_SECONDS + 45
SLOW_OF_EACH_KIND = 500
LARGE, BYTES_EACH = 600, 200_000
TOTAL = 40
DESCRIPTORS = 100


async def hold(port: int, path: str, body: bytes) -> float:
    """Send the head of a request with a body to come, and *body* a byte a second; how long until the edge ends it."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    started = time.monotonic()
    writer.write(b"POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n" % path.encode())

    async def drip() -> None:
        for byte in body:
            await asyncio.sleep(1)
            writer.write(bytes([byte]))

    dripping = asyncio.create_task(drip())
    try:
        await reader.read()
    except ConnectionError:
        pass
    finally:
        dripping.cancel()
        writer.close()
    return time.monotonic() - started


@pytest.mark.timeout(300)
async def test_slow_clients_end_and_cost_nobody_anything(plain: Edge) -> None:
    """500 silent and 500 dripping clients on each of three endpoints, of which none reaches a service."""
    port = urlsplit(plain.url).port or 0
    paths = ("/api/v1/webhooks/cashfree", "/api/v1/users/login", "/api/v1/payments")
    slow = [
        asyncio.create_task(hold(port, path, body))
        for path in paths
        for body in (b"", b"x" * 60)
        for _ in range(SLOW_OF_EACH_KIND)
    ]
    await asyncio.sleep(2)
    assert not any(task.done() for task in slow)
    answered = 0
    async with httpx.AsyncClient(base_url=plain.url, timeout=60) as http:
        while not all(task.done() for task in slow):
            for path in paths:
                answer = await http.post(path, content=b"genuine")
                assert (answer.status_code, answer.json()["data"]["size"]) in ((200, 7), (201, 7))
                answered += 1
            await asyncio.sleep(0.05)
    assert answered > 10
    lasted = [task.result() for task in slow]
    assert max(lasted) < ENDED_SECONDS
    assert min(lasted) > READ_SECONDS / 2


@pytest.mark.timeout(180)
async def test_all_clients_together_are_bounded(tmp_path: Path) -> None:
    """Each of many addresses holds one request, far below the limit of one client; together they fill one router."""
    with running(tmp_path, {"IN_FLIGHT_WEBHOOK_TOTAL": str(TOTAL)}) as edge:
        port = urlsplit(edge.url).port or 0
        held = []
        for number in range(1, TOTAL + 1):
            _, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(f"127.0.1.{number}", 0))
            writer.write(b"POST /api/v1/webhooks/cashfree HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n")
            held.append(writer)
        transport = httpx.AsyncHTTPTransport(local_address="127.0.2.1")
        async with httpx.AsyncClient(base_url=edge.url, transport=transport) as http:

            async def post(path: str, **headers: str) -> int:
                return (await http.post(path, content=b"genuine", headers=headers)).status_code

            async with asyncio.timeout(10):
                while await post("/api/v1/webhooks/cashfree") != 429:
                    await asyncio.sleep(0.05)
            # Nor by saying that one is none of them.
            assert await post("/api/v1/webhooks/cashfree", **{"X-Edge-Clients": "me"}) == 429
            for path in ("/api/v1/users/login", "/api/v1/payments"):
                assert await post(path) in (200, 201)
            held.pop().close()
            async with asyncio.timeout(10):
                while await post("/api/v1/webhooks/cashfree") != 200:
                    await asyncio.sleep(0.05)
        for writer in held:
            writer.close()


@pytest.mark.timeout(180)
async def test_without_file_descriptors_the_edge_waits_and_goes_on(tmp_path: Path) -> None:
    """What bounds connections without a request: at the limit none is accepted, until those ones end in time."""
    with running(tmp_path, {}) as edge:
        port = urlsplit(edge.url).port or 0
        process = psutil.Process(edge.pid)
        process.rlimit(psutil.RLIMIT_NOFILE, (process.num_fds() + DESCRIPTORS,) * 2)
        held = [await asyncio.open_connection("127.0.0.1", port) for _ in range(3 * DESCRIPTORS)]
        await asyncio.sleep(1)
        assert process.num_fds() <= process.rlimit(psutil.RLIMIT_NOFILE)[0]
        async with httpx.AsyncClient(base_url=edge.url, timeout=4 * ENDED_SECONDS) as http:
            answer = await http.post("/api/v1/payments", content=b"genuine")
        assert answer.status_code in (200, 201)
        assert process.is_running()
        for _, writer in held:
            writer.close()


@pytest.mark.timeout(180)
async def test_a_client_without_a_request_ends_too(plain: Edge) -> None:
    port = urlsplit(plain.url).port or 0
    started = time.monotonic()
    for sent in (b"", b"POST /api/v1/pay"):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(sent)
        async with asyncio.timeout(ENDED_SECONDS):
            await reader.read()
        writer.close()
    assert time.monotonic() - started < 2 * ENDED_SECONDS


@pytest.mark.timeout(180)
async def test_the_largest_bodies_do_not_fill_the_memory(plain: Edge) -> None:
    """They are nearly here and never all here: what the edge keeps of each in memory is bounded."""
    port = urlsplit(plain.url).port or 0
    process = psutil.Process(plain.pid)
    before = process.memory_info().rss
    held = []
    for _ in range(LARGE):
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"POST /api/v1/webhooks/cashfree HTTP/1.1\r\nHost: x\r\nContent-Length: 262144\r\n\r\n")
        writer.write(b"x" * 262_128)
        await writer.drain()
        held.append(writer)
    await asyncio.sleep(1)
    grown = process.memory_info().rss - before
    for writer in held:
        writer.close()
    assert grown < LARGE * BYTES_EACH
