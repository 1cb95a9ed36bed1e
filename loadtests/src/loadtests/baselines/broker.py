"""The bare broker: aio-pika on a quorum queue, published with confirms, consumed and acknowledged."""

import asyncio
import os
import secrets
import time
from collections.abc import Mapping
from typing import Any

import aio_pika

from loadtests.baselines.measurement import Costed

EVENT = bytes(250)
IN_FLIGHT = 100
EVENTS_MAX = 200_000


async def measure(description: Mapping[str, Any], seconds: float) -> dict[str, dict[str, Any]]:
    connection = await aio_pika.connect(description["rabbitmq"]["url"], timeout=5)
    roots = {"RabbitMQ": description["pids"]["rabbitmq"], "client": os.getpid()}
    async with connection:
        found: dict[str, dict[str, Any]] = {}
        for name, events in (("single events", 1), ("envelopes of 32", 32)):
            found |= await _queue(connection, roots, name, events, seconds)
        return found


async def _queue(
    connection: aio_pika.abc.AbstractConnection, roots: Mapping[str, int], name: str, events: int, seconds: float
) -> dict[str, dict[str, Any]]:
    channel = await connection.channel(publisher_confirms=True)
    await channel.set_qos(prefetch_count=200)
    queue = await channel.declare_queue(
        f"bench.baseline.{secrets.token_hex(4)}", durable=True, arguments={"x-queue-type": "quorum"}
    )
    try:
        async with Costed(roots) as publishing:
            published, published_in = await _publish(channel, queue.name, EVENT * events, events, seconds)
        async with Costed(roots) as consuming:
            consumed_in = await _consume(queue, published // events, 10 * seconds + 10)
    finally:
        await queue.delete(if_unused=False, if_empty=False)
        await channel.close()
    return {
        f"aio-pika publish, {name}": publishing.figures(published, published_in),
        f"aio-pika consume, {name}": consuming.figures(published, consumed_in),
    }


async def _publish(
    channel: aio_pika.abc.AbstractChannel, queue: str, body: bytes, events: int, seconds: float
) -> tuple[int, float]:
    exchange = channel.default_exchange
    started = time.perf_counter()
    published = 0
    while time.perf_counter() - started < seconds and published < EVENTS_MAX:
        messages = [
            aio_pika.Message(
                body, delivery_mode=aio_pika.DeliveryMode.PERSISTENT, content_type="application/x-protobuf"
            )
            for _ in range(IN_FLIGHT)
        ]
        await asyncio.gather(*(exchange.publish(message, queue, timeout=10) for message in messages))
        published += IN_FLIGHT * events
    return published, time.perf_counter() - started


async def _consume(queue: aio_pika.abc.AbstractQueue, messages: int, seconds_max: float) -> float:
    left = messages
    done = asyncio.Event()

    async def handle(message: aio_pika.abc.AbstractIncomingMessage) -> None:
        nonlocal left
        await message.ack()
        left -= 1
        if left <= 0:
            done.set()

    started = time.perf_counter()
    tag = await queue.consume(handle)
    async with asyncio.timeout(seconds_max):
        await done.wait()
    took = time.perf_counter() - started
    await queue.cancel(tag)
    return took
