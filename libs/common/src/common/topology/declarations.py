"""What the contract declares at the broker, and what a service checks of it."""

from collections.abc import Sequence

from aio_pika.abc import AbstractChannel, ExchangeType
from aiormq.abc import FieldTable

from common.topology.contract import CONTRACT, REQUEUE, Queue
from common.topology.retry_tiers import delay_ms, retry_queues

# A consumer that is killed counts for every message it had prefetched, so the limit is far above one bad event's tries.
DELIVERY_LIMIT = 50

# What leaves a queue by itself goes to the requeue exchange at least once: the queue keeps it until it has arrived.
# That needs reject-publish; without an explicit strategy RabbitMQ falls back to at most once.
_DEAD_LETTERING: FieldTable = {
    "x-dead-letter-exchange": REQUEUE,
    "x-dead-letter-strategy": "at-least-once",
    "x-overflow": "reject-publish",
}


def queue_arguments() -> FieldTable:
    return {"x-queue-type": "quorum", "x-delivery-limit": DELIVERY_LIMIT}


def home_arguments(queue: Queue) -> FieldTable:
    """A home queue: what exceeds the delivery limit goes to the dead letters."""
    return {**queue_arguments(), **_DEAD_LETTERING, "x-dead-letter-routing-key": queue.dead_letters}


def tier_arguments(ttl_ms: int) -> FieldTable:
    """A queue of a retry tier: what expires goes home under its routing key, the home queue's name."""
    return {"x-queue-type": "quorum", "x-message-ttl": ttl_ms, **_DEAD_LETTERING}


async def declare(channel: AbstractChannel, retry_schedule_ms: Sequence[int]) -> None:
    """Declare the whole contract; idempotent. Only the migrate step and `commdesk doctor --fix` call it.

    Raises ChannelPreconditionFailed when something was declared otherwise before: see `upgrade`.
    """
    await declare_exchanges(channel)
    for ttl_ms in retry_schedule_ms:
        for name in retry_queues(ttl_ms):
            await declare_tier(channel, name)
    for queue in CONTRACT.queues:
        await declare_queue(channel, queue)


async def declare_exchanges(channel: AbstractChannel) -> None:
    for name in (*CONTRACT.exchanges, REQUEUE):
        await channel.declare_exchange(name, ExchangeType.TOPIC, durable=True)


async def declare_tier(channel: AbstractChannel, name: str) -> None:
    """One exchange of a retry tier and its queue."""
    exchange = await channel.declare_exchange(name, ExchangeType.TOPIC, durable=True)
    waiting = await channel.declare_queue(name, durable=True, arguments=tier_arguments(delay_ms(name)))
    await waiting.bind(exchange, "#")


async def declare_queue(channel: AbstractChannel, queue: Queue) -> None:
    """A home queue with its bindings, and its dead letters."""
    dead_letters = await channel.declare_queue(queue.dead_letters, durable=True, arguments=queue_arguments())
    await dead_letters.bind(REQUEUE, queue.dead_letters)
    home = await channel.declare_queue(queue.name, durable=True, arguments=home_arguments(queue))
    for exchange, key in (*queue.bindings, (REQUEUE, queue.name)):
        await home.bind(exchange, key)


async def check(channel: AbstractChannel, service: str, retry_schedule_ms: Sequence[int]) -> None:
    """Fail with the broker's answer when something that *service* needs is missing; declares nothing."""
    for name in sorted(CONTRACT.exchanges_of(service)):
        await channel.get_exchange(name, ensure=True)
    queues = CONTRACT.queues_of(service)
    if not queues:
        return
    for name in (REQUEUE, *(name for ttl_ms in retry_schedule_ms for name in retry_queues(ttl_ms))):
        await channel.get_exchange(name, ensure=True)
    for queue in queues:
        await channel.get_queue(queue.name, ensure=True)
        await channel.get_queue(queue.dead_letters, ensure=True)
