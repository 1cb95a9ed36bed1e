"""What is done with the deliveries of one queue: claim, handle, redeliver what was refused. Knows nothing of channels.

What happens to an event that is not handled:

- the handler refuses it, or it cannot be decoded: it leaves in the same transaction, through the outbox, for the next
  retry tier, or for the dead letters when its kind of error is permanent or no tier is left;
- the handler raises on several envelopes: each is tried by itself; on an envelope of several events: it is split into
  envelopes of one, so that the culprit stands alone; on an envelope of one: that one goes to the next retry tier;
- the infrastructure is at fault: the same messages are tried again in place, nothing is lost, no retry is used up. A
  sealed value that does not open is not its fault: such an event is retried on the schedule, then a dead letter.
"""

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Iterable, Sequence
from functools import partial
from itertools import islice, repeat
from typing import Any, TypeVar
from uuid import UUID

import grpc
from loguru import logger
from msgspec import Struct
from msgspec.structs import replace
from opentelemetry.trace import SpanKind

from common import context, event_contexts, logs, messages, outbox, telemetry
from common.context import Context
from common.database import Database, Statement, Tx, is_transient, retried
from common.envelopes import Delivery
from common.errors import DomainError, FailedPrecondition, InvalidArgument, Unavailable
from common.events import micros
from common.guards import INBOX_CLAIM
from common.metrics import QueueLag, QueueMetrics
from common.outbox import Outgoing
from common.redeliveries import Redeliveries
from common.seals import SealBroken
from common.subscriptions import OnRetry, Retry, Subscription, is_retried

R = TypeVar("R")

_CLAIM = Statement(
    "inbox.claim",
    """
insert into inbox (envelope_id, consumer)
select envelope_id, :consumer from unnest(cast(:ids as uuid[])) as claim (envelope_id) order by envelope_id
on conflict do nothing
returning envelope_id
""",
)

# From the second redelivery on, an envelope travels alone: if it takes the process down, the rest must not go along.
REDELIVERIES_MAX = 2
PAUSE_SECONDS_MAX = 5.0


class EnvelopeUnreadable(InvalidArgument):
    """The message is not an envelope, or not of a type that this queue handles."""

    fix = "Read the dead letter; replay it once a version that understands it is deployed, or discard it."


class HandlerFailed(FailedPrecondition):
    """The handler raised on this event: a bug, or data that it was not written for."""

    fix = "Find the trace in the log by the envelope's id, fix the cause, then replay."


class Handled(Struct, frozen=True):
    """A batch that was handled: how many events, and the payments that they are about, as far as a line names them."""

    events: int
    payment_ids: tuple[str, ...]


_PAYMENT = "pay_"

# One event that cannot be decoded: where it came from, its bytes, and why.
Undecodable = tuple[Delivery, bytes, DomainError]


