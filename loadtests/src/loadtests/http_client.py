"""An HTTP/1.1 client that costs next to nothing: one kept-alive connection, one request in flight, bytes in and out.

It shares two cores with what it measures, and a general client would take more of them than some of the services.
It reads what Traefik and our own servers write: a status line, a Content-Length or chunks.
"""

import asyncio
from typing import Self, cast
from urllib.parse import urlsplit

import httptools
from msgspec import Struct


class ConnectionLost(ConnectionError):
    """The connection ended before the answer was complete: whether the request was carried out is not known."""


class Answer(Struct, frozen=True):
    status: int
    body: bytes
    retry_after_seconds: float | None = None


class Address(Struct, frozen=True):
    """Where an HTTP server listens."""

    host: str
    port: int

    @classmethod
    def of(cls, url: str) -> Self:
        """Of an URL that names its port, as all of a stack's do. Raises ValueError."""
        parts = urlsplit(url)
        if parts.hostname is None or parts.port is None:
            raise ValueError(f"{url} has no host or no port")
        return cls(parts.hostname, parts.port)

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


def post(path: str, host: Address, body: bytes, headers: str = "") -> bytes:
    """The bytes of a POST of JSON; *headers* are whole lines, each with its CRLF."""
    head = f"POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n{headers}"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


def get(path: str, host: Address) -> bytes:
    """The bytes of a GET."""
    return f"GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()


class _Exchange(asyncio.Protocol):
    """Feeds the parser; the parser calls back into the methods that begin with on_."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self.waiting: asyncio.Future[Answer] | None = None
        self.reusable = True
        self._parser = httptools.HttpResponseParser(self)
        self._body: list[bytes] = []
        self._retry_after: float | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self.reusable = False
            self._fail(ConnectionLost(f"not HTTP: {error}"))
            if self.transport is not None:
                self.transport.close()

    def connection_lost(self, error: Exception | None) -> None:
        self.reusable = False
        self._fail(ConnectionLost(str(error or "closed by the other side")))

    def on_header(self, name: bytes, value: bytes) -> None:
        if len(name) == 11 and name.lower() == b"retry-after":
            self._retry_after = float(value)

    def on_body(self, body: bytes) -> None:
        self._body.append(body)

    def on_message_complete(self) -> None:
        parser, self._parser = self._parser, httptools.HttpResponseParser(self)
        self.reusable = parser.should_keep_alive()
        body = self._body[0] if len(self._body) == 1 else b"".join(self._body)
        self._body = []
        retry_after, self._retry_after = self._retry_after, None
        waiting, self.waiting = self.waiting, None
        if waiting is not None and not waiting.done():
            waiting.set_result(Answer(parser.get_status_code(), body, retry_after))

    def _fail(self, error: ConnectionLost) -> None:
        waiting, self.waiting = self.waiting, None
        if waiting is not None and not waiting.done():
            waiting.set_exception(error)


class Connection:
    """One connection, opened when it is first needed and again when it was lost."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._exchange: _Exchange | None = None

    async def ask(self, request: bytes) -> Answer:
        """Send *request*, return its answer. Raises ConnectionLost, OSError; one request at a time."""
        if not self.is_open:
            await self.open()
        return await self.send(request)

    @property
    def is_open(self) -> bool:
        """Whether the next request may go out on the connection that is there."""
        exchange = self._exchange
        return (
            exchange is not None
            and exchange.reusable
            and exchange.transport is not None
            and not exchange.transport.is_closing()
        )

    async def open(self) -> None:
        """Connect anew. Raises OSError."""
        self.close()
        _, self._exchange = await asyncio.get_running_loop().create_connection(
            _Exchange, self._address.host, self._address.port
        )

    def send(self, request: bytes) -> asyncio.Future[Answer]:
        """Send *request* on the open connection; its answer, or ConnectionLost, comes without a task of its own."""
        exchange = self._exchange
        assert exchange is not None, "opened before"
        assert exchange.waiting is None, "one request at a time"
        assert exchange.transport is not None, "the loop has connected it"
        waiting: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        exchange.waiting = waiting
        exchange.transport.write(request)
        return waiting

    def close(self) -> None:
        if self._exchange is not None and self._exchange.transport is not None:
            self._exchange.transport.close()
        self._exchange = None
