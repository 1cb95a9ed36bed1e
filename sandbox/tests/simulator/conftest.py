"""Builders: a sandbox and a webhook receiver, both real HTTP servers on ports of their own."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import msgspec
import pytest
import uvicorn
from aiohttp import web

from sandbox.__main__ import application
from sandbox.connections import Http
from sandbox.settings import Settings

APP_ID, SECRET_KEY = "TESTapp", "cfsk_ma_test_secret"
RAZORPAY = {"razorpay_key_id": "rzp_test_Shop0000000001", "razorpay_key_secret": "rzp_secret"}
HEADERS = {"x-api-version": "2025-01-01", "x-client-id": APP_ID, "x-client-secret": SECRET_KEY}


class Receiver:
    """A shop's webhook endpoint: keeps what it gets, answers with the statuses in *answers*, then 200."""

    def __init__(self) -> None:
        self.url = ""
        self.got: list[tuple[dict[str, str], bytes]] = []
        self.answers: list[int] = []

    async def take(self, request: web.Request) -> web.Response:
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.got.append((headers, await request.read()))
        return web.Response(status=self.answers.pop(0) if self.answers else 200)

    async def wait_for(self, count: int, seconds: float = 5) -> list[dict[str, Any]]:
        """The bodies, once *count* have come."""
        async with asyncio.timeout(seconds):
            while len(self.got) < count:
                await asyncio.sleep(0.005)
        return [msgspec.json.decode(body) for _, body in self.got]


class Shop:
    """A merchant's view of the sandbox."""

    def __init__(self, http: aiohttp.ClientSession, base_url: str, receiver: Receiver) -> None:
        self.http = http
        self.base_url = base_url
        self.receiver = receiver

    def order(self, **changes: Any) -> dict[str, Any]:
        """A create-order request; a change to None takes the field out."""
        fields: dict[str, Any] = {
            "order_id": "order_1",
            "order_amount": 170,
            "order_currency": "INR",
            "customer_details": {"customer_id": "cust_1", "customer_phone": "9999999999"},
            "order_meta": {"notify_url": self.receiver.url},
        }
        return {name: value for name, value in (fields | changes).items() if value is not None}

    async def call(
        self,
        method: str,
        path: str,
        json: Any = None,
        *,
        headers: dict[str, str] | None = None,
        body: bytes | None = None,
    ) -> tuple[int, Any]:
        """The status and decoded body of a call."""
        async with self.http.request(
            method,
            self.base_url + path,
            data=body if body is not None or json is None else msgspec.json.encode(json),
            headers=HEADERS if headers is None else headers,
        ) as response:
            self.headers = {name.lower(): value for name, value in response.headers.items()}
            return response.status, msgspec.json.decode(await response.read())

    async def create(self, **changes: Any) -> dict[str, Any]:
        status, order = await self.call("POST", "/pg/orders", self.order(**changes))
        assert status == 200, order
        return dict(order)

    async def get(self, order_id: str = "order_1", rest: str = "") -> Any:
        status, body = await self.call("GET", f"/pg/orders/{order_id}{rest}")
        assert status == 200, body
        return body

    async def control(self, path: str, json: Any = None, method: str = "POST") -> Any:
        status, body = await self.call(method, "/control" + path, json if json is not None or method == "GET" else {})
        assert status < 300, body
        return body

    async def pay(self, order_id: str = "order_1", **command: Any) -> dict[str, Any]:
        return dict(await self.control(f"/orders/{order_id}/pay", command))

    async def until(self, condition: Callable[[], Awaitable[bool]], seconds: float = 5) -> None:
        async with asyncio.timeout(seconds):
            while not await condition():
                await asyncio.sleep(0.01)


class RazorpayShop(Shop):
    """The same merchant's view of Razorpay."""

    key = (RAZORPAY["razorpay_key_id"], RAZORPAY["razorpay_key_secret"])

    @classmethod
    def of(cls, shop: Shop) -> "RazorpayShop":
        return cls(shop.http, shop.base_url, shop.receiver)

    @property
    def authorization(self) -> str:
        return aiohttp.encode_basic_auth(*self.key)

    async def ask(self, method: str, path: str, json: Any = None, **headers: str) -> tuple[int, Any]:
        """The status and decoded body of a call of the API."""
        return await self.call(
            method, "/razorpay/v1" + path, json, headers={"authorization": self.authorization} | headers
        )

    async def fetch(self, path: str) -> Any:
        status, body = await self.ask("GET", path)
        assert status == 200, body
        return body

    async def create(self, **changes: Any) -> dict[str, Any]:
        fields = {"amount": 17_000, "currency": "INR", "receipt": "receipt_1"} | changes
        request = {name: value for name, value in fields.items() if value is not None}
        status, order = await self.ask("POST", "/orders", request)
        assert status == 200, order
        return dict(order)

    async def control(self, path: str, json: Any = None, method: str = "POST") -> Any:
        status, body = await self.call(
            method, "/razorpay/control" + path, json if json is not None or method == "GET" else {}
        )
        assert status < 300, body
        return body

    async def pay(self, order_id: str = "receipt_1", **command: Any) -> dict[str, Any]:
        return dict(await self.control(f"/orders/{order_id}/pay", command))

    async def events(self, count: int) -> list[str]:
        """The events that came, sorted, once there are *count*."""
        return sorted(it["event"] for it in await self.receiver.wait_for(count))


class _Server(uvicorn.Server):
    """Stops when asked to, instead of at its next tick: there is one per test."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.stop = asyncio.Event()

    async def main_loop(self) -> None:
        await self.stop.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for server in self.servers:
            server.close()
        for connection in list(self.server_state.connections):
            connection.shutdown()
        await self.lifespan.shutdown()


@asynccontextmanager
async def running(**settings: Any) -> AsyncIterator[Shop]:
    """A sandbox with these settings, and a shop as its client."""
    chosen: dict[str, Any] = {
        "app_id": APP_ID,
        "secret_key": SECRET_KEY,
        "webhook_secret": "",
        "webhook_url": "",
        "test_mode": True,
        "test_delay_ms": 30,
        "test_success": True,
        "seed": 7,
        "webhook_retry_ms": "20,20,20",
        **RAZORPAY,
        "razorpay_webhook_secret": "rzp_webhook_secret",
    }
    receiver = Receiver()
    endpoint = web.Application()
    endpoint.router.add_post("/hook", receiver.take)
    runner = web.AppRunner(endpoint)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    receiver.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
    chosen["razorpay_webhook_url"] = receiver.url
    server = _Server(
        uvicorn.Config(
            application(Settings(**(chosen | settings))), port=0, http=Http, log_level="warning", access_log=False
        )
    )
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.005)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        async with aiohttp.ClientSession() as http:
            yield Shop(http, f"http://127.0.0.1:{port}", receiver)
    finally:
        server.stop.set()
        await serving
        await runner.cleanup()


@pytest.fixture
async def shop() -> AsyncIterator[Shop]:
    """A merchant at a sandbox in TEST_MODE: payments succeed after 30 ms."""
    async with running() as it:
        yield it


@pytest.fixture
async def razorpay(shop: Shop) -> RazorpayShop:
    """The same merchant at Razorpay."""
    return RazorpayShop.of(shop)


@pytest.fixture
def sandbox_running() -> Callable[..., Any]:
    """For tests that need settings of their own: ``async with sandbox_running(quotas=True) as shop``."""
    return running
