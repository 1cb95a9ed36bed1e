"""The lags are true while nothing moves: they grow while a consumer is blocked or stopped and the broker is away."""

import asyncio
from collections.abc import Sequence

from prometheus_client import REGISTRY

from commdesk.payment.v1.events_pb2 import PaymentSyncRequested
from common import database_server, metrics, outbox
from common import delivery as delivery_service
from common.database import Database, Tx
from common.queue_handler import QueueHandler
from common.subscriptions import Subscription
from common.testing import RETRY_SCHEDULE_MS
from common.testing.in_process import delivery

QUEUE = "payment.processing"


def lag_seconds() -> float:
    return REGISTRY.get_sample_value("commdesk_queue_lag_seconds", {"queue": QUEUE}) or 0.0


async def test_the_lag_of_a_queue_grows_while_its_handler_is_blocked(db: Database) -> None:
    let_go, entered = asyncio.Event(), asyncio.Event()

    async def handle(tx: Tx, events: Sequence[PaymentSyncRequested]) -> None:
        entered.set()
        await let_go.wait()

    subscription = Subscription(QUEUE, PaymentSyncRequested, lambda message: message, handle)
    handler = QueueHandler(db, QUEUE, [subscription], RETRY_SCHEDULE_MS)
    work = asyncio.create_task(handler.work([delivery([PaymentSyncRequested(payment_id="pay_1")])]))
    await entered.wait()
    before = lag_seconds()
    await asyncio.sleep(0.3)
    assert lag_seconds() >= before + 0.3
    let_go.set()
    await work
    assert lag_seconds() == 0


async def test_the_lag_of_a_queue_grows_while_nothing_is_taken_from_it(db: Database) -> None:
    handler = QueueHandler(db, QUEUE, [], RETRY_SCHEDULE_MS)
    handler.lag.found_waiting(0, consumers=1)
    assert lag_seconds() == 0
    handler.lag.found_waiting(7, consumers=1)
    await asyncio.sleep(0.2)
    handler.lag.found_waiting(9, consumers=1)
    assert lag_seconds() >= 0.2
    assert REGISTRY.get_sample_value("commdesk_queue_messages", {"queue": QUEUE}) == 9
    handler.lag.found_waiting(0, consumers=1)
    assert lag_seconds() == 0


async def test_the_lag_of_the_outbox_grows_while_nothing_is_published(db: Database) -> None:
    lag = metrics.OutboxLag(db.clock)
    lag.found(await delivery_service.oldest_unmarked(db))
    assert lag.seconds() == 0
    async with db.begin() as tx:
        await outbox.append(tx, [PaymentSyncRequested(payment_id="pay_1")])
    lag.found(await delivery_service.oldest_unmarked(db))
    await asyncio.sleep(0.2)
    assert lag.seconds() >= 0.2, "also between two looks at the table"
    assert (REGISTRY.get_sample_value("commdesk_outbox_lag_seconds") or 0) >= 0.2
    async with db.begin() as tx:
        await tx.execute("update outbox set published_at = now()")
    lag.found(await delivery_service.oldest_unmarked(db))
    assert lag.seconds() == 0


async def test_the_server_says_how_many_connections_it_has(db: Database) -> None:
    found = await database_server.figures(db)
    metrics.server_found(found)
    assert 1 <= found.role_connections <= found.connections
    assert found.role_connections_max <= found.connections_max
    assert found.archived_at == 0, "the engines of tests archive nothing"
    assert found.backed_up_at == 0
    exported = REGISTRY.get_sample_value("commdesk_database_connections", {"scope": "role"})
    assert exported == found.role_connections


async def test_connections_of_the_pool_are_counted_when_they_are_read(db: Database) -> None:
    async with db.begin() as tx:
        await tx.execute("select 1")
        assert REGISTRY.get_sample_value("commdesk_database_pool_connections", {"state": "used"}) == 1
    assert REGISTRY.get_sample_value("commdesk_database_pool_connections", {"state": "used"}) == 0
