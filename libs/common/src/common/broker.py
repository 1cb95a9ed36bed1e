"""RabbitMQ as one service sees it: a supervised connection, and a publisher that knows what was confirmed.

Plain connections with our own reconnect loop, because the client library's robust ones can hang after a disconnect.
One connection publishes and another consumes, so that a memory alarm, which blocks publishers, leaves consumers going.
"""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from random import Random
from types import TracebackType
from typing import Self
from uuid import UUID

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractConnection
from aiormq.abc import AbstractChannel as WireChannel
from aiormq.exceptions import PublishError
from loguru import logger
from pamqp.commands import Basic

from common.errors import Unavailable
from common.guards import CONNECTION_LOSS, MANDATORY, MARK_CONFIRMED_ONLY, Guards
from common.outbox import Outgoing

HEARTBEAT_SECONDS = 15
RECONNECT_SECONDS_MAX = 5.0

_JITTER = Random()  # noqa: S311 - jitter, not a secret


class BrokerUnavailable(Unavailable):
    """RabbitMQ cannot be reached or does not take messages now."""

    fix = "Nothing is lost: what was announced stays in the outbox and is sent when the broker is back."


@contextmanager
def stuck_is_lost() -> Iterator[None]:
    """Have a call to the client library fail when its connection is given up (the guard CONNECTION_LOSS).

    The library ends whoever waits on a connection that it finds stuck with CancelledError. That would end the task that
    called it without a word, a consumer or the sweeper, although nobody cancelled it.
    """
    try:
        yield
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise
        raise aio_pika.exceptions.AMQPConnectionError("the connection was stuck") from error


def failing_when_lost(guards: Guards) -> Callable[[], AbstractContextManager[None]]:
    """`stuck_is_lost`, or nothing without its guard."""
    return stuck_is_lost if guards.has(CONNECTION_LOSS) else nullcontext


class BrokerConnection:
    """One AMQP connection that is opened again, with backoff, until it is closed by us."""

    def __init__(self, url: str, name: str, *, random: Random = _JITTER) -> None:
        self._url = url
        self._name = name
        self._random = random
        self._connection: AbstractConnection | None = None
        self._open = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._supervise(), name=f"broker:{self._name}")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    @property
    def is_open(self) -> bool:
        return self._open.is_set()

    async def channel(self, *, confirms: bool, timeout_seconds: float = 5.0) -> AbstractChannel:
        """A fresh channel. Raises BrokerUnavailable when there is no connection within *timeout_seconds*."""
        try:
            async with asyncio.timeout(timeout_seconds):
                await self._open.wait()
                assert self._connection is not None
                with stuck_is_lost():
                    return await self._connection.channel(publisher_confirms=confirms, on_return_raises=confirms)
        except (TimeoutError, OSError, aio_pika.exceptions.AMQPError, RuntimeError) as error:
            raise BrokerUnavailable("no channel to the broker") from error

    async def _supervise(self) -> None:
        pause_seconds = 0.1
        while True:
            try:
                with stuck_is_lost():
                    connection = await aio_pika.connect(
                        self._url,
                        timeout=10,
                        heartbeat=HEARTBEAT_SECONDS,
                        client_properties={"connection_name": self._name},
                    )
            except (OSError, TimeoutError, aio_pika.exceptions.AMQPError, RuntimeError) as error:
                logger.warning("broker away: {} ({})", type(error).__name__, self._name)
                await asyncio.sleep(pause_seconds * self._random.uniform(0.5, 1.5))
                pause_seconds = min(pause_seconds * 2, RECONNECT_SECONDS_MAX)
                continue
            pause_seconds = 0.1
            lost = asyncio.Event()
            connection.close_callbacks.add(lambda *_, lost=lost: lost.set())
            self._connection = connection
            self._open.set()
            try:
                await lost.wait()
                logger.warning("broker connection lost ({})", self._name)
            finally:
                self._open.clear()
                self._connection = None
                await asyncio.gather(connection.close(), return_exceptions=True)


class Publisher:
    """Publishes envelopes with confirms in a bounded window and says which of them the broker has."""

    def __init__(
        self,
        connection: BrokerConnection,
        *,
        window: int = 256,
        timeout_seconds: float = 10.0,
        guards: Guards | None = None,
    ) -> None:
        guards = guards or Guards.all()
        self._connection = connection
        self._failing_when_lost = failing_when_lost(guards)
        self._is_mandatory = guards.has(MANDATORY)
        self._tells_confirmed = guards.has(MARK_CONFIRMED_ONLY)
        self._window = asyncio.Semaphore(window)
        self._timeout_seconds = timeout_seconds
        self._channel: WireChannel | None = None
        self._opening = asyncio.Lock()

    async def publish(self, rows: Sequence[Outgoing]) -> list[UUID]:
        """The ids that the broker confirmed. The others may have arrived all the same: publish them again later."""
        try:
            channel = await self._ready_channel()
        except BrokerUnavailable:
            return []
        outcomes = await asyncio.gather(*(self._publish_one(channel, row) for row in rows))
        return [
            row.envelope_id
            for row, confirmed in zip(rows, outcomes, strict=True)
            if confirmed or not self._tells_confirmed
        ]

    async def _publish_one(self, channel: WireChannel, row: Outgoing) -> bool:
        properties = Basic.Properties(
            message_id=str(row.envelope_id),
            message_type=row.type,
            delivery_mode=2,
            headers=dict(row.headers) if row.headers else None,
        )
        async with self._window:
            try:
                with self._failing_when_lost():
                    await channel.basic_publish(
                        row.body,
                        exchange=row.exchange,
                        routing_key=row.routing_key,
                        properties=properties,
                        mandatory=row.mandatory and self._is_mandatory,
                        timeout=self._timeout_seconds,
                    )
            except PublishError:
                # No queue is bound: the row stays unmarked until the topology is repaired.
                logger.error("unroutable: {} {}", row.exchange, row.routing_key)
                return False
            except (OSError, TimeoutError, aio_pika.exceptions.AMQPError, RuntimeError) as error:
                logger.warning("not confirmed: {} {}", row.routing_key, type(error).__name__)
                return False
        return True

    async def _ready_channel(self) -> WireChannel:
        async with self._opening:
            if self._channel is None or self._channel.is_closed:
                channel = await self._connection.channel(confirms=True)
                self._channel = await channel.get_underlay_channel()
            return self._channel
