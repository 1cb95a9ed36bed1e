"""The service around real engines, the sandbox gateway as a process, and gRPC neighbours that answer."""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import UTC, datetime
from itertools import repeat
from typing import Any

import grpc
import httpx
import jwt
import pytest
import pytest_asyncio
from aiohttp import web

from commdesk.common.v1.common_pb2 import Money as MoneyMessage
from commdesk.fraud.v1 import fraud_pb2, fraud_pb2_grpc
from commdesk.wallet.v1 import wallet_pb2, wallet_pb2_grpc
from commdesk.webhook_ingest.v1.events_pb2 import WebhookReceived
from common import http_server, ids
from common.clock import FakeClock
from common.database import Database
from common.envelopes import Delivery
from common.handling import QueueHandler
from common.testing import free_port, published
from common.tokens import UserTokens
from gateways import Gateway, GatewayAccount
from gateways.registry import open_gateways
from payment import consumers
from payment.domain import TaxRule, Terms
from payment.gateways.fraud import FraudScores
from payment.gateways.packs import Packs
from payment.routes import Routes
from payment.use_cases import CallLog, Cancellation, Creation, Inquiry, Policy, Sweep, Tariff, Verification

APP_ID, SECRET = "TEST_payment", "cfsk_ma_test_payment"
JWT_SECRET = "an-hs256-secret-for-these-tests-only"
LADDER_MS = (100, 200)


@pytest.fixture(scope="session")
def sandbox_account() -> tuple[str, str]:
    return APP_ID, SECRET


@pytest.fixture(scope="session")
def sandbox_url() -> Iterator[str]:
    """The sandbox gateway on a port of its own."""
    port = free_port()
    environment = os.environ | {
        "SANDBOX_PORT": str(port),
        "CASHFREE_APP_ID": APP_ID,
        "CASHFREE_SECRET_KEY": SECRET,
        "SANDBOX_WEBHOOK_RETRY_MS": "200",
    }
    process = subprocess.Popen([sys.executable, "-m", "sandbox"], env=environment)
    url = f"http://127.0.0.1:{port}"
    try:
        for _ in range(100):
            try:
                if httpx.get(f"{url}/health", timeout=1).status_code == 200:
                    break
            except httpx.HTTPError:
                time.sleep(0.1)
        else:
            pytest.fail("the sandbox did not come up")
        yield url
    finally:
        process.terminate()
        process.wait(10)


class Fraud(fraud_pb2_grpc.FraudServiceServicer):
    """Answers what a test told it to."""

    def __init__(self) -> None:
        self.decision = fraud_pb2.DECISION_ALLOW
        self.delays_seconds: Iterator[float] = repeat(0.0)
        self.calls = 0
        # Payment id → the key of its request; a payment may be asked about twice.
        self.request_keys: dict[str, str] = {}

    async def Score(self, request: fraud_pb2.ScoreRequest, context: Any) -> fraud_pb2.ScoreResponse:
        self.calls += 1
        self.request_keys |= {subject.payment_id: subject.request_key for subject in request.subjects}
        await asyncio.sleep(next(self.delays_seconds))
        score = fraud_pb2.Score(score=420, decision=self.decision, reasons=["velocity"])
        return fraud_pb2.ScoreResponse(scores=[score] * len(request.subjects))


class Wallet(wallet_pb2_grpc.WalletServiceServicer):
    def __init__(self) -> None:
        self.calls = 0

    async def ListPacks(self, request: wallet_pb2.ListPacksRequest, context: Any) -> wallet_pb2.ListPacksResponse:
        self.calls += 1
        pack = wallet_pb2.Pack(
            pack_id="pack_500",
            version=1,
            name="₹500",
            price=MoneyMessage(minor=50_000, currency="INR"),
            credits_paid=5_000,
            credits_bonus=500,
        )
        return wallet_pb2.ListPacksResponse(packs=[pack])


