"""A real Traefik with the stack's own configuration, in front of the services' HTTP server and paths.

What the services do is not in question here (tests/e2e runs the edge in front of all of them): their endpoints tell
what of a request reached them.
"""

import asyncio
import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Self

import httpx
import msgspec
import pytest

from common.http_server import Call, Route, ServerConfig, app, serve_http
from common.http_server.server import HttpServer
from common.route_tables import route_tables
from common.services import SERVICES
from ops import edge, readiness, stack
from ops.ports import Layout

PORT_BASE = int(os.environ.get("PORT_BASE", "26000")) + 500
# A service that does not run.
ABSENT = "reconciler"


class Seen(msgspec.Struct):
    """A request as it reached a service."""

    service: str
    ip: str
    forwarded_for: str
    protocol: str
    traceparent: str
    size: int
    filler: str = ""


def rows(service: str) -> list[Route[Any]]:
    """The rows of *service* with endpoints that answer Seen; /openapi.json is long."""

    def seen(call: Call[Any], size: int) -> Seen:
        filler = "long " * 10_000 if call.scope["path"] == "/openapi.json" else ""
        forwarded, protocol = call.header("x-forwarded-for"), call.header("x-forwarded-proto")
        return Seen(service, call.context.ip, forwarded, protocol, call.header("traceparent"), size, filler)

    async def with_body(call: Call[bytes]) -> Seen:
        return seen(call, len(call.body))

    async def without(call: Call) -> Seen:
        return seen(call, 0)

    return [
        Route(
            row.method,
            row.path,
            without if row.body is None else with_body,
            answer=Seen,
            body=None if row.body is None else bytes,
            body_bytes_max=row.body_bytes_max,
            public=True,
            rate_limit=row.rate_limit,
        )
        for row in route_tables()[service]
    ]


class Services:
    """All services but ABSENT, in a thread of their own. *hops*: their setting TRUSTED_PROXY_HOPS."""

    def __init__(self, layout: Layout, hops: int) -> None:
        self._layout = layout
        self._hops = hops
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)

    def __enter__(self) -> Self:
        self._thread.start()
        names = [name for name, table in route_tables().items() if table and name != ABSENT]
        self._servers = [self._run(self._serve(name)) for name in names]
        return self

    def __exit__(self, *error: object) -> None:
        for server in self._servers:
            self._run(server.stop(1))
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _serve(self, name: str) -> HttpServer:
        config = ServerConfig(name, trusted_proxy_hops=self._hops, in_flight_max=96)
        return await serve_http(app(rows(name), config), self._layout.http_port(name))

    def _run(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)


class Edge(msgspec.Struct, frozen=True):
    """A running Traefik; *log* is what it writes."""

    layout: Layout
    log: Path
    pid: int

    @property
    def url(self) -> str:
        return self.layout.edge_url


@contextmanager
def running(folder: Path, environ: Mapping[str, str], *, tls: bool = False, replicas: int = 1) -> Iterator[Edge]:
    """The edge as `up` starts it, with *environ* in the environment of `up`; of *replicas* the first alone runs."""
    layout = Layout(folder, stack.free_port_base(PORT_BASE, replicas), tls=tls, replicas=replicas)
    with pytest.MonkeyPatch.context() as patched:
        for name, value in environ.items():
            patched.setenv(name, value)
        process = edge.prepare(layout)
    with ExitStack() as entered:
        entered.enter_context(Services(layout, int(environ.get("TRUSTED_PROXY_HOPS", "1"))))
        log = folder / "edge.log"
        with log.open("wb") as output:
            traefik = subprocess.Popen(process.command, env={**process.environment}, stdout=output, stderr=output)
        try:
            _wait(
                lambda: (
                    traefik.poll() is None and edge.responds(readiness.health_url(layout, "edge")) and _routed(layout)
                ),
                log,
            )
            yield Edge(layout, log, traefik.pid)
        finally:
            traefik.terminate()
            traefik.wait(20)


def _routed(layout: Layout) -> bool:
    """Whether Traefik has read its routes: until then it answers 404 to everything. Redirects are routes as well."""
    answer = httpx.get(f"http://127.0.0.1:{layout.port('edge')}/health")
    return answer.status_code != 404


def _wait(ready: Callable[[], bool], log: Path) -> None:
    deadline = time.monotonic() + 20
    while not ready():
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.05)


assert ABSENT in SERVICES


@pytest.fixture(scope="session")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Edge]:
    """Without proxies, with the wide limits of the local stack, and with one origin that may call."""
    with running(tmp_path_factory.mktemp("plain"), {"CORS_ORIGINS": "https://app.example.com"}) as edge:
        yield edge
