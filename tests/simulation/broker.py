"""RabbitMQ as the services see it, with the weaknesses that its documentation admits.

An unroutable message is confirmed unless it is mandatory; a confirm may never arrive though the message did; what was
not acknowledged comes again, near the head and counted; what was delivered too often goes to the dead letters; retry
tiers pass on what expires. Queues survive everything here, as quorum queues do.
"""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from functools import cache
from types import SimpleNamespace as Record
from typing import Any

from aiormq.exceptions import ChannelInvalidStateError, PublishError
from pamqp.commands import Basic

from common.broker import BrokerUnavailable
from common.topology import CONTRACT, DEAD_LETTERS, DELIVERY_LIMIT, REQUEUE, delay_ms, is_retry_tier

from .faults import Faults
from .process import Process, Trace

Callback = Callable[[Any], Coroutine[Any, Any, None]]


@cache
def bound(exchange: str, key: str) -> tuple[str, ...]:
    return tuple(queue.name for queue in CONTRACT.listeners(exchange, key))


@dataclass(slots=True)
class Message:
    body: bytes
    properties: Basic.Properties
    # Where it was published last.
    exchange: str
    key: str
    returns: int = 0


@dataclass
class Queue:
    name: str
    messages: list[Message] = field(default_factory=list)
    consumers: list["Channel"] = field(default_factory=list)


class Broker:
    def __init__(self, loop: asyncio.AbstractEventLoop, faults: Faults, trace: Trace, consumed: set[str]) -> None:
        self.loop = loop
        self.faults = faults
        self.trace = trace
        # Queues that somebody simulated consumes; whatever goes to others is taken and forgotten.
        self.queues = {name: Queue(name) for name in sorted(consumed)}
        self.limit = 2 if faults.has("delivery_limit") else DELIVERY_LIMIT
        self.flowing = asyncio.Event()
        self.flowing.set()
        # Exchanges that lost their bindings for a while.
        self.unbound: set[str] = set()
        self.in_retry_tiers = 0
        # How often each message came in, by its message id.
        self.arrivals: dict[str, int] = {}

    def route(self, exchange: str, key: str, message: Message) -> bool:
        """Put *message* where it belongs; False when there is no such place."""
        if is_retry_tier(exchange):
            self.in_retry_tiers += 1
            self.loop.call_later(delay_ms(exchange) / 1000, self._expire, key, message)
            return True
        if exchange in self.unbound:
            return False
        names = (key,) if exchange == REQUEUE else bound(exchange, key)
        for name in names:
            if name in self.queues:
                self.enqueue(name, message)
        return bool(names)

    def enqueue(self, name: str, message: Message) -> None:
        queue = self.queues[name]
        for _ in range(2 if self.faults.strikes("duplicate") else 1):
            queue.messages.append(Message(message.body, message.properties, message.exchange, message.key))
        self._kick(queue)

    def give_back(self, name: str, messages: list[Message]) -> None:
        """The consumer is gone: near the head, in order; over the limit, to the dead letters."""
        queue = self.queues[name]
        at = 0
        for message in messages:
            message.returns += 1
            if message.returns > self.limit and not name.endswith(DEAD_LETTERS):
                self.trace("broker", "over the delivery limit", name)
                message.exchange, message.key = REQUEUE, name + DEAD_LETTERS
                self.enqueue(name + DEAD_LETTERS, message)
                continue
            queue.messages.insert(at, message)
            at += 1
            if self.faults.rng.random() < 0.1:
                at = min(at + 1, len(queue.messages))
        self._kick(queue)

    def is_quiet(self) -> bool:
        return not self.in_retry_tiers and not any(
            queue.messages or any(channel.unacked for channel in queue.consumers) for queue in self.queues.values()
        )

    def _expire(self, key: str, message: Message) -> None:
        self.in_retry_tiers -= 1
        message.exchange = REQUEUE
        self.enqueue(key, message)

    def _kick(self, queue: Queue) -> None:
        for channel in queue.consumers:
            channel.kick()


