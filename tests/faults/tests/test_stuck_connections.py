"""Connections to the broker on which nothing moves any more, found out by their heartbeats.

The client library ends everything that waits on such a connection with CancelledError. A consumer that was checking
whether its queue is stuck ended by that without a word, and its queue was consumed by nobody until the next restart.
Found when the whole machine had stood still for longer than the heartbeats allow.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from urllib.parse import urlsplit, urlunsplit

import aio_pika
import pytest
import pytest_asyncio

from common import broker, consuming, ids
from common.broker import BrokerConnection, Publisher
from common.consuming import Consumer
from common.envelopes import Delivery
from common.outbox import Outgoing
from common.topology import REQUEUE
from tests.faults.proxy import NORMAL, FaultProxy, NetworkConditions

QUEUE = "payment.processing"
# The library allows for three heartbeats and three seconds.
STUCK_SECONDS = 9.0


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Heartbeats every second, and a consumer that is looking after its queue when they find out."""
    monkeypatch.setattr(broker, "HEARTBEAT_SECONDS", 1)
    monkeypatch.setattr(consuming, "SILENCE_SECONDS", 3.0)


@pytest_asyncio.fixture
async def proxy(broker_url: str) -> AsyncIterator[FaultProxy]:
    port = urlsplit(broker_url).port
    assert port is not None
    async with FaultProxy(0, port) as between:
        yield between


@pytest.fixture
def detour(broker_url: str, proxy: FaultProxy) -> str:
    parts = urlsplit(broker_url)
    return urlunsplit(parts._replace(netloc=f"{parts.username}:{parts.password}@127.0.0.1:{proxy.port}"))


async def test_a_consumer_outlives_a_connection_that_stands_still(
    detour: str, proxy: FaultProxy, broker_admin_url: str
) -> None:
    worked = asyncio.Event()

    async def work(_: Sequence[Delivery]) -> None:
        worked.set()

    async with BrokerConnection(detour, "test:consume") as connection:
        consumer = Consumer(connection, QUEUE, work)
        running = asyncio.create_task(consumer.run())
        await asyncio.sleep(0.5)
        proxy.conditions = NetworkConditions(black_hole=True)
        await asyncio.sleep(STUCK_SECONDS)
        proxy.conditions = NORMAL
        assert not running.done(), "the consumer ended with the connection"
        async with await aio_pika.connect(broker_admin_url) as other:
            channel = await other.channel()
            await channel.default_exchange.publish(aio_pika.Message(b"anything"), QUEUE)
        async with asyncio.timeout(20):
            await worked.wait()
        consumer.stop()
        async with asyncio.timeout(20):
            await running


async def test_a_publisher_says_that_nothing_was_confirmed(detour: str, proxy: FaultProxy) -> None:
    row = Outgoing(ids.new(), REQUEUE, QUEUE, True, "anything", b"anything", None)
    async with BrokerConnection(detour, "test:publish") as connection:
        publisher = Publisher(connection, timeout_seconds=60)
        assert (await publisher.publish([row])).confirmed == [row.envelope_id]
        proxy.conditions = NetworkConditions(black_hole=True)
        async with asyncio.timeout(2 * STUCK_SECONDS):
            assert (await publisher.publish([row])).confirmed == []
        proxy.conditions = NORMAL
        async with asyncio.timeout(20):
            while not (await publisher.publish([row])).confirmed:
                await asyncio.sleep(0.2)


async def test_who_was_cancelled_is_cancelled() -> None:
    async def waits() -> None:
        with broker.stuck_is_lost():
            await asyncio.sleep(60)

    task = asyncio.create_task(waits())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
