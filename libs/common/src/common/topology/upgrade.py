"""Replaces what an earlier release declared otherwise, and loses no message on the way.

Neither the type of an exchange nor the arguments of a queue can change in place. The messages of a queue are copied to
another one, each confirmed before it is acknowledged; the queue is deleted when it is empty and made anew. The next
run finishes an interrupted one. Copies carry the migrator's user-id, which consumers accept by the
requeue exchange. A message may arrive twice; the inbox claims it once.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from aio_pika import DeliveryMode, Message
from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractIncomingMessage
from aiormq.exceptions import ChannelLockedResource, ChannelNotFoundEntity, ChannelPreconditionFailed
from loguru import logger

from common.broker_urls import connect, user_of
from common.topology.contract import CONTRACT, REQUEUE, Queue
from common.topology.declarations import declare, declare_exchanges, declare_queue, declare_tier, queue_arguments
from common.topology.retry_tiers import retry_queues

# An exclusive queue: only the process that holds it changes the topology.
TURN = "migrate.turn"
TURN_SECONDS_MAX = 120.0
# Consumers of a queue that is replaced must be gone: what they hold would be lost with it.
CONSUMERS_SECONDS_MAX = 60.0
# What has expired is on its way home and counted nowhere; it takes milliseconds while the home queue is there.
SETTLE_SECONDS = 1.0


class QueueInUse(RuntimeError):
    """A queue has to be replaced and is consumed. Stop the service that consumes it, then migrate again."""


async def upgrade(url: str, retry_schedule_ms: Sequence[int]) -> None:
    """Declare the whole contract, and first replace what cannot become it. Raises QueueInUse.

    *url* is the migrator's, or several of it to the nodes of a cluster. Safe to run several times and several at once.
    """
    connection = await connect(url, timeout_seconds=10)
    user = user_of(url)
    async with connection, _turn(connection):
        async with connection.channel() as channel:
            await declare_exchanges(channel)
        # Before any tier sends home by the requeue exchange: what finds no queue there waits for minutes.
        for queue in CONTRACT.queues:
            await _address(connection, queue)
        for ttl_ms in retry_schedule_ms:
            await _replace_tier(connection, ttl_ms, user)
        for queue in CONTRACT.queues:
            await _replace_queue(connection, queue, user)
        async with connection.channel() as channel:
            await declare(channel, retry_schedule_ms)


@asynccontextmanager
async def _turn(connection: AbstractConnection) -> AsyncIterator[None]:
    async with asyncio.timeout(TURN_SECONDS_MAX):
        while True:
            # A refusal closes its channel.
            channel = await connection.channel()
            try:
                turn = await channel.declare_queue(TURN, exclusive=True, arguments={"x-queue-type": "classic"})
                break
            except ChannelLockedResource:
                await asyncio.sleep(0.2)
    try:
        yield
    finally:
        await turn.delete(if_unused=False, if_empty=False)
        await channel.close()


async def _address(connection: AbstractConnection, queue: Queue) -> None:
    """Bind the queues that are there already to the requeue exchange, by their names."""
    for name in (queue.name, queue.dead_letters):
        if await _exists(connection, name):
            async with connection.channel() as channel:
                await (await channel.get_queue(name, ensure=False)).bind(REQUEUE, name)


async def _replace_tier(connection: AbstractConnection, ttl_ms: int, user: str) -> None:
    """Replace the tier of a release before topic tiers: one fanout exchange, dead-lettering to the default exchange."""
    shorter, name, longer = retry_queues(ttl_ms)
    async with connection.channel() as channel:
        for other in (shorter, longer):
            await declare_tier(channel, other)
    channel = await connection.channel()
    try:
        await declare_tier(channel, name)
    except ChannelPreconditionFailed:
        logger.info("replacing the retry tier {}", name)
    else:
        return
    finally:
        await channel.close()
    async with connection.channel(on_return_raises=True) as channel:
        # From here on publishers are refused and publish again later.
        await channel.exchange_delete(name)
        if await _exists(connection, name):
            await _until_unused(connection, name)
            await _copy(channel, name, longer, None, user)
            await asyncio.sleep(SETTLE_SECONDS)
            await channel.queue_delete(name)
        await declare_tier(channel, name)


async def _replace_queue(connection: AbstractConnection, queue: Queue, user: str) -> None:
    moving = queue.name + ".moving"
    channel = await connection.channel()
    try:
        await declare_queue(channel, queue)
    except ChannelPreconditionFailed:
        logger.info("replacing the queue {}", queue.name)
        await _empty(connection, queue, moving, user)
    finally:
        await channel.close()
    if not await _exists(connection, moving):
        return
    async with connection.channel(on_return_raises=True) as channel:
        await declare_queue(channel, queue)
        aside = await channel.get_queue(moving, ensure=False)
        for exchange, key in (*queue.bindings, (REQUEUE, queue.name)):
            await aside.unbind(exchange, key)
        await _copy(channel, moving, REQUEUE, queue.name, user)
        await channel.queue_delete(moving)


async def _empty(connection: AbstractConnection, queue: Queue, moving: str, user: str) -> None:
    """Have another queue take what is announced to *queue*, copy what lies in it, and delete it."""
    async with connection.channel(on_return_raises=True) as channel:
        aside = await channel.declare_queue(moving, durable=True, arguments=queue_arguments())
        home = await channel.get_queue(queue.name, ensure=False)
        for exchange, key in (*queue.bindings, (REQUEUE, queue.name)):
            await aside.bind(exchange, key)
            await home.unbind(exchange, key)
        await _until_unused(connection, queue.name)
        await _copy(channel, queue.name, "", moving, user)
        await channel.queue_delete(queue.name)


async def _until_unused(connection: AbstractConnection, name: str) -> None:
    try:
        async with asyncio.timeout(CONSUMERS_SECONDS_MAX), connection.channel() as channel:
            while True:
                looked_at = await channel.declare_queue(name, passive=True)
                if not looked_at.declaration_result.consumer_count:
                    return
                await asyncio.sleep(0.5)
    except TimeoutError:
        raise QueueInUse(f"{name} has to be replaced and is consumed: stop its service, then migrate again") from None


async def _copy(channel: AbstractChannel, source: str, exchange: str, routing_key: str | None, user: str) -> None:
    """Everything in *source* to *exchange*, under its own key unless *routing_key* is given."""
    queue = await channel.get_queue(source, ensure=False)
    target = await channel.get_exchange(exchange, ensure=False) if exchange else channel.default_exchange
    count = 0
    while (message := await queue.get(fail=False)) is not None:
        await target.publish(_copied(message, user), routing_key or message.routing_key or "", mandatory=True)
        await message.ack()
        count += 1
    logger.info("{} messages copied from {}", count, source)


def _copied(message: AbstractIncomingMessage, user: str) -> Message:
    return Message(
        message.body,
        # RabbitMQ drops silently on an inherited x-death.
        headers={name: value for name, value in message.headers.items() if not name.startswith("x-")},
        type=message.type,
        message_id=message.message_id,
        delivery_mode=DeliveryMode.PERSISTENT,
        user_id=user,
    )


async def _exists(connection: AbstractConnection, name: str) -> bool:
    channel = await connection.channel()
    try:
        await channel.declare_queue(name, passive=True)
    except ChannelNotFoundEntity:
        return False
    finally:
        await channel.close()
    return True
