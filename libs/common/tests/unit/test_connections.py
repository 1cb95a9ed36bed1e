"""Clients that send nothing, little or nonsense, or read nothing: over real sockets, with short limits."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest

from common.http_server import Call, Encoded, Route, ServerConfig, app, serve_http
from common.http_server.connections import Connections

LARGE = b"x" * 8_000_000


async def take(call: Call[bytes]) -> int:
    return len(call.body)


async def large(call: Call) -> Encoded:
    return Encoded(LARGE, media_type="application/octet-stream")


ROUTES: list[Route] = [
    Route("POST", "/take", take, body=bytes, answer=int, public=True),
    Route("GET", "/large", large, answer=bytes, public=True),
    Route("GET", "/plain", large, answer=bytes, public=True),
]
HEAD = b"POST /take HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n"


@asynccontextmanager
async def serving(*, in_flight_max: int = 4, **limits: float) -> AsyncIterator[int]:
    connections = Connections(**limits)  # type: ignore[arg-type]
    server = await serve_http(
        app(ROUTES, ServerConfig("wallet", in_flight_max=in_flight_max)), 0, connections=connections
    )
    yield server.port
    await server.stop(1)
    assert connections.waiting == {}
    assert connections.idle == {}


async def opened(port: int, sent: bytes = b"") -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(sent)
    return reader, writer


async def ended(reader: asyncio.StreamReader, seconds: float = 5) -> bytes:
    """What a server says before it closes the connection."""
    async with asyncio.timeout(seconds):
        return await reader.read()


async def answer_of(reader: asyncio.StreamReader) -> bytes:
    """The body of a good answer, after which the connection stays open."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
    assert " 200 " in head.partition("\r\n")[0]
    return await reader.readexactly(int(head.partition("content-length: ")[2].partition("\r\n")[0]))


def refusal(answer: bytes) -> tuple[int, str]:
    """Status and code of an answer in the shape of every error, with its request id; the last of its connection."""
    head, _, body = answer.partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in lines[1:])
    error = json.loads(body)["error"]
    assert headers["connection"] == "close"
    assert headers["content-type"] == "application/json"
    assert error["requestId"].lower() == headers["x-request-id"]
    assert error["message"]
    return int(lines[0].split()[1]), error["code"]


async def test_silent_and_slow_clients_take_no_place_from_others():
    """More than thirty times as many as may be in flight, before their bodies, and within them."""
    async with serving(in_flight_max=4) as port:
        slow = [await opened(port, sent) for sent in (b"", b"POST /ta", HEAD, HEAD + b"x") for _ in range(32)]
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as http:
            for _ in range(50):
                assert (await http.post("/take", content=b"abc")).json()["data"] == 3
                for _, writer in slow[64::8]:
                    writer.write(b"x")
        for _, writer in slow:
            writer.close()


@pytest.mark.parametrize("sent", [b"POST /take HTTP/1.1\r\nHo", HEAD, HEAD + b"x" * 99])
async def test_a_request_has_its_time_however_it_drips(sent: bytes):
    async with serving(request_seconds_max=0.4) as port:
        reader, writer = await opened(port, sent[:10])

        async def drip() -> None:
            for byte in sent[10:]:
                writer.write(bytes([byte]))
                await asyncio.sleep(0.02)

        started = asyncio.get_running_loop().time()
        dripping = asyncio.create_task(drip())
        assert refusal(await ended(reader)) == (408, "body_too_slow")
        assert asyncio.get_running_loop().time() - started < 2
        dripping.cancel()


