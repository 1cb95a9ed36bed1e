"""The client against a real server that answers what a test says, in the pieces it says."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest

from loadtests.http_client import Address, Answer, Connection, ConnectionLost, get, post

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"


class Server:
    """Answers each request with the next script: pieces that are written one by one; None hangs up."""

    def __init__(self, scripts: Sequence[Sequence[bytes | None]]) -> None:
        self._scripts = list(scripts)
        self.requests: list[bytes] = []
        self.connections = 0
        self.address = Address("127.0.0.1", 0)

    async def converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        while True:
            try:
                head = await reader.readuntil(b"\r\n\r\n")
            except asyncio.IncompleteReadError:
                break
            length = next(
                (int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")), 0
            )
            self.requests.append(head + await reader.readexactly(length))
            for piece in self._scripts.pop(0):
                if piece is None:
                    writer.close()
                    return
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(0.002)
        writer.close()


@asynccontextmanager
async def serving(*scripts: Sequence[bytes | None]) -> AsyncIterator[Server]:
    server = Server(scripts)
    listener = await asyncio.start_server(server.converse, "127.0.0.1", 0)
    server.address = Address("127.0.0.1", listener.sockets[0].getsockname()[1])
    async with listener:
        yield server


async def test_one_connection_serves_many_requests() -> None:
    async with serving([OK], [OK], [b"HTTP/1.1 201 Created\r\ncontent-length: 2\r\n\r\n{}"]) as server:
        connection = Connection(server.address)
        assert await connection.ask(get("/one", server.address)) == Answer(200, b"hello")
        assert await connection.ask(get("/two", server.address)) == Answer(200, b"hello")
        assert await connection.ask(post("/three", server.address, b'{"a":1}', "X-Key: k\r\n")) == Answer(201, b"{}")
        connection.close()
    assert server.connections == 1
    assert server.requests[2] == (
        b"POST /three HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nX-Key: k\r\n"
        b'Content-Length: 7\r\n\r\n{"a":1}' % str(server.address).encode()
    )


async def test_an_answer_may_come_byte_by_byte() -> None:
    async with serving([bytes([byte]) for byte in OK]) as server:
        connection = Connection(server.address)
        assert await connection.ask(get("/", server.address)) == Answer(200, b"hello")
        connection.close()


async def test_chunks_are_put_together() -> None:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    async with serving([head, b"3\r\nhel\r\n", b"2\r\nlo\r\n0\r\n\r\n"]) as server:
        connection = Connection(server.address)
        assert await connection.ask(get("/", server.address)) == Answer(200, b"hello")
        connection.close()


async def test_an_answer_without_a_body_is_complete() -> None:
    async with serving([b"HTTP/1.1 204 No Content\r\n\r\n"], [OK]) as server:
        connection = Connection(server.address)
        assert await connection.ask(get("/", server.address)) == Answer(204, b"")
        assert await connection.ask(get("/", server.address)) == Answer(200, b"hello")
        connection.close()


async def test_a_connection_that_the_server_ends_is_opened_again() -> None:
    closing = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok"
    async with serving([closing, None], [OK]) as server:
        connection = Connection(server.address)
        assert await connection.ask(get("/", server.address)) == Answer(200, b"ok")
        assert await connection.ask(get("/", server.address)) == Answer(200, b"hello")
        connection.close()
    assert server.connections == 2


@pytest.mark.parametrize("script", [[None], [OK[:20], None], [b"SSH-2.0-nonsense\r\n\r\n"]])
async def test_half_an_answer_is_no_answer(script: Sequence[bytes | None]) -> None:
    async with serving(script, [OK]) as server:
        connection = Connection(server.address)
        with pytest.raises(ConnectionLost):
            await connection.ask(get("/", server.address))
        assert await connection.ask(get("/", server.address)) == Answer(200, b"hello")
        connection.close()


async def test_a_port_without_a_server_is_an_error() -> None:
    async with serving() as server:
        address = server.address
    with pytest.raises(OSError):
        await Connection(address).ask(get("/", address))


@pytest.mark.parametrize("url", ["http://127.0.0.1/", "nonsense", "http://:80"])
def test_an_url_without_host_or_port_is_no_address(url: str) -> None:
    with pytest.raises(ValueError, match="no host or no port"):
        Address.of(url)
