"""What an earlier release declared is replaced, and every message in it is there afterwards."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from urllib.parse import urlsplit
from uuid import UUID

import aio_pika
import pytest
import pytest_asyncio
from aio_pika.abc import AbstractChannel, ExchangeType
from aiormq.exceptions import ChannelPreconditionFailed

from common import admission, bootstrap, envelopes, topology
from common.envelopes import Delivery
from common.testing import Stack
from common.topology import CONTRACT, MIGRATOR, REQUEUE, retry_queues, upgrade
from common.topology.upgrade import QueueInUse

QUEUE = "wallet.credit"
COUNT = 200
SCHEDULE_MS = (3_000, 60_000)


@pytest_asyncio.fixture
async def old_broker(stack: Stack, vhost: str) -> AsyncIterator[str]:
    """The migrator's URL of a vhost as the release before left it."""
    name = f"{vhost}_old"
    await bootstrap.broker(stack.management_url, name, {MIGRATOR: stack.broker_password(MIGRATOR)}, SCHEDULE_MS)
    scheme, _, address = stack.amqp_url.partition("://")
    url = f"{scheme}://{MIGRATOR}:{stack.broker_password(MIGRATOR)}@{address.rpartition('@')[2]}/{name}"
    async with await aio_pika.connect(url) as connection, connection.channel() as channel:
        await _declare_as_before(channel)
    yield url
    async with bootstrap.management(stack.management_url) as api:
        await api.delete(f"/api/vhosts/{name}")


async def _declare_as_before(channel: AbstractChannel) -> None:
    dead_lettering = {
        "x-queue-type": "quorum",
        "x-dead-letter-exchange": "",
        "x-dead-letter-strategy": "at-least-once",
        "x-overflow": "reject-publish",
    }
    for name in CONTRACT.exchanges:
        await channel.declare_exchange(name, ExchangeType.TOPIC, durable=True)
    for ttl_ms in SCHEDULE_MS:
        name = f"retry.{ttl_ms}ms"
        tier = await channel.declare_exchange(name, ExchangeType.FANOUT, durable=True)
        waiting = await channel.declare_queue(name, durable=True, arguments=dead_lettering | {"x-message-ttl": ttl_ms})
        await waiting.bind(tier)
    for queue in CONTRACT.queues:
        dead = await channel.declare_queue(
            queue.dead_letters, durable=True, arguments={"x-queue-type": "quorum", "x-delivery-limit": 50}
        )
        assert dead
        arguments = dead_lettering | {"x-delivery-limit": 50, "x-dead-letter-routing-key": queue.dead_letters}
        home = await channel.declare_queue(queue.name, durable=True, arguments=arguments)
        for exchange, key in queue.bindings:
            await home.bind(exchange, key)


async def _put(url: str, exchange: str, key: str, names: Sequence[str]) -> None:
    async with await aio_pika.connect(url) as connection:
        channel = await connection.channel()
        target = await channel.get_exchange(exchange, ensure=False) if exchange else channel.default_exchange
        for name in names:
            message = aio_pika.Message(
                name.encode(), message_id=name, headers={"attempt": 2, "x-death": "inherited"}, delivery_mode=2
            )
            await target.publish(message, key)


async def _arrived(url: str, queue: str, names: Sequence[str]) -> list[aio_pika.abc.AbstractIncomingMessage]:
    """What comes out of *queue* until all *names* have; some may come twice."""
    messages: list[aio_pika.abc.AbstractIncomingMessage] = []
    missing = set(names)
    async with await aio_pika.connect(url) as connection, asyncio.timeout(40):
        waiting = await (await connection.channel()).get_queue(queue, ensure=False)
        while missing:
            if (message := await waiting.get(fail=False)) is None:
                await asyncio.sleep(0.1)
                continue
            await message.ack()
            messages.append(message)
            missing.discard(message.body.decode())
    return messages


def _delivery(message: aio_pika.abc.AbstractIncomingMessage) -> Delivery:
    delivery = envelopes.read(message.body, message.headers, message.message_id)
    delivery.user_id, delivery.exchange = message.user_id or "", message.exchange or ""
    delivery.routing_key = message.routing_key or ""
    return delivery


async def test_without_it_the_new_topology_cannot_be_declared(old_broker: str) -> None:
    async with await aio_pika.connect(old_broker) as connection:
        with pytest.raises(ChannelPreconditionFailed):
            await topology.declare(await connection.channel(), SCHEDULE_MS)


async def test_a_fresh_broker_needs_nothing_before(stack: Stack, vhost: str) -> None:
    name = f"{vhost}_fresh"
    await bootstrap.broker(stack.management_url, name, {MIGRATOR: stack.broker_password(MIGRATOR)}, SCHEDULE_MS)
    scheme, _, address = stack.amqp_url.partition("://")
    url = f"{scheme}://{MIGRATOR}:{stack.broker_password(MIGRATOR)}@{address.rpartition('@')[2]}/{name}"
    try:
        await asyncio.gather(*(upgrade(url, SCHEDULE_MS) for _ in range(2)))
        async with await aio_pika.connect(url) as connection:
            await topology.check(await connection.channel(), "wallet", SCHEDULE_MS)
    finally:
        async with bootstrap.management(stack.management_url) as api:
            await api.delete(f"/api/vhosts/{name}")