class QueueHandler:
    """The subscriptions of one queue, and the one way in which their handlers are called."""

    def __init__(
        self, db: Database, queue: str, subscriptions: Iterable[Subscription], retry_schedule_ms: Sequence[int]
    ) -> None:
        self._db = db
        self._queue = queue
        self._by_type = {subscription.type: subscription for subscription in subscriptions}
        self._redeliveries = Redeliveries(db, queue, retry_schedule_ms)
        self._metrics = QueueMetrics(queue)
        self.lag = QueueLag(queue, db.clock)
        self._claims = db.guards.has(INBOX_CLAIM)

    async def work(self, deliveries: Sequence[Delivery]) -> None:
        """Bring every delivery to its end, whatever it takes; when it returns all of them may be acked."""
        self.lag.took(delivery.time_unix_micros for delivery in deliveries)
        try:
            await self._work(deliveries)
        finally:
            self.lag.finished()

    async def _work(self, deliveries: Sequence[Delivery]) -> None:
        groups: dict[Hashable, list[Delivery]] = {}
        suspects = []
        # The claim tells envelopes apart that were handled before, not two copies of one in the same batch.
        for delivery in {delivery.envelope_id: delivery for delivery in deliveries}.values():
            if delivery.redeliveries >= REDELIVERIES_MAX:
                suspects.append(delivery)
            else:
                groups.setdefault(self._handled_with(delivery), []).append(delivery)
        for group in groups.values():
            await self._work_group(group)
        # Last, one by one: the others are committed by then, should one of these take the process down again.
        for delivery in suspects:
            if len(delivery.bodies) > 1:
                await self._until_available(partial(self._split, delivery))
            else:
                await self._work_group([delivery])

    def _handled_with(self, delivery: Delivery) -> Hashable:
        """What deliveries of one transaction have in common: who handles them. Types of one handler share it."""
        subscription = self._by_type.get(delivery.type)
        if subscription is None or delivery.unreadable:
            return None
        return subscription.handle, subscription.fetch, subscription.on_retry

    async def _work_group(self, group: Sequence[Delivery]) -> None:
        with context.bind(_context_of(group)):
            await self._work_in_context(group)

    async def _work_in_context(self, group: Sequence[Delivery]) -> None:
        subscription = self._by_type.get(group[0].type)
        if subscription is None or group[0].unreadable:
            await self._until_available(partial(self._dead_letter, group))
            return
        clock = self._db.clock
        started = clock.monotonic()
        try:
            handled = await self._until_available(partial(self._handle, subscription, group))
        except Exception as error:  # noqa: BLE001 - whatever a handler raises, its events must end somewhere
            self._trace(group, clock.monotonic() - started, failed=True)
            await self._raised(group, error)
            return
        seconds = clock.monotonic() - started
        self._metrics.handled(handled.events, seconds)
        self._log(group, handled, seconds)
        self._trace(group, seconds)

    def _log(self, group: Sequence[Delivery], handled: Handled, seconds: float) -> None:
        """One line for the batch. Its context says whose it is: the one request's ids, or links to those of many."""
        if not logs.enabled(logs.INFO):
            return
        fields = {
            "queue": self._queue,
            "type": " ".join(dict.fromkeys(delivery.type for delivery in group)),
            "envelopes": len(group),
            "events": handled.events,
            "ms": round(seconds * 1000, 1),
        }
        if len(handled.payment_ids) > 1:
            fields["paymentIds"] = handled.payment_ids
        elif handled.payment_ids and not context.current().payment_id:
            fields["paymentId"] = handled.payment_ids[0]
        logs.line(logs.INFO, "consumer", "batch", fields)

    def _trace(self, group: Sequence[Delivery], seconds: float, *, failed: bool = False) -> None:
        """The batch's span: within the trace of its one request, or linked to those of many."""
        traceparent = context.current().traceparent
        if not failed and not telemetry.is_sampled(traceparent):
            return
        ended_ns = micros(self._db.clock.now()) * 1000
        origins = [origin.traceparent for origin in _origins(group) if origin.traceparent]
        telemetry.record_span(
            f"{self._queue} process",
            traceparent,
            ended_ns - int(seconds * 1e9),
            ended_ns,
            parent=origins[0] if len(origins) == 1 else None,
            kind=SpanKind.CONSUMER,
            attributes={"messaging.system": "rabbitmq", "messaging.batch.message_count": len(group)},
            links=origins if len(origins) > 1 else (),
            failed=failed,
        )

    async def _raised(self, group: Sequence[Delivery], error: Exception) -> None:
        logger.bind(queue=self._queue, envelopes=[str(delivery.envelope_id) for delivery in group]).opt(
            exception=error
        ).error("handler raised")
        if len(group) > 1:
            for delivery in group:
                await self._work_group([delivery])
        elif len(group[0].bodies) > 1:
            await self._until_available(partial(self._split, group[0]))
        else:
            await self._retry_alone(group[0], type(error).__name__)

    async def _until_available(self, work: Callable[[], Awaitable[R]]) -> R:
        return await retry_until_available(work, self._queue, self._metrics)

    async def _handle(self, subscription: Subscription, group: Sequence[Delivery]) -> Handled:
        undecodable: list[Undecodable] = []
        for delivery in group:
            undecodable += self._decode(delivery)
            # Nobody waits for this batch yet, but others may hold locks and wait for their turn of the loop.
            await asyncio.sleep(0)
        events = [event for delivery in group for _, event in delivery.events]
        if len(events) == 1:
            _note_subject(group)
        snapshots = [await subscription.fetch(events)] if subscription.fetch is not None and events else []
        return await _in_transaction(self._db, partial(self._transact, subscription, group, undecodable, snapshots))

    def _decode(self, delivery: Delivery) -> list[Undecodable]:
        """Fill `delivery.events`; returns what cannot be decoded."""
        subscription = self._by_type[delivery.type]
        delivery.events, delivery.parsed = [], []
        undecodable: list[Undecodable] = []
        for body, origin in zip(delivery.bodies, delivery.contexts or repeat(b""), strict=False):
            try:
                message = messages.parse(subscription.message, body)
                delivery.events.append((body, subscription.decode(message)))
                delivery.parsed.append((origin, message))
            except DomainError as error:
                undecodable.append((delivery, body, error))
            except Exception as error:  # noqa: BLE001 - one bad event must not fail the others
                logger.bind(queue=self._queue, envelope=str(delivery.envelope_id)).warning(
                    "an event cannot be decoded: {}", type(error).__name__
                )
                undecodable.append((delivery, body, EnvelopeUnreadable()))
        return undecodable

    async def _transact(
        self,
        subscription: Subscription,
        group: Sequence[Delivery],
        undecodable: Sequence[Undecodable],
        snapshots: Sequence[Any],
        tx: Tx,
    ) -> Handled:
        if context.current().links:
            tx.contexts = _contexts_by_subject(group)
        claimed = await self._claim(tx, group)
        events = [event for delivery in group if delivery.envelope_id in claimed for _, event in delivery.events]
        outcomes = await subscription.handle(tx, events, *snapshots) if events else None
        rows: list[Outgoing] = []
        dead_count = 0
        retries: list[Retry[Any]] = []
        if outcomes is not None:
            sources = (
                (delivery, body, event)
                for delivery in group
                if delivery.envelope_id in claimed
                for body, event in delivery.events
            )
            for (delivery, body, event), error in zip(sources, outcomes, strict=True):
                if error is not None:
                    dead = not is_retried(error) or self._redeliveries.is_last(delivery)
                    rows.append(self._redeliveries.again(delivery, body, error.code, type(error).__name__, dead))
                    retries.append(Retry(event, error, delivery.attempt + 1, dead))
                    dead_count += dead
        for delivery, body, reason in undecodable:
            if delivery.envelope_id in claimed:
                dead = not is_retried(reason) or self._redeliveries.is_last(delivery)
                rows.append(self._redeliveries.again(delivery, body, reason.code, type(reason).__name__, dead))
                dead_count += dead
        if retries and subscription.on_retry is not None:
            await subscription.on_retry(tx, retries)
        await outbox.append_rows(tx, rows)
        self._metrics.dead(dead_count)
        self._metrics.retried(len(rows) - dead_count)
        payment_ids = (key for key in tx.contexts if key.startswith(_PAYMENT))
        return Handled(len(events), tuple(islice(payment_ids, context.LINKS_MAX)))

    async def _split(self, delivery: Delivery) -> None:
        """Each event becomes an envelope of one to the home queue, so that the culprit stands alone."""
        await self._replace([delivery], self._redeliveries.alone)
        self._metrics.split(len(delivery.bodies))

    async def _retry_alone(self, delivery: Delivery, error_class: str) -> None:
        """The next retry tier for an event on which the handler raised, announced as a refusal is."""
        announce = self._by_type[delivery.type].on_retry if delivery.events else None
        if announce is not None:
            try:
                await self._until_available(partial(self._replace_failed, delivery, error_class, announce))
                return
            except Exception as error:  # noqa: BLE001 - what cannot be announced must still end somewhere
                logger.bind(queue=self._queue).opt(exception=error).error("a retry cannot be announced")
        await self._until_available(partial(self._replace_failed, delivery, error_class, None))

    async def _replace_failed(self, delivery: Delivery, error_class: str, announce: OnRetry | None) -> None:
        dead = self._redeliveries.is_last(delivery)
        retries = [Retry(event, HandlerFailed(), delivery.attempt + 1, dead) for _, event in delivery.events]
        await self._replace(
            [delivery],
            lambda each, body: self._redeliveries.again(each, body, HandlerFailed.code, error_class, dead),
            partial(announce, retries=retries) if announce is not None else None,
        )
        (self._metrics.dead if dead else self._metrics.retried)(1)

    async def _dead_letter(self, group: Sequence[Delivery]) -> None:
        """What nobody here can read goes to the dead letters as it is."""
        code, error_class = EnvelopeUnreadable.code, EnvelopeUnreadable.__name__
        await self._replace(
            group, lambda each, body: self._redeliveries.again(each, body, code, error_class, dead=True)
        )
        self._metrics.dead(len(group))

    async def _replace(
        self,
        group: Sequence[Delivery],
        outgoing: Callable[[Delivery, bytes], Outgoing],
        announce: Callable[[Tx], Awaitable[None]] | None = None,
    ) -> None:
        """Claim the envelopes and send their events on, one by one, in one transaction."""

        async def replace(tx: Tx) -> None:
            claimed = await self._claim(tx, group)
            if claimed and announce is not None:
                await announce(tx)
            rows = [outgoing(each, body) for each in group if each.envelope_id in claimed for body in each.bodies]
            await outbox.append_rows(tx, rows)

        await _in_transaction(self._db, replace)

    async def _claim(self, tx: Tx, group: Sequence[Delivery]) -> set[UUID]:
        """The envelopes that were not handled before, now ours; in sorted order, as everything shared is."""
        envelope_ids = sorted({delivery.envelope_id for delivery in group})
        claimed = await tx.execute(_CLAIM, consumer=self._queue, ids=envelope_ids)
        return set(claimed.scalars() if self._claims else envelope_ids)