class World:
    """The service, and hands to poke it with."""

    http: httpx.AsyncClient
    sandbox: httpx.AsyncClient
    db: Database
    clock: FakeClock
    creation: Creation
    cancellation: Cancellation
    sweep: Sweep
    calls: CallLog
    gateway: Gateway
    handlers: dict[str, QueueHandler]
    fraud: Fraud
    wallet: Wallet
    # Raw webhook bodies, as the sandbox sent them.
    hooks: list[bytes]
    jwt_secret = JWT_SECRET

    async def create(self, *, user: str = "usr_asha", key: str = "", **body: Any) -> httpx.Response:
        """POST /payments/create of the ₹500 pack unless told otherwise."""
        if "amount" not in body and "packId" not in body:
            body["packId"] = "pack_500"
        headers = self.auth(user) | ({"idempotency-key": key} if key else {})
        return await self.http.post("/api/v1/payments/create", json=body, headers=headers)

    async def created(self, **body: Any) -> dict[str, Any]:
        response = await self.create(**body)
        assert response.status_code == 201, response.text
        data: dict[str, Any] = response.json()["data"]
        return data

    def auth(self, user: str = "usr_asha", *roles: str, merchant: str = "mer_commdesk") -> dict[str, str]:
        claims = {
            "sub": user,
            "merchant_id": merchant,
            "roles": list(roles),
            "email": f"{user}@example.in",
            "name": "Asha",
            "phone": "9876543210",
            "exp": int(time.time()) + 600,
        }
        return {"authorization": f"Bearer {jwt.encode(claims, JWT_SECRET, 'HS256')}"}

    async def get(
        self, path: str, user: str = "usr_asha", *roles: str, merchant: str = "mer_commdesk"
    ) -> httpx.Response:
        return await self.http.get(f"/api/v1/payments{path}", headers=self.auth(user, *roles, merchant=merchant))

    async def status(self, payment: dict[str, Any]) -> str:
        return str((await self.get(f"/{payment['paymentId']}")).json()["data"]["status"])

    async def pay(self, order_id: str, **command: Any) -> None:
        """Pay at the gateway and wait until its webhook has arrived here."""
        before = len(self.hooks)
        response = await self.sandbox.post(f"/control/orders/{order_id}/pay", json=command)
        assert response.status_code == 200, response.text
        await self.hooks_arrive(before + 1)

    async def hooks_arrive(self, number: int) -> None:
        for _ in range(200):
            if len(self.hooks) >= number:
                return
            await asyncio.sleep(0.02)
        pytest.fail(f"only {len(self.hooks)} of {number} webhooks arrived")

    async def fault(self, **rule: Any) -> None:
        response = await self.sandbox.post("/control/faults", json=rule)
        assert response.status_code == 201, response.text

    async def deliver(self, *bodies: bytes, merchant: str = "mer_commdesk") -> None:
        """Hand webhooks to the queue's handler, as webhook-ingest announces them: one envelope."""
        now = int(time.time() * 1_000_000)
        await self.handle(
            "webhook.processing",
            [
                WebhookReceived(
                    event_id=ids.encode("evt", ids.new()),
                    time_unix_micros=now,
                    merchant_id=merchant,
                    gateway="cashfree",
                    type="?",
                    body=body,
                )
                for body in bodies
            ],
        )

    async def handle(self, queue: str, events: Sequence[Any], *, attempt: int = 0) -> None:
        bodies = [event.SerializeToString() for event in events]
        name = events[0].DESCRIPTOR.full_name
        now = int(time.time() * 1_000_000)
        delivery = Delivery(ids.new(), name, "test", "", now, bodies, attempt, 0, "", "", 0)
        await self.handlers[queue].work([delivery])

    async def announced(self, key: str) -> list[Any]:
        return [event for _, event in await published(self.db, key)]

    async def rows(self, sql: str, **params: Any) -> list[Any]:
        async with self.db.begin() as tx:
            return list((await tx.execute(sql, **params)).all())

    async def forget_hints(self) -> None:
        """Empty Redis, once it has been told everything."""
        await self.creation.answers.writes.drain()
        await self.redis.flushdb()

    async def work_intents(self) -> None:
        """Let everything that is left be due now, and carry it out as the workers do."""
        async with self.db.begin() as tx:
            await tx.execute("update intents set due_at = now(), leased_until = null where done_at is null")
        for intents in (self.creation.orders, self.cancellation.orders):
            for intent in await intents._take(16):
                await intents._carry_out_quietly(intent)

    async def gateway_orders(self) -> int:
        stats = (await self.sandbox.get("/control/stats")).json()
        return int(stats["orders"]["count"] if isinstance(stats["orders"], dict) else stats["orders"])


