"""The service around real engines, the sandbox gateway as a process, and gRPC neighbours that answer."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime

import httpx
import pytest
import pytest_asyncio
from aiohttp import web

from common.clock import FakeClock
from common.runtime import Resources, Service
from common.settings import read as read_settings
from common.testing import Served, free_port
from gateways.testing import simulator
from payment.__main__ import service
from payment.settings import Settings

from .world import APP_ID, SECRET, Neighbours, WebhookReceiver, World


@pytest.fixture(scope="session")
def sandbox_account() -> tuple[str, str]:
    return APP_ID, SECRET


@pytest.fixture(scope="session")
def sandbox_url() -> Iterator[str]:
    """The sandbox gateway on a port of its own."""
    account = {"CASHFREE_APP_ID": APP_ID, "CASHFREE_SECRET_KEY": SECRET}
    # Refunds take a second: what happens meanwhile is seen, and their webhooks are waited for.
    delays = {"SANDBOX_WEBHOOK_RETRY_MS": "200", "SANDBOX_REFUND_DELAY_MIN_MS": "900"}
    with simulator(account | delays | {"SANDBOX_REFUND_DELAY_MAX_MS": "1200"}) as url:
        yield url


@pytest_asyncio.fixture
async def hooks() -> AsyncIterator[WebhookReceiver]:
    port = free_port()
    receiver = WebhookReceiver(f"http://127.0.0.1:{port}/hook")

    async def hook(request: web.Request) -> web.Response:
        receiver.bodies.append(await request.read())
        return web.Response()

    application = web.Application()
    application.router.add_post("/hook", hook)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    yield receiver
    await runner.cleanup()


@pytest_asyncio.fixture
async def neighbours() -> AsyncIterator[Neighbours]:
    neighbours = Neighbours()
    await neighbours.server.start()
    yield neighbours
    await neighbours.server.stop(0)


@pytest.fixture
def clock() -> FakeClock:
    """The sandbox lives in real time, so ours begins there; tests move it on."""
    return FakeClock(datetime.now(UTC))


@pytest.fixture
def settings(
    service_env: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    sandbox_url: str,
    hooks: WebhookReceiver,
    neighbours: Neighbours,
) -> Settings:
    own = {
        "CASHFREE_BASE_URL": f"{sandbox_url}/pg",
        "CASHFREE_APP_ID": APP_ID,
        "CASHFREE_SECRET_KEY": SECRET,
        "CASHFREE_NOTIFY_URL": hooks.url,
        "GATEWAY_TIMEOUT_SECONDS": "2",
        "GATEWAY_LOOKUP_TIMEOUT_SECONDS": "2",
        # Spacing is tested where it is the subject: in real time it would hold up the other tests.
        "VERIFY_INTERVAL_SECONDS": "0",
        "IDENTITY_ADDRESS": f"127.0.0.1:{neighbours.port}",
        "FRAUD_ADDRESS": f"127.0.0.1:{neighbours.port}",
        "WALLET_ADDRESS": f"127.0.0.1:{neighbours.port}",
    }
    for name, value in own.items():
        monkeypatch.setenv(name, value)
    return read_settings(Settings)


@pytest_asyncio.fixture
async def world(
    serve: Callable[[Service], AbstractAsyncContextManager[Served]],
    resources: Resources,
    settings: Settings,
    clock: FakeClock,
    sandbox_url: str,
    hooks: WebhookReceiver,
    neighbours: Neighbours,
    access_token: Callable[..., str],
) -> AsyncIterator[World]:
    async with (
        httpx.AsyncClient(base_url=sandbox_url) as sandbox,
        service(settings, resources) as value,
        serve(value) as served,
    ):
        await sandbox.post("/control/reset", json={})
        yield World(served, clock, sandbox, neighbours, hooks, access_token)
