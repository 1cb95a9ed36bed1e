"""What is done with the deliveries of one queue: claim, handle, move on what was refused. Knows nothing of channels.

What happens to an event that is not handled:

- the handler refuses it: it leaves in the same transaction, through the outbox, for the next rung of the retry
  ladder, or for the dead letters when it was refused for good or has no rung left;
- the handler raises on several envelopes: each is tried by itself; on an envelope of several events: it is exploded
  into envelopes of one, so that the culprit stands alone; on an envelope of one: that one climbs the ladder;
- the infrastructure is at fault: the same messages are tried again in place, nothing is lost, nothing climbs.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any
from uuid import UUID

import grpc
from google.protobuf.message import DecodeError, Message
from loguru import logger

from common import context, envelopes, logs, outbox, topology
from common.database import Database, Tx, is_transient, retried
from common.envelopes import Delivery
from common.errors import DomainError, FailedPrecondition, InvalidArgument, Unavailable
from common.metrics import QueueMetrics
from common.outbox import Outgoing

_CLAIM = """
insert into inbox (envelope_id, consumer)
select envelope_id, :consumer from unnest(cast(:ids as uuid[])) as claim (envelope_id) order by envelope_id
on conflict do nothing
returning envelope_id
"""

# A batch takes envelopes until it holds so many events; what a transaction costs whatever its size is little by then.
BATCH_EVENTS_MAX = 512
# From the second redelivery on, an envelope travels alone: whoever takes the process down must not take the rest along.
REDELIVERIES_MAX = 2
PAUSE_SECONDS_MAX = 5.0


class EnvelopeUnreadable(InvalidArgument):
    """The message is not an envelope, or not of a type that this queue handles."""

    fix = "Read the dead letter; replay it once a version that understands it is deployed, or discard it."


class HandlerFailed(FailedPrecondition):
    """The handler raised on this event: a bug, or data that nobody thought of."""

    fix = "Find the trace in the log by the envelope's id, mend the cause, then replay."


@dataclass(frozen=True, slots=True)
class Refused:
    """A handler's verdict on one event: not now (the next rung), or not ever (the dead letters)."""

    # The very object that the handler was given.
    event: Any
    error: DomainError
    for_good: bool = False


@dataclass(frozen=True, slots=True)
class Climb:
    """What becomes of a refused event, for handlers that announce it."""

    event: Any
    error: DomainError
    # How often it has been tried by now.
    attempt: int
    # No rung is left, or it was refused for good.
    dead: bool


@dataclass(frozen=True, slots=True)
class Subscription:
    """One message type on one queue.

    `handle(tx, events)`, or with `ask` `handle(tx, events, facts)`, returns what it refuses. `ask(events)` runs before
    the transaction and reads the outside. `on_climb(tx, climbs)` runs in the handler's transaction.
    """

    queue: str
    message: type[Message]
    decode: Callable[[Any], Any]
    handle: Callable[..., Awaitable[Sequence[Refused] | None]]
    ask: Callable[[Sequence[Any]], Awaitable[Any]] | None = None
    on_climb: Callable[[Tx, Sequence[Climb]], Awaitable[None]] | None = None
    # Nobody waits for what comes of it: batches may gather for longer. A queue is so when all on it are.
    unhurried: bool = False
    # More than the usual where events of one batch have much in common. A queue takes the most of what is on it.
    events_max: int = BATCH_EVENTS_MAX

    @property
    def type(self) -> str:
        return self.message.DESCRIPTOR.full_name


