"""The batch consumer of one queue: takes what is there, has it handled, acks after the commit.

Nothing else in the fleet acks, retries or removes duplicates. Unloaded, a batch is one message and nothing waits;
under load, batches form by themselves while the one before is being handled.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import aio_pika
from aio_pika.abc import AbstractChannel
from aiormq.abc import AbstractChannel as WireChannel
from aiormq.abc import DeliveredMessage
from loguru import logger
from pamqp.commands import Basic

from common.batching import BatchingWindow
from common.broker import BrokerConnection, BrokerUnavailable, failing_when_lost
from common.clock import SYSTEM_CLOCK, Clock
from common.envelopes import Delivery, opened
from common.guards import ACK_AFTER_COMMIT, Guards
from common.subscriptions import BATCH_EVENTS_MAX

# Enough to fill a batch while another is handled; an envelope holds up to 128 events, so this bounds memory as well.
PREFETCH_ENVELOPES = 256
# Under load each batch has time to fill: it costs its handful of statements however small. The first message of a
# queue that was idle for as long never waits.
WINDOW = BatchingWindow(period_seconds=0.1)
# For queues on which nobody waits (books, mails, histories, analytics events). Not longer: what has accumulated is
# handled at one go, and several services at it take both processors from requests that wait.
LOW_PRIORITY_WINDOW = BatchingWindow(period_seconds=0.2)
# For every queue while the service's own endpoints are overloaded: requests go before what is queued.
OVERLOADED_WINDOW = BatchingWindow(period_seconds=0.5)
# The last batch was full: more waits than one batch holds, and waiting would only delay it.
NO_WINDOW = BatchingWindow(period_seconds=0.0)
# A queue that holds messages and delivers none for this long has a dead channel behind it.
SILENCE_SECONDS = 20.0
STOP_SECONDS = 20.0

Work = Callable[[Sequence[Delivery]], Awaitable[None]]
# Declares a queue by a channel, and returns its name.
Declare = Callable[[AbstractChannel], Awaitable[str]]


def _never() -> bool:
    return False


class Consumer:
    """Runs until it is stopped, and opens its channel again whenever it is lost. Steps back while *overloaded*.

    *declare* makes the queue anew for each channel, when it does not outlive its connection; *queue* names it in logs.
    """

    def __init__(
        self,
        connection: BrokerConnection,
        queue: str,
        work: Work,
        *,
        declare: Declare | None = None,
        overloaded: Callable[[], bool] = _never,
        low_priority: bool = False,
        events_max: int = BATCH_EVENTS_MAX,
        clock: Clock = SYSTEM_CLOCK,
        guards: Guards | None = None,
    ) -> None:
        guards = guards or Guards.all()
        self._connection = connection
        self._events_max = events_max
        self._overloaded = overloaded
        self._window = LOW_PRIORITY_WINDOW if low_priority else WINDOW
        self._last_was_full = False
        self._queue = queue
        self._declare = declare
        self._work = work
        self._clock = clock
        self._stopping = asyncio.Event()
        self._arrived = asyncio.Event()
        self._started = 0.0
        self._failing_when_lost = failing_when_lost(guards)
        self._acks_after_commit = guards.has(ACK_AFTER_COMMIT)

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
                with self._failing_when_lost():
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
        queue = await self._declare(channel) if self._declare is not None else self._queue
        wire = await channel.get_underlay_channel()
        wire.on_consumer_cancel_callbacks.add(lose)
        await wire.basic_qos(prefetch_count=PREFETCH_ENVELOPES)
        consumer = await wire.basic_consume(queue, take)
        while not self._stopping.is_set() and not lost.is_set():
            if waiting:
                await self._wait_for_company()
                await self._batch(wire, waiting)
            elif not await self._wait() and await self._is_stuck(queue):
                logger.bind(queue=self._queue).error("messages wait and none is delivered: a new channel")
                return
        if not lost.is_set():
            await wire.basic_cancel(consumer.consumer_tag or "")

    async def _wait_for_company(self) -> None:
        now = self._clock.monotonic()
        window = OVERLOADED_WINDOW if self._overloaded() else NO_WINDOW if self._last_was_full else self._window
        pause_seconds = window.pause_seconds(self._started, now)
        if pause_seconds > 0:
            await asyncio.sleep(pause_seconds)
        self._started = now + pause_seconds

    async def _batch(self, wire: WireChannel, waiting: list[DeliveredMessage]) -> None:
        """Handle a prefix of what waits, then ack it whole: the commit came first."""
        deliveries: list[Delivery] = []
        events = 0
        for message in waiting:
            if events >= self._events_max:
                break
            delivery = opened(message, self._clock)
            deliveries.append(delivery)
            events += len(delivery.bodies)
        self._last_was_full = events >= self._events_max
        last = waiting[len(deliveries) - 1].delivery
        del waiting[: len(deliveries)]
        assert isinstance(last, Basic.Deliver)
        if not self._acks_after_commit:
            await wire.basic_ack(last.delivery_tag or 0, multiple=True)
        await self._work(deliveries)
        if self._acks_after_commit:
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

    async def _is_stuck(self, name: str) -> bool:
        try:
            channel = await self._connection.channel(confirms=False)
            async with asyncio.timeout(5):
                queue = await channel.declare_queue(name, passive=True)
                await channel.close()
        except (OSError, TimeoutError, aio_pika.exceptions.AMQPError, RuntimeError, BrokerUnavailable):
            return True
        return bool(queue.declaration_result.message_count)

    async def _pause(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        except TimeoutError:
            pass
