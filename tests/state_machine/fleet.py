"""payment, wallet and ledger in this process, around one database and a real simulator of the gateway.

The test is their broker: it reads the outboxes, hands each envelope to the queues that it is routed to, in an order
that is drawn, and executes what is due.
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, cast
from unittest.mock import patch

import httpx
from msgspec import Struct

from commdesk.wallet.v1 import wallet_pb2
from commdesk.wallet.v1.wallet_pb2_grpc import WalletServiceStub
from common import envelopes, ids
from common.clock import FakeClock
from common.guards import Guards
from common.runtime import opened
from common.settings import ServiceSettings, read
from common.testing import Served
from common.testing.in_process import serving
from common.topology import CONTRACT, DEAD_LETTERS, matches
from ledger.__main__ import service as ledger_service
from ledger.settings import Settings as LedgerSettings
from payment.__main__ import service as payment_service
from payment.settings import Settings as PaymentSettings
from services.payment.tests.integration.world import Neighbours, WebhookReceiver, World
from tests.state_machine.database import SERVICES, ScratchDatabase
from wallet.__main__ import service as wallet_service
from wallet.settings import Settings as WalletSettings

ROUNDS_MAX = 80
WEBHOOKS_SECONDS = 5.0
_BUILDS: dict[str, tuple[Any, Any]] = {
    "wallet": (WalletSettings, wallet_service),
    "ledger": (LedgerSettings, ledger_service),
    "payment": (PaymentSettings, payment_service),
}


class Envelope(Struct, frozen=True):
    """What a queue of a service is handed."""

    service: str
    queue: str
    body: bytes
    headers: Mapping[str, Any]

    @property
    def kind(self) -> tuple[str, str]:
        """Its queue, and the type of its events."""
        return self.queue, envelopes.read(self.body, self.headers).type


class MovableClock:
    """The machine's time, moved on by a test and set back before the next example."""

    def __init__(self) -> None:
        self._ahead = self._ever = 0.0

    def now(self) -> datetime:
        return datetime.now(UTC) + timedelta(seconds=self._ahead)

    def monotonic(self) -> float:
        return time.monotonic() + self._ever

    def advance(self, seconds: float) -> datetime:
        self._ahead += seconds
        self._ever += seconds
        return self.now()

    def restart(self) -> None:
        self._ahead = 0.0


class Fleet:
    """The services, what lies in their queues, and what was ever announced."""

    def __init__(
        self, served: Mapping[str, Served], world: World, database: ScratchDatabase, clock: MovableClock
    ) -> None:
        self.served = served
        self.clock = clock
        self.world = world
        self.database = database
        self.waiting: list[Envelope] = []
        self.handled: list[Envelope] = []
        self.webhooks_seen = 0
        self._read: dict[str, set[Any]] = {service: set() for service in SERVICES}
        self._wallet = WalletServiceStub(served["wallet"].channel("operator"))  # type: ignore[no-untyped-call]

    async def begin(self) -> None:
        """Forget everything: the next example begins."""
        for served in self.served.values():
            for batcher in served.service.batchers():
                await batcher.drain()
        self.clock.restart()
        await self.world.redis.flushdb()
        await self.database.empty()
        await self.world.sandbox.post("/control/reset", json={})
        self.world.hooks.clear()
        self.waiting, self.handled, self.webhooks_seen = [], [], 0
        self._read = {service: set() for service in SERVICES}

    # ── The broker ───────────────────────────────────────────────────────────────────────────────────────────────

    async def collect(self) -> int:
        """Take over what was announced since, for every queue that it is routed to; how many envelopes."""
        count = 0
        for service in SERVICES:
            rows = await self.database.admin.fetch(
                f"select envelope_id, exchange, routing_key, body, headers::text as headers from {service}.outbox"
                " where not envelope_id = any($1) order by envelope_id",
                list(self._read[service]),
            )
            for row in rows:
                self._read[service].add(row["envelope_id"])
                count += 1
                for owner, queue in _routes(service, row["exchange"], row["routing_key"]):
                    self.waiting.append(Envelope(owner, queue, row["body"], json.loads(row["headers"] or "{}")))
        return count

    async def deliver(self, envelope: Envelope, *, resealed: bool = False) -> None:
        """Hand it to its queue; *resealed*: under an envelope id that no inbox knows."""
        delivery = envelopes.read(envelope.body, envelope.headers)
        if resealed:
            delivery = _replaced(delivery, ids.new())
        await self.served[envelope.service].deliver(envelope.queue, [delivery])

    async def drain(self, random: Random) -> None:
        """Until nothing is under way: no event, no intent, no webhook. Raises TimeoutError."""
        for _ in range(ROUNDS_MAX):
            worked = await self.collect()
            waiting, self.waiting = self.waiting, []
            random.shuffle(waiting)
            for envelope in waiting:
                await self.deliver(envelope)
                self.handled.append(envelope)
            worked += len(waiting) + await self._execute() + await self._webhooks(random)
            worked += await self._jobs()
            if not worked:
                return
        raise TimeoutError("it never came to rest")

    async def _execute(self) -> int:
        count = 0
        for service in SERVICES:
            left = await self.database.admin.fetchval(f"select count(*) from {service}.intents where done_at is null")
            if not left:
                continue
            count += left
            await self.database.admin.execute(
                f"update {service}.intents set due_at = now(), leased_until = null where done_at is null"
            )
            for intents in self.served[service].service.intents():
                await intents.run_once()
        return count

    async def _webhooks(self, random: Random) -> int:
        """Hand over what the gateway sent since, in another order; wait for what it is about to send."""
        await self.until_sent()
        bodies = self.world.hooks[self.webhooks_seen :]
        self.webhooks_seen += len(bodies)
        random.shuffle(bodies)
        for body in bodies:
            await self.world.deliver(body)
        return len(bodies)

    async def _jobs(self) -> int:
        due = await self.database.admin.fetchval("select count(*) from payment.dispute_checks")
        if due:
            await self.served["payment"].run_job("dispute_checks")
        left = await self.database.admin.fetchval("select count(*) from payment.dispute_checks")
        return int(due - left)

    async def until_sent(self) -> None:
        """Until the gateway has no webhook to send."""
        ends = asyncio.get_running_loop().time() + WEBHOOKS_SECONDS
        await asyncio.sleep(0.015)
        while asyncio.get_running_loop().time() < ends:
            stats = (await self.world.sandbox.get("/control/stats")).json()
            if not stats.get("data", stats)["webhooks"]["pending"]:
                return
            await asyncio.sleep(0.01)

    # ── What a test does ─────────────────────────────────────────────────────────────────────────────────────────

    async def spend(self, user_id: str, credits: int, key: str) -> None:
        """Credits of a member; a refusal is an answer too."""
        owner = wallet_pb2.Owner(merchant_id="mer_commdesk", kind="USER", id=user_id)
        item = wallet_pb2.Consumption(
            operation_key=key, owner=owner, credits=credits, purpose="platform.boost", source_id=key
        )
        await self._wallet.ConsumeCredits(wallet_pb2.ConsumeCreditsRequest(items=[item]), timeout=5)

    async def refund(self, payment: dict[str, Any], amount: int, reason: str, key: str) -> httpx.Response:
        body = {"paymentId": payment["paymentId"], "reason": reason, "amount": amount}
        headers = self.world.auth("usr_finance", "FINANCE") | {"idempotency-key": key}
        return await self.world.http.post("/api/v1/refunds/initiate", json=body, headers=headers)

    async def control(self, path: str, **command: Any) -> httpx.Response:
        return await self.world.sandbox.post(f"/control/{path}", json=command)