class Hooks:
    """Where the sandbox sends its webhooks, and their raw bodies as they came."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.bodies: list[bytes] = []


@pytest_asyncio.fixture
async def hooks() -> AsyncIterator[Hooks]:
    port = free_port()
    found = Hooks(f"http://127.0.0.1:{port}/hook")

    async def hook(request: web.Request) -> web.Response:
        found.bodies.append(await request.read())
        return web.Response()

    receiver = web.Application()
    receiver.router.add_post("/hook", hook)
    runner = web.AppRunner(receiver)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    yield found
    await runner.cleanup()


@pytest_asyncio.fixture
async def world(db: Database, redis: Any, sandbox_url: str, hooks: Hooks) -> AsyncIterator[World]:
    world = World()
    world.db, world.redis, world.hooks, world.fraud, world.wallet = db, redis, hooks.bodies, Fraud(), Wallet()
    # The sandbox lives in real time, so ours begins there; tests move it on.
    world.clock = FakeClock(datetime.now(UTC))

    neighbours = grpc.aio.server()
    fraud_pb2_grpc.add_FraudServiceServicer_to_server(world.fraud, neighbours)  # type: ignore[no-untyped-call]
    wallet_pb2_grpc.add_WalletServiceServicer_to_server(world.wallet, neighbours)  # type: ignore[no-untyped-call]
    grpc_port = neighbours.add_insecure_port("127.0.0.1:0")
    await neighbours.start()
    world.calls = CallLog(world.clock)
    account = GatewayAccount(
        id="gwa_cashfree",
        gateway="cashfree",
        base_url=f"{sandbox_url}/pg",
        key_id=APP_ID,
        key_secret=SECRET,
        api_version="2025-01-01",
        notify_url=hooks.url,
    )
    tokens = UserTokens("", JWT_SECRET)
    tariff = Tariff(db)
    await tariff.refresh()
    async with (
        open_gateways([account], world.calls.heard) as gateways,
        grpc.aio.insecure_channel(f"127.0.0.1:{grpc_port}") as channel,
        httpx.AsyncClient(base_url=sandbox_url) as sandbox,
    ):
        await channel.channel_ready()
        gateway = gateways[account.id]
        world.gateway, world.sandbox = gateway, sandbox
        await sandbox.post("/control/reset", json={})
        policy = Policy("fulfil", "http://127.0.0.1:18000")
        inquiry = Inquiry(gateway, timeout_seconds=2)
        world.cancellation = Cancellation(db, world.clock, gateway, inquiry, policy, timeout_seconds=2)
        world.creation = Creation(
            db,
            redis,
            world.clock,
            gateway,
            Packs(wallet_pb2_grpc.WalletServiceStub(channel)),  # type: ignore[no-untyped-call]
            FraudScores(fraud_pb2_grpc.FraudServiceStub(channel), fail_open=True),  # type: ignore[no-untyped-call]
            Terms("cashfree", frozenset({"INR"}), 100, 50_000_000, 1800, 60, TaxRule(1800, True, "29")),
            tariff.rules,
            world.cancellation.orders,
            public_url="http://127.0.0.1:18000",
            timeout_seconds=2,
        )
        verification = Verification(db, redis, world.clock, inquiry, policy)
        world.sweep = Sweep(db, world.clock, inquiry, policy, first_seconds=60, longest_seconds=1800)
        routes = Routes(db, world.creation, verification, world.cancellation, phone_fallback="9999999999").all()
        app = http_server.app(routes, http_server.Door("payment", tokens))
        subscriptions = consumers.subscriptions(db, world.clock, {"cashfree": gateway}, inquiry, policy, "CD")
        world.handlers = {
            queue: QueueHandler(db, queue, [each for each in subscriptions if each.queue == queue], LADDER_MS)
            for queue in {each.queue for each in subscriptions}
        }
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://payment") as client:
            world.http = client
            yield world
    await neighbours.stop(0)
