"""Each adapter against its provider's simulator, a process of its own."""

from collections.abc import AsyncIterator, Iterator

import httpx
import pytest
import pytest_asyncio
from aiohttp import web

from common.testing import free_port
from gateways import GatewayCall, testing
from gateways.registry import ADAPTERS, open_gateways

from .bench import SIMULATORS, Bench, Webhook


@pytest.fixture(scope="session")
def simulator_url() -> Iterator[str]:
    """The sandbox, which simulates every provider, on a port of its own."""
    own = {name: value for simulator in SIMULATORS.values() for name, value in simulator.environment.items()}
    with testing.simulator(own) as url:
        yield url


@pytest_asyncio.fixture
async def webhooks() -> AsyncIterator[tuple[str, list[Webhook]]]:
    """Where the simulator sends its webhooks, and those that came."""
    port = free_port()
    received: list[Webhook] = []

    async def receive(request: web.Request) -> web.Response:
        headers = {name.lower(): value for name, value in request.headers.items()}
        received.append(Webhook(headers, await request.read()))
        return web.Response()

    application = web.Application()
    application.router.add_post("/webhook", receive)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    yield f"http://127.0.0.1:{port}/webhook", received
    await runner.cleanup()


@pytest_asyncio.fixture(params=sorted(ADAPTERS))
async def bench(
    request: pytest.FixtureRequest, simulator_url: str, webhooks: tuple[str, list[Webhook]]
) -> AsyncIterator[Bench]:
    name: str = request.param
    simulator = SIMULATORS[name]
    notify_url, received = webhooks
    account = simulator.account(simulator_url, notify_url)
    calls: list[GatewayCall] = []
    async with (
        open_gateways([account], calls.append) as gateways,
        httpx.AsyncClient(base_url=simulator_url) as http,
    ):
        await simulator.reset(http, notify_url)
        yield Bench(ADAPTERS[name], gateways[account.id], simulator, http, received, calls)