async def test_a_body_that_has_not_arrived_has_its_own_time_also_after_one_that_has(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("common.http_server.requests.BODY_SECONDS_MAX", 0.2)
    async with serving() as port:
        for rest in (b"", b"x" * 99):
            reader, writer = await opened(port, HEAD + b"x" * 100)
            assert json.loads(await answer_of(reader))["data"] == 100
            writer.write(HEAD + rest)
            async with asyncio.timeout(5):
                assert b" 408 " in await reader.readline()
            writer.close()


async def test_a_connection_that_says_nothing_is_closed_and_a_good_one_lives_on():
    async with serving(request_seconds_max=0.3) as port:
        reader, _ = await opened(port)
        assert await ended(reader) == b""
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as http:
            stream = [(await http.post("/take", content=b"a")).extensions["network_stream"] for _ in range(2)]
            await asyncio.sleep(0.6)  # idle between requests, which is allowed for longer
            stream.append((await http.post("/take", content=b"a")).extensions["network_stream"])
            assert len({each.get_extra_info("client_addr") for each in stream}) == 1


@pytest.mark.parametrize(
    "sent",
    [
        b"nonsense\r\n\r\n",
        b"GET /\x00 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /plain HTTP/9.9\r\nHost: x\r\n\r\n",
        b"GET /plain HTTP/1.1\r\nHost x\r\n\r\n",
        b"POST /take HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        b"POST /take HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"POST /take HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nabc",
        b"POST /take HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcdef",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",  # somebody speaks TLS here
    ],
)
async def test_what_is_no_http_is_refused_at_once_as_json(sent: bytes):
    async with serving() as port:
        reader, _ = await opened(port, sent)
        assert refusal(await ended(reader, 1)) == (400, "request_malformed")


async def test_a_refusal_carries_the_request_id_that_was_sent():
    async with serving() as port:
        head = b"POST /take HTTP/1.1\r\nHost: x\r\nX-Request-Id: req-7\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"
        reader, _ = await opened(port, head)
        assert b'"requestId":"req-7"' in await ended(reader, 1)


async def test_when_connections_run_out_the_slowest_client_goes_first():
    async with serving(connections_max=8) as port:
        slow = [await opened(port, HEAD) for _ in range(8)]
        await asyncio.sleep(0.1)
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as http:
            assert (await http.post("/take", content=b"abc")).status_code == 200
        assert refusal(await ended(slow[0][0], 1)) == (503, "overloaded")
        assert not slow[1][0].at_eof()
        for _, writer in slow:
            writer.close()


async def test_when_connections_run_out_the_one_that_was_idle_for_longest_goes():
    request = b"POST /take HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx"
    async with serving(connections_max=4) as port:
        kept = [await opened(port) for _ in range(4)]
        for number in (1, 0, 2, 3, 1):  # the first is idle for longest in the end
            reader, writer = kept[number]
            writer.write(request)
            assert await answer_of(reader)
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as http:
            assert (await http.post("/take", content=b"abc")).status_code == 200
        assert await ended(kept[0][0], 1) == b"", "no answer to what was not asked"
        for reader, writer in kept[1:]:
            writer.write(request)
            assert await answer_of(reader)
            writer.close()


async def test_a_connection_whose_answer_is_not_read_yet_is_not_idle():
    async with serving(connections_max=2, unread_seconds_max=5) as port:
        unread = [await opened(port, b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n") for _ in range(2)]
        await asyncio.sleep(0.2)
        reader, _ = await opened(port)
        assert refusal(await ended(reader, 1)) == (503, "overloaded")
        for each, writer in unread:
            assert await answer_of(each) == LARGE
            writer.close()


async def test_who_does_not_read_an_answer_holds_no_place_and_is_cut_off():
    async with serving(in_flight_max=1, unread_seconds_max=0.5) as port:
        unread = [await opened(port, b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n") for _ in range(8)]
        await asyncio.sleep(0.2)
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as http:
            assert (await http.post("/take", content=b"abc")).status_code == 200
        await asyncio.sleep(0.6)
        for reader, _ in unread:
            with pytest.raises(ConnectionResetError):
                received = await ended(reader)
                assert len(received) < len(LARGE)
                raise ConnectionResetError


async def test_who_reads_slowly_gets_the_whole_answer():
    async with serving(unread_seconds_max=0.5) as port:
        reader, writer = await opened(port, b"GET /large HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        received = b""
        while chunk := await reader.read(400_000):
            received += chunk
            await asyncio.sleep(0.05)
        assert received.endswith(LARGE)
        writer.close()
