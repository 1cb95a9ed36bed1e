"""The HTTP client against a server that answers what no gateway should."""

import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest
import trustme
from aiohttp import web

from common.testing import free_port
from gateways import GatewayAccount, GatewayCall, Unknown
from gateways.client import ANSWER_BYTES_MAX, GatewayClient, HttpAnswer, HttpRequest

READ = HttpRequest("read_order", "GET", "/orders/ord_1", headers={"x-idempotency-key": "k"})


@pytest.fixture
def account() -> GatewayAccount:
    return GatewayAccount(id="gwa_1", gateway="cashfree")


@asynccontextmanager
async def answering(
    answer: Callable[[web.Request], Awaitable[web.StreamResponse]], tls: ssl.SSLContext | None = None
) -> AsyncIterator[str]:
    port = free_port()
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port, ssl_context=tls).start()
    yield f"{'https' if tls else 'http'}://127.0.0.1:{port}"
    await runner.cleanup()


async def send(account: GatewayAccount, url: str, calls: list[GatewayCall]) -> HttpAnswer | Unknown:
    account = msgspec.structs.replace(account, base_url=url)
    async with GatewayClient(account, {"x-client-secret": "secret"}, calls.append) as client:
        return await client.send(READ, "ord_1", timeout_seconds=5)


async def test_an_answer_is_read_whole_and_headers_are_sent(account: GatewayAccount) -> None:
    seen: dict[str, str] = {}

    async def answer(request: web.Request) -> web.StreamResponse:
        seen.update({name.lower(): value for name, value in request.headers.items()})
        response = web.StreamResponse()
        await response.prepare(request)
        for part in (b"[1,", b"2]"):
            await response.write(part)
        return response

    calls: list[GatewayCall] = []
    async with answering(answer) as url:
        assert await send(account, url, calls) == HttpAnswer(200, b"[1,2]")
    assert (seen["x-client-secret"], seen["x-idempotency-key"]) == ("secret", "k")
    assert "accept-encoding" not in seen
    assert [call.outcome for call in calls] == ["answered"]


async def test_an_answer_beyond_the_cap_is_no_answer(account: GatewayAccount) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        return web.Response(body=b"x" * (ANSWER_BYTES_MAX + 1))

    calls: list[GatewayCall] = []
    async with answering(answer) as url:
        assert isinstance(await send(account, url, calls), Unknown)
    assert [call.outcome for call in calls] == ["no_answer"]


async def test_redirects_and_proxies_of_the_environment_are_not_followed(
    account: GatewayAccount, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither an answer nor a variable of the environment decides where the credentials go."""
    paths: list[str] = []

    async def answer(request: web.Request) -> web.StreamResponse:
        paths.append(request.path)
        raise web.HTTPFound("/elsewhere")

    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    async with answering(answer) as url:
        result = await send(account, url, [])
    assert isinstance(result, HttpAnswer)
    assert result.status == 302
    assert paths == ["/orders/ord_1"]


async def test_only_a_certificate_of_a_known_authority_is_trusted(
    account: GatewayAccount, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    authority = trustme.CA()
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(tls)
    requests = 0

    async def answer(request: web.Request) -> web.StreamResponse:
        nonlocal requests
        requests += 1
        return web.Response(text="{}")

    async with answering(answer, tls) as url:
        assert isinstance(await send(account, url, []), Unknown)
        assert requests == 0
        known = tmp_path / "authorities.pem"
        authority.cert_pem.write_to_path(str(known))
        monkeypatch.setenv("SSL_CERT_FILE", str(known))
        assert await send(account, url, []) == HttpAnswer(200, b"{}")