class Channel:
    """One channel: both faces, aio-pika's and aiormq's, as common.broker and common.consuming use them."""

    def __init__(self, broker: Broker, connection: "Connection") -> None:
        self.broker = broker
        self.connection = connection
        self.process = connection.process
        self.is_closed = False
        # How calls end that were under way when it closed, see Connection.drop.
        self._end: type[BaseException] = ChannelInvalidStateError
        self.close_callbacks: set[Callable[..., Any]] = set()
        self.on_consumer_cancel_callbacks: set[Callable[..., Any]] = set()
        self.unacked: dict[int, Message] = {}
        self._lost = self.process.loop.create_future()
        self._queue: Queue | None = None
        self._callback: Callback | None = None
        self._tag = 0
        self._prefetch = 0
        self._kicked = False

    async def get_underlay_channel(self) -> "Channel":
        return self

    async def close(self) -> None:
        self.drop()

    def drop(self, end: type[BaseException] = ChannelInvalidStateError) -> None:
        """Closed, by whichever side: what was not acknowledged goes back."""
        if self.is_closed:
            return
        self.is_closed, self._end = True, end
        if not self._lost.done():
            self._lost.set_result(None)
        self.connection.channels.pop(self, None)
        if self._queue is not None:
            self._queue.consumers.remove(self)
            returned, self.unacked = list(self.unacked.values()), {}
            self.broker.give_back(self._queue.name, returned)
        if not self.process.dead:
            for tell in list(self.close_callbacks):
                tell()

    async def basic_publish(
        self,
        body: bytes,
        *,
        exchange: str,
        routing_key: str,
        properties: Basic.Properties,
        mandatory: bool,
        timeout: float,
    ) -> None:
        async with asyncio.timeout(timeout):
            await self._publish(body, exchange, routing_key, properties, mandatory)

    async def _publish(
        self, body: bytes, exchange: str, key: str, properties: Basic.Properties, mandatory: bool
    ) -> None:
        await self.broker.flowing.wait()
        await self._travel()
        faults = self.process.faults
        if faults.strikes("publish_lost"):
            await self._lost_or_hanging()
        message_id = properties.message_id or ""
        self.broker.arrivals[message_id] = self.broker.arrivals.get(message_id, 0) + 1
        routed = self.broker.route(exchange, key, Message(body, properties, exchange, key))
        self.process.trace(self.process.name, "publishes", exchange or "-", key, message_id[-6:])
        if faults.strikes("confirm_lost"):
            await self._lost_or_hanging()
        await self._travel()
        if not routed and mandatory:
            self.broker.arrivals[message_id] -= 1
            raise PublishError(Record(delivery=Record(routing_key=key)), None)  # type: ignore[arg-type]

    async def _lost_or_hanging(self) -> None:
        if self.process.faults.rng.random() < 0.5:
            self.connection.drop()
        # Shielded: one publisher's time-out must not cancel what the others wait for.
        await asyncio.shield(self._lost)
        raise self._end("closed")

    async def _travel(self) -> None:
        if self.process.faults.strikes("channel_lost"):
            self.connection.drop()
        await self.process.pause()
        if self.is_closed:
            raise self._end("closed")

    async def basic_qos(self, *, prefetch_count: int) -> None:
        self._prefetch = prefetch_count
        await self._travel()

    async def basic_consume(self, queue: str, callback: Callback) -> Record:
        await self._travel()
        self._queue, self._callback = self.broker.queues[queue], callback
        self._queue.consumers.append(self)
        self.kick()
        return Record(consumer_tag="one")

    async def basic_cancel(self, tag: str) -> None:
        await self._travel()

    async def basic_ack(self, tag: int, *, multiple: bool) -> None:
        self.process.alive()
        if self.process.faults.strikes("ack_lost"):
            self.process.trace(self.process.name, "loses an ack")
            self.connection.drop()
        if self.is_closed:
            raise self._end("closed")
        for known in [known for known in self.unacked if known <= tag and (multiple or known == tag)]:
            del self.unacked[known]
        await self.process.pause()

    async def declare_queue(self, name: str, *, passive: bool) -> Record:
        await self._travel()
        return Record(declaration_result=Record(message_count=len(self.broker.queues[name].messages)))

    def kick(self) -> None:
        """Deliver in a moment."""
        if not self._kicked and not self.is_closed:
            self._kicked = True
            self.process.loop.call_later(self.broker.faults.rng.random() * 0.004, self._deliver)

    def _deliver(self) -> None:
        self._kicked = False
        queue = self._queue
        if self.is_closed or queue is None or self._callback is None:
            return
        rng = self.broker.faults.rng
        # A few at a time, so that replicas share a queue and batches differ in size.
        for _ in range(min(rng.randint(1, 8), len(queue.messages), self._prefetch - len(self.unacked))):
            message = queue.messages.pop(0)
            self._tag += 1
            self.unacked[self._tag] = message
            headers = dict(message.properties.headers or {})
            if message.returns:
                headers["x-delivery-count"] = message.returns
            arrived = Record(
                body=message.body,
                delivery=Basic.Deliver("one", self._tag, bool(message.returns), message.exchange, message.key),
                header=Record(
                    properties=Record(
                        headers=headers,
                        message_id=message.properties.message_id,
                        user_id=message.properties.user_id,
                    )
                ),
            )
            # In the order of their tags, as one channel delivers; the callback never waits.
            try:
                self._callback(arrived).send(None)
            except StopIteration:
                pass
        if queue.messages and len(self.unacked) < self._prefetch:
            self.kick()


class Connection:
    """Stands where common.broker's BrokerConnection does; one process has two."""

    def __init__(self, broker: Broker, process: Process) -> None:
        self.broker = broker
        self.process = process
        self.channels: dict[Channel, None] = {}
        self._drops = 0
        process.on_death.append(self.drop)

    async def channel(self, *, confirms: bool, timeout_seconds: float = 5.0) -> Channel:
        await self.process.pause()
        if self.process.faults.strikes("channel_lost"):
            raise BrokerUnavailable("no channel to the broker")
        channel = Channel(self.broker, self)
        self.channels[channel] = None
        return channel

    def drop(self) -> None:
        """Gone. Every other time it was stuck: the client library ends what waits on such a one with CancelledError."""
        self._drops += 1
        end = ChannelInvalidStateError if self._drops % 2 else asyncio.CancelledError
        for channel in list(self.channels):
            channel.drop(end)