@pytest.mark.timeout(300)
async def test_every_message_is_there_afterwards(old_broker: str, stack: Stack) -> None:
    """In home queues, in tiers, expiring just then, in dead letters; two migrates at once."""
    names = {place: [f"{place}-{number}" for number in range(COUNT)] for place in ("home", "soon", "later", "dead")}
    await _put(old_broker, "", QUEUE, names["home"])
    await _put(old_broker, "", f"{QUEUE}.dlq", names["dead"])
    await _put(old_broker, "retry.60000ms", QUEUE, names["later"])
    await _put(old_broker, "retry.3000ms", QUEUE, names["soon"])
    await asyncio.gather(*(upgrade(old_broker, SCHEDULE_MS) for _ in range(2)))
    home = await _arrived(old_broker, QUEUE, [*names["home"], *names["soon"]])
    moved = [message for message in home if message.body.decode() in names["home"]]
    assert {(message.exchange, message.routing_key, message.user_id) for message in moved} == {
        (REQUEUE, QUEUE, MIGRATOR)
    }
    assert {message.headers.get("attempt") for message in moved} == {2}
    assert not any("x-death" in message.headers for message in moved)
    dead = await _arrived(old_broker, f"{QUEUE}.dlq", names["dead"])
    assert {message.message_id for message in dead} == {*names["dead"]}
    # They lay there already, under no name, and are kept; in the home queue such a message is forged.
    kept, handled = (
        make(CONTRACT.queue(QUEUE), verifies_user=True) for make in (admission.of_dead_letters, admission.of_queue)
    )
    assert all(kept.admits(_delivery(message)) for message in dead)
    assert all(handled.admits(_delivery(message)) for message in moved)
    assert not handled.admits(Delivery(UUID(int=1), "", "", "", 0, [], 0, 0, "", "", 0, routing_key=QUEUE))
    longest = retry_queues(60_000)[-1]
    async with await aio_pika.connect(old_broker) as connection:
        kept = await (await connection.channel()).declare_queue(longest, passive=True)
        assert kept.declaration_result.message_count == COUNT
        # The new topology stands, whole, and again without effect.
        await topology.declare(await connection.channel(), SCHEDULE_MS)
    await upgrade(old_broker, SCHEDULE_MS)


@pytest.mark.timeout(300)
async def test_a_run_that_was_cut_off_is_finished_by_the_next(old_broker: str, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [f"home-{number}" for number in range(50)]
    await _put(old_broker, "", QUEUE, names)
    real = topology.upgrade.__globals__["_exists"]

    async def cut_off(connection: aio_pika.abc.AbstractConnection, name: str) -> bool:
        if name == f"{QUEUE}.moving":
            raise ConnectionError("the machine went down")
        return bool(await real(connection, name))

    monkeypatch.setitem(topology.upgrade.__globals__, "_exists", cut_off)
    with pytest.raises(ConnectionError):
        await upgrade(old_broker, SCHEDULE_MS)
    # Announced while it was cut off: it is in the queue that stands in for the home queue.
    await _put(old_broker, "payment.exchange", "payment.success", ["meanwhile"])
    monkeypatch.undo()
    await upgrade(old_broker, SCHEDULE_MS)
    await _arrived(old_broker, QUEUE, [*names, "meanwhile"])


async def test_a_queue_that_is_consumed_is_not_replaced(old_broker: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What its consumer holds would be lost."""
    monkeypatch.setitem(topology.upgrade.__globals__, "CONSUMERS_SECONDS_MAX", 0.2)
    async with await aio_pika.connect(old_broker) as connection:
        waiting = await (await connection.channel()).get_queue("webhook.processing", ensure=False)
        await waiting.consume(_hold)
        with pytest.raises(QueueInUse, match=r"webhook\.processing"):
            await upgrade(old_broker, SCHEDULE_MS)
    await upgrade(old_broker, SCHEDULE_MS)


async def _hold(message: aio_pika.abc.AbstractIncomingMessage) -> None:
    await asyncio.sleep(0)


async def test_the_next_node_of_a_cluster_is_asked_when_one_is_away(old_broker: str) -> None:
    address = urlsplit(old_broker).netloc.rpartition("@")[2]
    away = old_broker.replace(address, "127.0.0.1:1")
    await upgrade(f"{away},{old_broker}", SCHEDULE_MS)
    async with await aio_pika.connect(old_broker) as connection, connection.channel() as channel:
        await topology.check(channel, "wallet", SCHEDULE_MS)
