"""The batch consumer of one queue: takes what is there, has it handled, acks after the commit.

Nothing else in the fleet acks, retries or removes duplicates. Unloaded, a batch is one message and nothing waits;
under load, batches form by themselves while the one before is being worked.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence

import aio_pika
from aio_pika.abc import AbstractChannel
from aiormq.abc import AbstractChannel as WireChannel
from aiormq.abc import DeliveredMessage
from loguru import logger
from pamqp.commands import Basic

from common.broker import BrokerConnection, BrokerUnavailable, stuck_is_lost
from common.envelopes import Delivery, opened
from common.handling import BATCH_EVENTS_MAX, Climb, Refused, Subscription

__all__ = ["Climb", "Consumer", "Refused", "Subscription"]

# Enough to fill a batch while another is worked; an envelope holds up to 128 events, so this bounds memory as well.
PREFETCH_ENVELOPES = 256
# Batches start at least this far apart, so that under load each has time to gather: a batch costs its handful of
# statements however small. The first message of a queue that was idle for as long never waits.
BATCH_PERIOD_SECONDS = 0.1
# The same for queues on which nobody waits (books, mails, histories, figures). Not longer: what gathers is worked at
# one go, and several services at it take both processors from whoever stands at a door.
BATCH_PERIOD_UNHURRIED_SECONDS = 0.2
# The same for every queue while the service's own door is flooded: who knocks goes before what is queued.
BATCH_PERIOD_FLOODED_SECONDS = 0.5
# A queue that holds messages and delivers none for this long has a dead channel behind it.
SILENCE_SECONDS = 20.0
STOP_SECONDS = 20.0

Work = Callable[[Sequence[Delivery]], Awaitable[None]]


def _never() -> bool:
    return False


class Consumer:
    """Runs until it is stopped; opens its channel anew for as long as that takes. Steps back while it is *flooded*."""

    def __init__(
        self,
        connection: BrokerConnection,
        queue: str,
        work: Work,
        *,
        flooded: Callable[[], bool] = _never,
        unhurried: bool = False,
        events_max: int = BATCH_EVENTS_MAX,
    ) -> None:
        self._connection = connection
        self._events_max = events_max
        self._flooded = flooded
        self._period_seconds = BATCH_PERIOD_UNHURRIED_SECONDS if unhurried else BATCH_PERIOD_SECONDS
        # The last batch was full: more waits than one batch holds, and gathering would only hold it up.
        self._behind = False
        self._queue = queue
        self._work = work
        self._stopping = asyncio.Event()
        self._arrived = asyncio.Event()
        self._started = 0.0

    def stop(self) -> None:
        """Take nothing new; `run` ends after the batch in hand, what is prefetched goes back to the queue."""
        self._stopping.set()
        self._arrived.set()

    async def run(self) -> None:
        """Consume until `stop`."""
        while not self._stopping.is_set():
            try:
                channel = await self._connection.channel(confirms=False)
            except BrokerUnavailable:
                await self._pause(1.0)
                continue
            try:
                with stuck_is_lost():
                    await self._consume(channel)
            except (OSError, TimeoutError, aio_pika.exceptions.AMQPError, RuntimeError) as error:
                logger.bind(queue=self._queue).warning("channel lost: {}", type(error).__name__)
                await self._pause(1.0)
            finally:
                await asyncio.gather(channel.close(), return_exceptions=True)

    async def _consume(self, channel: AbstractChannel) -> None:
        # Of this channel alone: a delivery tag counts on the channel that it came by, and acking it on another would
        # ack somebody else's messages.
        waiting: list[DeliveredMessage] = []
        lost = asyncio.Event()
        self._arrived.clear()

        def lose(*_: object) -> None:
            lost.set()
            self._arrived.set()

        async def take(message: DeliveredMessage) -> None:
            waiting.append(message)
            self._arrived.set()

        channel.close_callbacks.add(lose)
        wire = await channel.get_underlay_channel()
        wire.on_consumer_cancel_callbacks.add(lose)
        await wire.basic_qos(prefetch_count=PREFETCH_ENVELOPES)
        consumer = await wire.basic_consume(self._queue, take)
        while not self._stopping.is_set() and not lost.is_set():
            if waiting:
                await self._gather()
                await self._batch(wire, waiting)
            elif not await self._wait() and await self._is_stuck():
                logger.bind(queue=self._queue).error("messages wait and none is delivered: a new channel")
                return
        if not lost.is_set():
            await wire.basic_cancel(consumer.consumer_tag or "")

    async def _gather(self) -> None:
        now = time.monotonic()
        period = BATCH_PERIOD_FLOODED_SECONDS if self._flooded() else 0.0 if self._behind else self._period_seconds
        pause = self._started + period - now
        if pause > 0:
            await asyncio.sleep(pause)
        self._started = now + max(pause, 0.0)

    async def _batch(self, wire: WireChannel, waiting: list[DeliveredMessage]) -> None:
        """Work a prefix of what waits, then ack it whole: the commit came first."""
        deliveries: list[Delivery] = []
        events = 0
        for message in waiting:
            if events >= self._events_max:
                break
            delivery = opened(message)
            deliveries.append(delivery)
            events += len(delivery.bodies)
        self._behind = events >= self._events_max
        last = waiting[len(deliveries) - 1].delivery
        del waiting[: len(deliveries)]
        await self._work(deliveries)
        assert isinstance(last, Basic.Deliver)
        await wire.basic_ack(last.delivery_tag or 0, multiple=True)

    async def _wait(self) -> bool:
        """Whether something happened before it had been silent for too long."""
        self._arrived.clear()
        try:
            async with asyncio.timeout(SILENCE_SECONDS):
                await self._arrived.wait()
        except TimeoutError:
            return False
        return True

    async def _is_stuck(self) -> bool:
        try:
            channel = await self._connection.channel(confirms=False)
            async with asyncio.timeout(5):
                found = await channel.declare_queue(self._queue, passive=True)
                await channel.close()
        except (OSError, TimeoutError, aio_pika.exceptions.AMQPError, RuntimeError, BrokerUnavailable):
            return True
        return bool(found.declaration_result.message_count)

    async def _pause(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        except TimeoutError:
            pass
