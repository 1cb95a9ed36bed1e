"""A second service to reconcile with: payment's name, common's tables, its own announcements and totals."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Protocol

import msgspec
import pytest
import pytest_asyncio
from google.protobuf.message import Message

from commdesk.common.v1.common_pb2 import Money
from commdesk.payment.v1.events_pb2 import AnalyticsPaymentSucceeded
from common import bootstrap, database_urls, ids, migrations, outbox, runtime
from common.database import Database, Tx
from common.guards import Guards
from common.runtime import Resources, Service
from common.settings import ServiceSettings
from common.testing import BrokerUrlOf, Stack, free_port

# A schema and its roles beside the reconciler's in the test's database.
PEER = {"peer": "of-peer-in-tests", "peer_owner": "of-peer_owner-in-tests"}
MICROS = 1_767_225_600_000_000  # 2026-01-01 00:00 UTC


class Peer(msgspec.Struct):
    """The other service, running. Mutable: a test says what its totals are."""

    db: Database
    address: str
    totals: dict[str, int] = {}

    async def announce(self, events: Sequence[Message]) -> None:
        """Commit the announcement and wait for the broker to have it."""
        async with self.db.begin() as tx:
            await outbox.append(tx, events)
        async with asyncio.timeout(10):
            while await self.count("outbox where published_at is null"):
                await asyncio.sleep(0.02)

    async def count(self, what: str) -> int:
        async with self.db.begin() as tx:
            return int((await tx.execute(f"select count(*) from {what}")).scalar_one())


@pytest_asyncio.fixture
async def peer(
    stack: Stack,
    database_name: str,
    broker_url_of: BrokerUrlOf,
    settings_env: dict[str, str],
    service_keys: dict[str, str],
) -> AsyncIterator[Peer]:
    """The payment service as far as delivery is concerned, running; it consumes nothing."""
    await bootstrap.database(stack.superuser_url, database_name, PEER)
    urls = {role: database_urls.database_url(stack.superuser_url, database_name, role, PEER[role]) for role in PEER}
    await migrations.migrate(None, urls["peer_owner"], "peer")
    overrides: dict[str, Any] = {
        "database_url": urls["peer"],
        "rabbitmq_url": broker_url_of("payment"),
        "grpc_port": free_port(),
        "http_port": free_port(),
        "service_private_key": service_keys["payment"],
    }
    settings = ServiceSettings(**overrides)
    started: asyncio.Future[Peer] = asyncio.get_running_loop().create_future()

    @asynccontextmanager
    async def service(settings: ServiceSettings, resources: Resources) -> AsyncIterator[Service]:
        running = Peer(resources.db, f"127.0.0.1:{settings.grpc_port}")

        async def totals(tx: Tx) -> dict[str, int]:
            return running.totals

        started.set_result(running)
        yield Service(totals=totals)

    task = asyncio.create_task(runtime.serve("payment", settings, service, Guards.all()))
    task.add_done_callback(lambda _: started.done() or started.cancel())
    yield await started
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


class Successes(Protocol):
    def __call__(self, count: int, amount_minor: int = 50_000, merchant_id: str = "mer_commdesk") -> list[Message]:
        """Analytics events of successful payments."""


@pytest.fixture
def successes() -> Successes:

    def build(count: int, amount_minor: int = 50_000, merchant_id: str = "mer_commdesk") -> list[Message]:
        return [
            AnalyticsPaymentSucceeded(
                event_id=ids.encode("evt", ids.new()),
                time_unix_micros=MICROS,
                merchant_id=merchant_id,
                payment_id=ids.encode("pay", ids.new()),
                amount=Money(minor=amount_minor, currency="INR"),
                gateway="cashfree",
                method="upi",
                pack_id="pack_500",
                duration_micros=1_000,
            )
            for _ in range(count)
        ]

    return build
