"""A proxy of ours in front of the edge: limits and services see the client, and nobody else may say who they are."""

import asyncio
import json
import socket
import subprocess
import sysconfig
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from common.testing.environment import free_port
from ops import edge
from ops.tests.integration.conftest import Edge, running

LOGIN = "/api/v1/users/login"
# One request of a client, and no other for as long as the test lasts.
TIGHT = {"RATE_AUTH_AVERAGE": "1", "RATE_AUTH_BURST": "1", "RATE_PERIOD": "1h"}
# The address that the proxies in front connect from; every other address is untrusted.
PROXY, STRANGER = "127.0.0.1", "127.0.0.2"


@contextmanager
def second_traefik(folder: Path, behind: Edge) -> Iterator[str]:
    """A proxy that appends to X-Forwarded-For what it sees, and believes everybody; its address."""
    port, ping = free_port(), free_port()
    service = {"loadBalancer": {"servers": [{"url": behind.url}]}}
    routes = {"http": {"routers": {"all": {"rule": "PathPrefix(`/`)", "service": "edge", "entryPoints": ["front"]}}}}
    routes["http"]["services"] = {"edge": service}  # type: ignore[assignment]
    (folder / "routes.yml").write_text(json.dumps(routes))
    static = {
        "entryPoints": {
            "front": {"address": f"127.0.0.1:{port}", "forwardedHeaders": {"insecure": True}},
            "ping": {"address": f"127.0.0.1:{ping}"},
        },
        "ping": {"entryPoint": "ping"},
        "providers": {"file": {"filename": str(folder / "routes.yml")}},
    }
    (folder / "front.yml").write_text(json.dumps(static))
    program = Path(sysconfig.get_path("scripts")) / "traefik"
    with (folder / "front.log").open("wb") as output:
        traefik = subprocess.Popen([program, f"--configFile={folder / 'front.yml'}"], stdout=output, stderr=output)
    try:
        deadline = time.monotonic() + 20
        while not edge.responds(f"http://127.0.0.1:{ping}/ping"):
            assert time.monotonic() < deadline, (folder / "front.log").read_text()
            time.sleep(0.05)
        # It pings before it has read its routes, and answers 404 by itself until then.
        while httpx.get(f"http://127.0.0.1:{port}/").text == "404 page not found\n":
            assert time.monotonic() < deadline, (folder / "front.log").read_text()
            time.sleep(0.05)
        yield f"http://127.0.0.1:{port}"
    finally:
        traefik.terminate()
        traefik.wait(20)


@contextmanager
def announcing_proxy(behind: Edge, client: str) -> Iterator[str]:
    """A load balancer for TCP that says by PROXY protocol, version 1, that *client* connects."""
    family = "TCP6" if ":" in client else "TCP4"
    here = "::1" if ":" in client else "127.0.0.1"
    loop = asyncio.new_event_loop()
    ready: list[int] = []

    async def pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65_536):
                writer.write(data)
        except ConnectionError:
            pass
        finally:
            writer.close()

    async def connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        target = urlsplit(behind.url)
        edge_reader, edge_writer = await asyncio.open_connection(target.hostname, target.port)
        edge_writer.write(f"PROXY {family} {client} {here} 4711 443\r\n".encode())
        await asyncio.gather(pipe(reader, edge_writer), pipe(edge_reader, writer))

    async def serve() -> asyncio.Server:
        return await asyncio.start_server(connect, "127.0.0.1", 0)

    async def end(server: asyncio.Server) -> None:
        server.close()
        running = asyncio.all_tasks() - {asyncio.current_task()}
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    server = asyncio.run_coroutine_threadsafe(serve(), loop).result(5)
    ready.append(server.sockets[0].getsockname()[1])
    try:
        yield f"http://127.0.0.1:{ready[0]}"
    finally:
        asyncio.run_coroutine_threadsafe(end(server), loop).result(5)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


@pytest.fixture(scope="module")
def behind_http(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Edge, str]]:
    """An edge that believes the proxy's headers, and the proxy."""
    folder = tmp_path_factory.mktemp("http")
    environ = {**TIGHT, "TRUSTED_PROXIES": f"{PROXY}/32", "TRUSTED_PROXY_HOPS": "2", "EDGE_FORCE_HSTS": "true"}
    with running(folder, environ) as edge, second_traefik(folder, edge) as front:
        yield edge, front


