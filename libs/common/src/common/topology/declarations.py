"""What the contract declares at the broker, and what a service checks of it."""

from collections.abc import Sequence

from aio_pika.abc import AbstractChannel, ExchangeType
from aiormq.abc import FieldTable

from common.topology.contract import CONTRACT, Queue

# A consumer that is killed counts for every message it had prefetched, so the limit is far above one bad event's tries.
DELIVERY_LIMIT = 50


def retry_tier(ttl_ms: int) -> str:
    """The name of the retry tier with this delay; the delay is part of the name because a queue's TTL cannot change."""
    return f"retry.{ttl_ms}ms"


def queue_arguments() -> FieldTable:
    return {"x-queue-type": "quorum", "x-delivery-limit": DELIVERY_LIMIT}


def home_arguments(queue: Queue) -> FieldTable:
    """A home queue: what exceeds the delivery limit goes to the dead letters, at least once.

    At-least-once dead-lettering needs reject-publish; without an explicit policy RabbitMQ falls back to at-most-once.
    """
    return queue_arguments() | {
        "x-dead-letter-exchange": "",
        "x-dead-letter-routing-key": queue.dead_letters,
        "x-dead-letter-strategy": "at-least-once",
        "x-overflow": "reject-publish",
    }


def tier_arguments(ttl_ms: int) -> FieldTable:
    """A retry tier: what expires goes to the default exchange under its routing key, the home queue's name."""
    return {
        "x-queue-type": "quorum",
        "x-message-ttl": ttl_ms,
        "x-dead-letter-exchange": "",
        "x-dead-letter-strategy": "at-least-once",
        "x-overflow": "reject-publish",
    }


async def declare(channel: AbstractChannel, retry_schedule_ms: Sequence[int]) -> None:
    """Declare the whole contract; idempotent. Only the migrate step and `commdesk doctor --fix` call it."""
    for name in CONTRACT.exchanges:
        await channel.declare_exchange(name, ExchangeType.TOPIC, durable=True)
    for ttl_ms in retry_schedule_ms:
        exchange = await channel.declare_exchange(retry_tier(ttl_ms), ExchangeType.FANOUT, durable=True)
        waiting = await channel.declare_queue(retry_tier(ttl_ms), durable=True, arguments=tier_arguments(ttl_ms))
        await waiting.bind(exchange)
    for queue in CONTRACT.queues:
        await channel.declare_queue(queue.dead_letters, durable=True, arguments=queue_arguments())
        home = await channel.declare_queue(queue.name, durable=True, arguments=home_arguments(queue))
        for exchange_name, key in queue.bindings:
            await home.bind(exchange_name, key)


async def check(channel: AbstractChannel, service: str, retry_schedule_ms: Sequence[int]) -> None:
    """Fail with the broker's answer when something that *service* needs is missing; declares nothing."""
    for name in sorted(CONTRACT.exchanges_of(service)):
        await channel.get_exchange(name, ensure=True)
    for ttl_ms in retry_schedule_ms:
        await channel.get_exchange(retry_tier(ttl_ms), ensure=True)
    for queue in CONTRACT.queues_of(service):
        await channel.get_queue(queue.name, ensure=True)
        await channel.get_queue(queue.dead_letters, ensure=True)
