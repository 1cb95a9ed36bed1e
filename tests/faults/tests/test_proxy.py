"""The fault proxy on real sockets: each kind of conditions does what its name says, and clears up."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from tests.faults.proxy import NORMAL, FaultProxy, NetworkConditions

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
PATIENCE_SECONDS = 0.15


@asynccontextmanager
async def echo(heard: list[bytes] | None = None) -> AsyncIterator[int]:
    """A server that says everything back; its port."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while piece := await reader.read(65536):
                if heard is not None:
                    heard.append(piece)
                writer.write(piece)
                await writer.drain()
        except OSError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


@asynccontextmanager
async def through(proxy: FaultProxy) -> AsyncIterator[Streams]:
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    try:
        yield reader, writer
    finally:
        writer.close()


async def said_back(streams: Streams, words: bytes) -> bytes:
    reader, writer = streams
    writer.write(words)
    return await reader.readexactly(len(words))


async def silent(read: Callable[[], Awaitable[object]]) -> bool:
    """Whether nothing comes for a while."""
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            await read()
    except TimeoutError:
        return True
    return False


async def test_in_calm_conditions_everything_passes_and_ends_as_it_would() -> None:
    async with echo() as port, FaultProxy(0, port) as proxy:
        async with through(proxy) as streams:
            assert await said_back(streams, b"x" * 300_000) == b"x" * 300_000
            streams[1].write_eof()
            assert await streams[0].read() == b""
        await asyncio.sleep(0.05)
        assert proxy.connections == 0


async def test_latency_holds_every_piece_in_both_directions() -> None:
    async with echo() as port, FaultProxy(0, port) as proxy, through(proxy) as streams:
        proxy.conditions = NetworkConditions(latency_seconds=0.05)
        started = time.monotonic()
        await said_back(streams, b"hello")
        assert time.monotonic() - started >= 0.1


async def test_bandwidth_bounds_each_direction() -> None:
    async with echo() as port, FaultProxy(0, port) as proxy, through(proxy) as streams:
        proxy.conditions = NetworkConditions(bytes_per_second=100_000)
        started = time.monotonic()
        await said_back(streams, b"x" * 10_000)
        assert time.monotonic() - started >= 0.2


async def test_a_black_hole_holds_back_and_lets_go() -> None:
    async with echo() as port, FaultProxy(0, port) as proxy, through(proxy) as (reader, writer):
        assert await said_back((reader, writer), b"before") == b"before"
        proxy.conditions = NetworkConditions(black_hole=True)
        writer.write(b"during")
        assert await silent(lambda: reader.read(1))
        proxy.conditions = NORMAL
        assert await reader.readexactly(6) == b"during"


async def test_half_open_is_heard_and_not_answered() -> None:
    heard: list[bytes] = []
    async with echo(heard) as port, FaultProxy(0, port) as proxy, through(proxy) as (reader, writer):
        proxy.conditions = NetworkConditions(deaf=True)
        writer.write(b"commit")
        assert await silent(lambda: reader.read(1))
        assert heard == [b"commit"]
        proxy.conditions = NORMAL
        assert await reader.readexactly(6) == b"commit"


async def test_reset_cuts_what_is_open() -> None:
    async with echo() as port, FaultProxy(0, port) as proxy, through(proxy) as streams:
        await said_back(streams, b"before")
        assert proxy.reset() == 1
        with pytest.raises(ConnectionResetError):
            await said_back(streams, b"after")
        async with through(proxy) as again:
            assert await said_back(again, b"again") == b"again"


async def test_refused_connections_are_reset_and_so_are_those_to_nobody() -> None:
    async with echo() as port, FaultProxy(0, port) as proxy, through(proxy) as streams:
        proxy.conditions = NetworkConditions(refuse=True)
        async with through(proxy) as refused:
            with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
                await said_back(refused, b"x")
        assert await said_back(streams, b"still") == b"still"
    async with FaultProxy(0, port) as proxy, through(proxy) as nobody:
        with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
            await said_back(nobody, b"x")


async def test_slow_close_keeps_the_other_side_waiting() -> None:
    async with echo() as port, FaultProxy(0, port) as proxy, through(proxy) as (reader, writer):
        proxy.conditions = NetworkConditions(slow_close_seconds=0.1)
        await said_back((reader, writer), b"x")
        started = time.monotonic()
        writer.write_eof()
        assert await reader.read() == b""
        assert time.monotonic() - started >= 0.2