class QueueHandler:
    """The subscriptions of one queue, and the one way in which their handlers are called."""

    def __init__(
        self, db: Database, queue: str, subscriptions: Iterable[Subscription], ladder_ms: Sequence[int]
    ) -> None:
        self._db = db
        self._queue = queue
        self._by_type = {subscription.type: subscription for subscription in subscriptions}
        self._ladder_ms = tuple(ladder_ms)
        self._metrics = QueueMetrics(queue)

    async def work(self, deliveries: Sequence[Delivery]) -> None:
        """Bring every delivery to its end, whatever it takes; when it returns all of them may be acked."""
        groups: dict[str, list[Delivery]] = {}
        suspects = []
        # The claim tells envelopes apart that were worked before, not two copies of one in the same batch.
        for delivery in {delivery.envelope_id: delivery for delivery in deliveries}.values():
            if delivery.redeliveries >= REDELIVERIES_MAX:
                suspects.append(delivery)
            else:
                groups.setdefault(delivery.type, []).append(delivery)
        for group in groups.values():
            with context.bind(context.Context(traceparent=group[0].traceparent)):
                await self._work_group(group)
        # Last, one by one: the others are committed by then, should one of these take the process down again.
        for delivery in suspects:
            with context.bind(context.Context(traceparent=delivery.traceparent)):
                if len(delivery.bodies) > 1:
                    await self._insist(partial(self._explode, delivery))
                else:
                    await self._work_group([delivery])

    async def _work_group(self, group: Sequence[Delivery]) -> None:
        subscription = self._by_type.get(group[0].type)
        if subscription is None or group[0].unreadable:
            await self._insist(partial(self._bury, group))
            return
        started = time.perf_counter()
        try:
            count = await self._insist(partial(self._handle, subscription, group))
        except Exception as error:  # noqa: BLE001 - whatever a handler raises, its events must end somewhere
            await self._raised(group, error)
            return
        seconds = time.perf_counter() - started
        self._metrics.handled(count, seconds, group[0].time_unix_micros)
        logs.line(
            logs.INFO,
            "consumer",
            "batch",
            {
                "queue": self._queue,
                "type": subscription.type,
                "envelopes": len(group),
                "events": count,
                "ms": round(seconds * 1000, 1),
            },
        )

    async def _raised(self, group: Sequence[Delivery], error: Exception) -> None:
        logger.bind(queue=self._queue, envelopes=[str(delivery.envelope_id) for delivery in group]).opt(
            exception=error
        ).error("handler raised")
        if len(group) > 1:
            for delivery in group:
                await self._work_group([delivery])
        elif len(group[0].bodies) > 1:
            await self._insist(partial(self._explode, group[0]))
        else:
            await self._insist(partial(self._climb_alone, group[0], type(error).__name__))

    async def _insist(self, work: Callable[[], Awaitable[Any]]) -> Any:
        return await insist(work, self._queue, self._metrics)

    async def _handle(self, subscription: Subscription, group: Sequence[Delivery]) -> int:
        undecodable = []
        for delivery in group:
            undecodable += self._decode(subscription, delivery)
            # Nobody waits for this batch yet, but others may hold locks and wait for their turn of the loop.
            await asyncio.sleep(0)
        events = [event for delivery in group for _, event in delivery.events]
        facts = [await subscription.ask(events)] if subscription.ask is not None and events else []
        count: int = await _in_transaction(self._db, partial(self._transact, subscription, group, undecodable, facts))
        return count

    def _decode(self, subscription: Subscription, delivery: Delivery) -> list[tuple[Delivery, bytes, DomainError]]:
        """Fill `delivery.events`; returns what cannot be decoded."""
        delivery.events = []
        failed: list[tuple[Delivery, bytes, DomainError]] = []
        for body in delivery.bodies:
            try:
                delivery.events.append((body, subscription.decode(subscription.message.FromString(body))))
            except DecodeError:
                failed.append((delivery, body, EnvelopeUnreadable()))
            except DomainError as error:
                failed.append((delivery, body, error))
        return failed

    async def _transact(
        self,
        subscription: Subscription,
        group: Sequence[Delivery],
        undecodable: Sequence[tuple[Delivery, bytes, DomainError]],
        facts: Sequence[Any],
        tx: Tx,
    ) -> int:
        fresh = await self._claim(tx, group)
        events = [event for delivery in group if delivery.envelope_id in fresh for _, event in delivery.events]
        refused = list(await subscription.handle(tx, events, *facts) or ()) if events else []
        rows, climbs = [], []
        home = _homes(group) if refused else {}
        for verdict in refused:
            delivery, body = home[id(verdict.event)]
            dead = verdict.for_good or delivery.attempt >= len(self._ladder_ms)
            rows.append(self._hop(delivery, body, verdict.error.code, type(verdict.error).__name__, dead))
            climbs.append(Climb(verdict.event, verdict.error, delivery.attempt + 1, dead))
        for delivery, body, error in undecodable:
            if delivery.envelope_id in fresh:
                rows.append(self._hop(delivery, body, error.code, type(error).__name__, dead=True))
        if climbs and subscription.on_climb is not None:
            await subscription.on_climb(tx, climbs)
        await outbox.append_rows(tx, rows)
        self._metrics.refused(len(rows))
        return len(events)

    async def _explode(self, delivery: Delivery) -> None:
        """Each event becomes an envelope of one to the home queue, so that the culprit stands alone."""
        await self._replace(
            [delivery], lambda each, body: self._envelope_of_one(each, body, "", self._queue, headers=None)
        )
        self._metrics.exploded(len(delivery.bodies))

    async def _climb_alone(self, delivery: Delivery, error_class: str) -> None:
        dead = delivery.attempt >= len(self._ladder_ms)
        await self._replace([delivery], lambda each, body: self._hop(each, body, HandlerFailed.code, error_class, dead))
        self._metrics.refused(1)

    async def _bury(self, group: Sequence[Delivery]) -> None:
        """What nobody here can read goes to the dead letters as it is."""
        await self._replace(
            group,
            lambda each, body: self._hop(each, body, EnvelopeUnreadable.code, EnvelopeUnreadable.__name__, dead=True),
        )
        self._metrics.refused(len(group))

    async def _replace(self, group: Sequence[Delivery], hop: Callable[[Delivery, bytes], Outgoing]) -> None:
        """Claim the envelopes and send their events on, one by one, in one transaction."""

        async def replace(tx: Tx) -> None:
            fresh = await self._claim(tx, group)
            rows = [hop(each, body) for each in group if each.envelope_id in fresh for body in each.bodies]
            await outbox.append_rows(tx, rows)

        await _in_transaction(self._db, replace)

    async def _claim(self, tx: Tx, group: Sequence[Delivery]) -> set[UUID]:
        """The envelopes that were not worked before, now ours; in sorted order, as everything shared is."""
        result = await tx.execute(
            _CLAIM, consumer=self._queue, ids=sorted({delivery.envelope_id for delivery in group})
        )
        return set(result.scalars())

    def _hop(self, delivery: Delivery, body: bytes, error_code: str, error_class: str, dead: bool) -> Outgoing:
        """One event on its way to the next rung, or to the dead letters."""
        headers: dict[str, str | int] = {
            envelopes.ATTEMPT: delivery.attempt + 1,
            envelopes.FIRST_FAILED: delivery.first_failed_unix_micros or time.time_ns() // 1000,
            envelopes.ERROR_CLASS: error_class,
            envelopes.ERROR_CODE: error_code,
        }
        if dead:
            return self._envelope_of_one(delivery, body, "", self._queue + topology.DEAD_LETTERS, headers)
        return self._envelope_of_one(
            delivery, body, topology.rung(self._ladder_ms[delivery.attempt]), self._queue, headers
        )

    def _envelope_of_one(
        self, delivery: Delivery, body: bytes, exchange: str, routing_key: str, headers: dict[str, str | int] | None
    ) -> Outgoing:
        envelope_id, sealed = envelopes.seal(delivery.producer, delivery.type, [body], delivery.traceparent)
        return Outgoing(envelope_id, exchange, routing_key, True, delivery.type, sealed, headers)


def _homes(group: Sequence[Delivery]) -> dict[int, tuple[Delivery, bytes]]:
    """Where each event came from, by the identity of the object that the handler was given."""
    return {id(event): (delivery, body) for delivery in group for body, event in delivery.events}


async def insist(work: Callable[[], Awaitable[Any]], queue: str, metrics: QueueMetrics) -> Any:
    """Do *work*, again and again while it is the infrastructure that fails; raises what is anybody else's fault."""
    pause_seconds = 0.1
    while True:
        try:
            return await work()
        except Exception as error:
            if not _infrastructure(error):
                raise
            logger.bind(queue=queue).warning("waiting: {}", type(error).__name__)
            metrics.paused()
            await asyncio.sleep(pause_seconds)
            pause_seconds = min(pause_seconds * 2, PAUSE_SECONDS_MAX)


@retried
async def _in_transaction(db: Database, work: Callable[[Tx], Awaitable[Any]]) -> Any:
    async with db.begin() as tx:
        return await work(tx)


def _infrastructure(error: Exception) -> bool:
    """Not the event's fault: the same work may succeed later."""
    if isinstance(error, grpc.aio.AioRpcError):
        return error.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)
    return isinstance(error, Unavailable) or is_transient(error)