def _origins(group: Sequence[Delivery]) -> list[Context]:
    """The contexts from which the events of *group* come, at most as many as are linked."""
    raws = dict.fromkeys(raw for delivery in group for raw in delivery.contexts)
    if not any(raws):
        # An envelope from before: it has the trace of the work that announced it, and nothing else.
        return [Context(traceparent=each) for each in {d.traceparent for d in group} if context.is_traceparent(each)]
    return [event_contexts.opened(raw) for raw in islice(raws, context.LINKS_MAX)]


def _context_of(group: Sequence[Delivery]) -> Context:
    """In which the events of *group* are handled: a span of their one request, or of a batch that links them."""
    origin = context.of_batch(_origins(group) or [context.EMPTY])
    if origin.links or not origin.traceparent:
        return origin
    return replace(origin, traceparent=context.child_traceparent(origin.traceparent))


def _contexts_by_subject(group: Sequence[Delivery]) -> dict[str, bytes]:
    """For the announcements of a batch: each takes the context of the event that is about the same thing."""
    return {
        key: origin
        for delivery in group
        for origin, message in delivery.parsed
        if origin
        for key in event_contexts.keys_of(message)
    }


def _note_subject(group: Sequence[Delivery]) -> None:
    for delivery in group:
        for _, message in delivery.parsed:
            subject = event_contexts.only(event_contexts.subjects_of(message))
            context.note(payment_id=subject.payment_id, order_id=subject.order_id, user_id=subject.user_id)


async def retry_until_available(work: Callable[[], Awaitable[R]], queue: str, metrics: QueueMetrics) -> R:
    """Do *work*, again and again while the infrastructure fails; raises what is anybody else's fault."""
    pause_seconds = 0.1
    while True:
        try:
            return await work()
        except Exception as error:
            if not _is_infrastructure(error):
                raise
            logger.bind(queue=queue).warning("waiting: {}", type(error).__name__)
            metrics.paused()
            await asyncio.sleep(pause_seconds)
            pause_seconds = min(pause_seconds * 2, PAUSE_SECONDS_MAX)


@retried
async def _in_transaction(db: Database, work: Callable[[Tx], Awaitable[R]]) -> R:
    async with db.begin() as tx:
        return await work(tx)


def _is_infrastructure(error: Exception) -> bool:
    """Not the event's fault: the same work may succeed later."""
    if isinstance(error, grpc.aio.AioRpcError):
        return error.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)
    # A key may come back, but what was sealed with none of ours never opens, and every publisher of the event can write
    # such a value: it must not hold up its queue. By the code, because a service that we call may have met it.
    if isinstance(error, DomainError) and error.code == SealBroken.code:
        return False
    return isinstance(error, Unavailable) or is_transient(error)