def _routes(service: str, exchange: str, key: str) -> list[tuple[str, str]]:
    """The queues of these services that the broker would bring it to."""
    if exchange not in CONTRACT.exchanges:
        # To a retry tier and home again, or to the dead letters.
        assert not key.endswith(DEAD_LETTERS), f"a dead letter of {key}"
        return [(service, key)]
    return [
        (queue.owner, queue.name)
        for queue in CONTRACT.queues
        if queue.owner in SERVICES
        and any(exchange == bound and matches(pattern, key) for bound, pattern in queue.bindings)
    ]


def _replaced(delivery: Any, envelope_id: Any) -> Any:
    delivery.envelope_id = envelope_id
    return delivery


@asynccontextmanager
async def open_fleet(
    database: ScratchDatabase,
    environment: Mapping[str, str],
    keys: dict[str, str],
    access_token: Any,
    signer: Any,
    sandbox_url: str,
    receiver: WebhookReceiver,
    guards: Guards,
) -> AsyncIterator[Fleet]:
    """Start the services, each as its `__main__` builds it. *environment* is what they share."""
    clock = MovableClock()
    neighbours = Neighbours()
    await neighbours.server.start()
    served: dict[str, Served] = {}
    async with AsyncExitStack() as entered:
        entered.push_async_callback(neighbours.server.stop, 0)
        sandbox = await entered.enter_async_context(httpx.AsyncClient(base_url=sandbox_url))
        addresses = dict.fromkeys(("IDENTITY_ADDRESS", "FRAUD_ADDRESS"), f"127.0.0.1:{neighbours.port}")
        for name, (settings_type, build) in _BUILDS.items():
            if name == "payment":
                addresses["WALLET_ADDRESS"] = f"127.0.0.1:{served['wallet'].port}"
            own = {"DATABASE_URL": database.url_of(name), "SERVICE_PRIVATE_KEY": keys[name]}
            with patch.dict("os.environ", {**environment, **addresses, **own}):
                base, settings = read(ServiceSettings), read(settings_type)
            resources = await entered.enter_async_context(opened(base, name, guards, clock=clock))
            resources.user_tokens.accept({"tests": signer.public_key()})
            resources.user_tokens.revocations.confirm(float("inf"), token_life_seconds=float("inf"))
            value = await entered.enter_async_context(build(settings, resources))
            served[name] = await entered.enter_async_context(serving(value, resources, name, keys))
        await database.keep_what_is_there()
        # It moves on as a FakeClock does.
        world = World(served["payment"], cast(FakeClock, clock), sandbox, neighbours, receiver, access_token)
        yield Fleet(served, world, database, clock)
