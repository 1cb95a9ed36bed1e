"""Runs an ASGI application on uvicorn inside the loop that is there, without its signals, logs and headers."""

import asyncio
import socket
from collections.abc import Generator
from contextlib import contextmanager
from functools import partial
from typing import Any, cast

import uvicorn
from starlette.types import ASGIApp

from common.http_server.connections import Connection, Connections

# Longer than the proxy keeps its idle connections (Traefik: 90 s), so that it never sends into one being closed.
KEEP_ALIVE_SECONDS = 120
BACKLOG = 2_048
GRACE_SECONDS = 10.0


class _Server(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Signals are the runtime's, which stops the servers in its own order."""
        yield


class HttpServer:
    """An HTTP server that runs; `stop` ends it."""

    def __init__(self, server: _Server, task: asyncio.Task[None], port: int) -> None:
        self._server = server
        self._task = task
        self.port = port

    async def stop(self, grace_seconds: float = GRACE_SECONDS) -> None:
        """Take no new connections, finish the requests in flight, cancel what is not done after *grace_seconds*."""
        self._server.config.timeout_graceful_shutdown = max(1, round(grace_seconds))
        self._server.should_exit = True
        await self._task

    async def wait(self) -> None:
        """Return when the server has ended; raises what ended it."""
        await asyncio.shield(self._task)


async def serve_http(
    app: ASGIApp, port: int, host: str = "127.0.0.1", *, connections: Connections | None = None
) -> HttpServer:
    """Start serving *app*; returns once connections are accepted. Port 0 takes a free one. Raises OSError.

    *connections* bounds how many there are and how slow their clients.
    """
    listener = _listen(host, port)
    server = _Server(
        uvicorn.Config(
            app,
            http=cast(Any, partial(Connection, limits=connections or Connections())),
            ws="none",
            loop="none",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            access_log=False,
            server_header=False,
            date_header=False,
            proxy_headers=False,
            backlog=BACKLOG,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
        )
    )
    task = asyncio.create_task(server.serve(sockets=[listener]), name="http")
    while not server.started:
        if task.done():
            listener.close()
            await task
            raise OSError(f"the HTTP server on port {port} ended while it started")
        await asyncio.sleep(0.005)
    return HttpServer(server, task, listener.getsockname()[1])


def _listen(host: str, port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(BACKLOG)
        listener.setblocking(False)
    except OSError:
        listener.close()
        raise
    return listener