@pytest.fixture(scope="module")
def behind_tcp(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Edge]:
    """An edge that believes the PROXY protocol of one address."""
    with running(tmp_path_factory.mktemp("tcp"), {**TIGHT, "PROXY_PROTOCOL_FROM": f"{PROXY}/32"}) as edge:
        yield edge


def log_in(url: str, *, source: str = PROXY, **headers: str) -> httpx.Response:
    """One login; headers by their names with underscores."""
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    with httpx.Client(base_url=url, transport=httpx.HTTPTransport(local_address=source), timeout=30) as http:
        return http.post(LOGIN, content=b"x", headers=sent)


def test_each_client_behind_the_proxy_has_limits_of_its_own(behind_http: tuple[Edge, str]) -> None:
    """Whatever a client writes stands further left than what the proxy appends."""
    _, front = behind_http
    for source in ("127.0.0.7", "127.0.0.8"):
        answer = log_in(front, source=source, X_Forwarded_For="203.0.113.99")
        seen = answer.json()["data"]
        assert (seen["ip"], seen["forwarded_for"]) == (source, f"203.0.113.99, {source}, {PROXY}")
        assert log_in(front, source=source, X_Forwarded_For="203.0.113.98").status_code == 429


def test_what_the_proxy_says_about_tls_is_believed(behind_http: tuple[Edge, str]) -> None:
    _, front = behind_http
    answer = httpx.get(f"{front}/api/v1/packs", headers={"X-Forwarded-Proto": "https"})
    assert answer.json()["data"]["protocol"] == "https"
    assert answer.headers["strict-transport-security"] == "max-age=31536000; includeSubDomains"


def test_a_stranger_cannot_say_who_they_are(behind_http: tuple[Edge, str]) -> None:
    edge, _ = behind_http
    headers = {"X_Forwarded_For": "203.0.113.1", "X_Real_Ip": "203.0.113.1", "X_Forwarded_Proto": "https"}
    answer = log_in(edge.url, source=STRANGER, **headers)
    assert answer.status_code == 200
    seen = answer.json()["data"]
    assert (seen["ip"], seen["forwarded_for"], seen["protocol"]) == (STRANGER, STRANGER, "http")
    assert log_in(edge.url, source=STRANGER, X_Forwarded_For="203.0.113.2").status_code == 429


def test_the_proxy_protocol_says_who_connects(behind_tcp: Edge) -> None:
    for client in ("203.0.113.1", "203.0.113.2", "2001:db8:1:2::1"):
        with announcing_proxy(behind_tcp, client) as front:
            answer = log_in(front, X_Forwarded_For="198.51.100.1")
            assert answer.status_code == 200, client
            assert answer.json()["data"]["ip"] == client
            assert log_in(front, X_Forwarded_For="198.51.100.2").status_code == 429


def test_one_ipv6_network_is_one_client(behind_tcp: Edge) -> None:
    for client, status in (("2001:db8:7:7::1", 200), ("2001:db8:7:7:9:9:9:9", 429), ("2001:db8:7:8::1", 200)):
        with announcing_proxy(behind_tcp, client) as front:
            assert log_in(front).status_code == status, client


def test_a_limit_says_how_long_to_wait(behind_tcp: Edge) -> None:
    """In Traefik's own text, with the headers that every answer has."""
    assert log_in(behind_tcp.url, source="127.0.0.21").status_code == 200
    refused = log_in(behind_tcp.url, source="127.0.0.21")
    assert refused.status_code == 429
    assert int(refused.headers["retry-after"]) >= 1
    assert refused.headers["x-frame-options"] == "DENY"
    assert log_in(behind_tcp.url, source="127.0.0.22").status_code == 200


def test_a_stranger_has_no_proxy_protocol(behind_tcp: Edge) -> None:
    """What they say by it is read over."""
    port = urlsplit(behind_tcp.url).port
    with socket.create_connection(("127.0.0.1", port), 5, source_address=("127.0.0.4", 0)) as connection:
        head = f"POST {LOGIN} HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nConnection: close\r\n\r\nx"
        connection.sendall(b"PROXY TCP4 203.0.113.9 127.0.0.1 1 2\r\n" + head.encode())
        answer = connection.makefile("rb").read()
    assert b'"ip":"127.0.0.4"' in answer
