"""RabbitMQ as one service sees it: a supervised connection, and a publisher that knows what was confirmed.

Plain connections with our own reconnect loop, because the client library's robust ones can hang after a disconnect.
One connection publishes and another consumes, so that a memory alarm, which blocks publishers, leaves consumers going.
"""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from enum import Enum, auto
from itertools import count
from random import Random
from types import TracebackType
from typing import Self
from uuid import UUID

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractConnection
from aiormq.abc import AbstractChannel as WireChannel
from aiormq.exceptions import (
    ChannelAccessRefused,
    ChannelNotFoundEntity,
    ChannelPreconditionFailed,
    ConnectionChannelError,
    PublishError,
)
from loguru import logger
from msgspec import Struct
from pamqp.commands import Basic

from common.broker_urls import urls_of
from common.errors import Unavailable
from common.guards import CONNECTION_LOSS, MANDATORY, MARK_CONFIRMED_ONLY, Guards
from common.outbox import Outgoing

HEARTBEAT_SECONDS = 15
RECONNECT_SECONDS_MAX = 5.0

_JITTER = Random()  # noqa: S311 - jitter, not a secret

# The broker closes the channel for the message: 403 not allowed, 404 no such exchange, 406 a user-id that is not ours.
_REFUSALS = (ChannelAccessRefused, ChannelNotFoundEntity, ChannelPreconditionFailed)


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
    """One AMQP connection that is opened again, with backoff, until it is closed by us.

    *url* may list the nodes of a cluster, separated by commas: the next one is tried when one is away.
    """

    def __init__(self, url: str, name: str, *, random: Random = _JITTER) -> None:
        self._urls = urls_of(url)
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
        for attempt in count():
            try:
                with stuck_is_lost():
                    connection = await aio_pika.connect(
                        self._urls[attempt % len(self._urls)],
                        timeout=10,
                        heartbeat=HEARTBEAT_SECONDS,
                        client_properties={"connection_name": self._name},
                    )
            except (OSError, TimeoutError, aio_pika.exceptions.AMQPError, RuntimeError) as error:
                logger.warning("broker away: {} ({})", type(error).__name__, self._name)
                # The nodes of one round follow one another at once.
                if (attempt + 1) % len(self._urls) == 0:
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


class Receipt(Struct, frozen=True):
    """What became of rows. Those that are in neither list may have arrived all the same: publish them again later."""

    confirmed: list[UUID]
    # The broker closed the channel for each of these when it was published alone: its id and the broker's answer.
    refused: list[tuple[UUID, str]] = []


class Publisher:
    """Publishes envelopes with confirms in a bounded window and says which of them the broker has.

    *user_id* is the user that the connection logs in as: the broker refuses any other, so that whoever gets the
    message knows who published it.
    """

    def __init__(
        self,
        connection: BrokerConnection,
        *,
        user_id: str | None = None,
        window: int = 256,
        timeout_seconds: float = 10.0,
        guards: Guards | None = None,
    ) -> None:
        guards = guards or Guards.all()
        self._connection = connection
        self._user_id = user_id
        self._failing_when_lost = failing_when_lost(guards)
        self._is_mandatory = guards.has(MANDATORY)
        self._tells_confirmed = guards.has(MARK_CONFIRMED_ONLY)
        self._window = asyncio.Semaphore(window)
        self._timeout_seconds = timeout_seconds
        self._channel: WireChannel | None = None
        self._opening = asyncio.Lock()
        # A channel of its own, so that a refusal closes it for no other row.
        self._alone: WireChannel | None = None
        self._one_by_one = asyncio.Lock()

    async def publish(self, rows: Sequence[Outgoing]) -> Receipt:
        """Publish together; one by one after the broker closed the channel for a row, so that the others pass."""
        if not rows:
            return Receipt([])
        try:
            async with self._opening:
                self._channel = await self._open(self._channel)
        except BrokerUnavailable:
            return Receipt([])
        channel = self._channel
        outcomes = await asyncio.gather(*(self._publish_one(channel, row) for row in rows))
        confirmed = [
            row.envelope_id
            for row, outcome in zip(rows, outcomes, strict=True)
            if outcome is Outcome.CONFIRMED or not self._tells_confirmed
        ]
        if not any(isinstance(outcome, str) or outcome is Outcome.TAKEN_ALONG for outcome in outcomes):
            return Receipt(confirmed)
        # All rows in flight on the channel got the same answer; published singly, the row that it is for shows.
        others = await self.publish_singly(
            [row for row, outcome in zip(rows, outcomes, strict=True) if outcome is not Outcome.CONFIRMED]
        )
        return Receipt([*confirmed, *others.confirmed], others.refused)

    async def publish_singly(self, rows: Sequence[Outgoing]) -> Receipt:
        """One after the other, each confirmed or refused before the next one, on a channel apart."""
        receipt = Receipt([], [])
        async with self._one_by_one:
            for row in rows:
                try:
                    outcome = await self._publish_alone(row)
                except BrokerUnavailable:
                    break
                if outcome is Outcome.CONFIRMED:
                    receipt.confirmed.append(row.envelope_id)
                elif isinstance(outcome, str):
                    receipt.refused.append((row.envelope_id, outcome))
        return receipt

    async def _publish_alone(self, row: Outgoing) -> "Outcome | str":
        """What became of it, also when another row's refusal took the connection along. Raises BrokerUnavailable."""
        for pause_seconds in (0.1, 0.5):
            try:
                self._alone = await self._open(self._alone)
                outcome = await self._publish_one(self._alone, row)
            except BrokerUnavailable:
                outcome = Outcome.UNKNOWN
            if outcome not in (Outcome.UNKNOWN, Outcome.TAKEN_ALONG):
                return outcome
            await asyncio.sleep(pause_seconds)
        self._alone = await self._open(self._alone)
        return await self._publish_one(self._alone, row)

    async def _publish_one(self, channel: WireChannel, row: Outgoing) -> "Outcome | str":
        """What became of it; the broker's answer when it closed the channel."""
        properties = Basic.Properties(
            message_id=str(row.envelope_id),
            message_type=row.type,
            delivery_mode=2,
            headers=dict(row.headers) if row.headers else None,
            user_id=self._user_id,
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
                return Outcome.UNROUTABLE
            except _REFUSALS as error:
                return str(error)
            except ConnectionChannelError:
                logger.warning("not confirmed: {} taken along", row.routing_key)
                return Outcome.TAKEN_ALONG
            except (OSError, TimeoutError, aio_pika.exceptions.AMQPError, RuntimeError) as error:
                logger.warning("not confirmed: {} {}", row.routing_key, type(error).__name__)
                return Outcome.UNKNOWN
        return Outcome.CONFIRMED

    async def _open(self, channel: WireChannel | None) -> WireChannel:
        """*channel*, or a new one when there is none or it was closed. Raises BrokerUnavailable."""
        if channel is not None and not channel.is_closed:
            return channel
        opened = await self._connection.channel(confirms=True)
        return await opened.get_underlay_channel()


class Outcome(Enum):
    CONFIRMED = auto()
    UNROUTABLE = auto()
    # It may have arrived all the same.
    UNKNOWN = auto()
    # Unknown as well. The broker closed the whole connection (504), because something was sent on a channel that it was
    # closing for another row: it says nothing of this one, which may even have been on another channel.
    TAKEN_ALONG = auto()
