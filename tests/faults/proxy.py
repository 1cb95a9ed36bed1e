"""A TCP proxy that misbehaves on command: what a network does to a connection, between a service and what it calls."""

import asyncio
import socket
import struct
from dataclasses import dataclass
from types import TracebackType
from typing import Self

CHUNK_BYTES = 64 * 1024
# Nothing else makes the kernel send RST instead of FIN: linger for zero seconds.
_RESET = struct.pack("ii", 1, 0)


@dataclass(frozen=True)
class NetworkConditions:
    """What happens to everything that passes. The default is a network as it should be."""

    latency_seconds: float = 0.0
    """Each piece is held for so long, in each direction."""
    bytes_per_second: int = 0
    """The bandwidth of each direction of each connection; 0 = unlimited."""
    black_hole: bool = False
    """Connections are accepted and stay open, nothing passes, in either direction."""
    deaf: bool = False
    """Half open: what is sent arrives, what is answered does not."""
    refuse: bool = False
    """New connections are reset as soon as they are made."""
    slow_close_seconds: float = 0.0
    """When one side closes, the other is notified this much later."""


NORMAL = NetworkConditions()


class FaultProxy:
    """Listens on 127.0.0.1:`port` and passes everything on to `target_port`, as the conditions permits.

    A change of conditions counts for connections that exist too: what a black hole held back is passed on when it ends.
    """

    def __init__(self, port: int, target_port: int) -> None:
        self.port = port
        self._target_port = target_port
        self._conditions = NORMAL
        self._changed = asyncio.Event()
        self._links: set[_Link] = set()
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port, limit=CHUNK_BYTES)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        self.reset()
        for link in list(self._links):
            link.task.cancel()
        await asyncio.gather(*(link.task for link in self._links), return_exceptions=True)

    @property
    def conditions(self) -> NetworkConditions:
        return self._conditions

    @conditions.setter
    def conditions(self, conditions: NetworkConditions) -> None:
        self._conditions = conditions
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    @property
    def connections(self) -> int:
        return len(self._links)

    def reset(self) -> int:
        """Cut every connection with RST on both sides; how many there were."""
        links = list(self._links)
        for link in links:
            link.reset()
        return len(links)

    async def until_it_may_pass(self, *, answer: bool) -> None:
        """Return when the conditions lets a piece through in that direction."""
        while self._conditions.black_hole or (answer and self._conditions.deaf):
            await self._changed.wait()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._conditions.refuse:
            _reset(writer)
            return
        try:
            onward = await asyncio.open_connection("127.0.0.1", self._target_port, limit=CHUNK_BYTES)
        except OSError:
            # Nobody listens there: refused, as it would be without a proxy.
            _reset(writer)
            return
        task = asyncio.current_task()
        assert task is not None
        link = _Link(self, task, (reader, writer), onward)
        self._links.add(link)
        try:
            await link.run()
        finally:
            self._links.discard(link)


class _Link:
    """One connection through the proxy: two directions, ended together."""

    def __init__(
        self,
        proxy: FaultProxy,
        task: asyncio.Task[None],
        near: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        far: tuple[asyncio.StreamReader, asyncio.StreamWriter],
    ) -> None:
        self.task = task
        self._proxy = proxy
        self._near = near
        self._far = far

    async def run(self) -> None:
        directions = [
            asyncio.create_task(self._pass(self._near[0], self._far[1], answer=False)),
            asyncio.create_task(self._pass(self._far[0], self._near[1], answer=True)),
        ]
        try:
            await asyncio.gather(*directions)
        except OSError:
            pass  # one side went away: so does the other
        finally:
            for direction in directions:
                direction.cancel()
            await asyncio.gather(*directions, return_exceptions=True)
            for _, writer in (self._near, self._far):
                writer.close()

    def reset(self) -> None:
        _reset(self._near[1])
        _reset(self._far[1])

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, answer: bool) -> None:
        while piece := await reader.read(CHUNK_BYTES):
            conditions = self._proxy.conditions
            pause_seconds = conditions.latency_seconds
            if conditions.bytes_per_second:
                pause_seconds += len(piece) / conditions.bytes_per_second
            if pause_seconds:
                await asyncio.sleep(pause_seconds)
            await self._proxy.until_it_may_pass(answer=answer)
            writer.write(piece)
            await writer.drain()
        await self._proxy.until_it_may_pass(answer=answer)
        if self._proxy.conditions.slow_close_seconds:
            await asyncio.sleep(self._proxy.conditions.slow_close_seconds)
        if writer.can_write_eof():
            writer.write_eof()


def _reset(writer: asyncio.StreamWriter) -> None:
    raw = writer.get_extra_info("socket")
    if raw is not None and not writer.is_closing():
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    writer.transport.abort()
