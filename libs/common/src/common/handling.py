"""What is done with the deliveries of one queue: claim, handle, redeliver what was refused. Knows nothing of channels.

What happens to an event that is not handled:

- the handler refuses it: it leaves in the same transaction, through the outbox, for the next retry tier, or for the
  dead letters when its kind of error is permanent or no tier is left;
- the handler raises on several envelopes: each is tried by itself; on an envelope of several events: it is split into
  envelopes of one, so that the culprit stands alone; on an envelope of one: that one goes to the next retry tier;
- the infrastructure is at fault: the same messages are tried again in place, nothing is lost, no retry is used up.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, Generic, Protocol
from uuid import UUID

import grpc
from google.protobuf.message import DecodeError, Message
from loguru import logger
from msgspec import Struct
from msgspec.structs import force_setattr
from typing_extensions import TypeVar

from common import context, envelopes, logs, outbox, topology
from common.database import Database, Statement, Tx, is_transient, retried
from common.envelopes import Delivery
from common.errors import (
    KINDS,
    Conflict,
    DomainError,
    FailedPrecondition,
    InvalidArgument,
    KeyReused,
    NotFound,
    PermissionDenied,
    ResourceExhausted,
    TooLarge,
    Unauthenticated,
    Unavailable,
    Unresolved,
    kind_of,
)
from common.events import micros
from common.guards import FRESH_HEADERS, INBOX_CLAIM
from common.metrics import QueueMetrics
from common.outbox import HeaderValue, Outgoing

M = TypeVar("M", bound=Message, default=Any)
E = TypeVar("E", default=Any)
E_contra = TypeVar("E_contra", contravariant=True)
F = TypeVar("F", default=Any)
F_contra = TypeVar("F_contra", contravariant=True)
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

# A batch takes envelopes until it holds so many events; what a transaction costs whatever its size is little by then.
BATCH_EVENTS_MAX = 512
# From the second redelivery on, an envelope travels alone: whoever takes the process down must not take the rest along.
REDELIVERIES_MAX = 2
PAUSE_SECONDS_MAX = 5.0

# Whether an event that is refused with this kind of error is tried again on the retry schedule; if not, the error is
# permanent and the event goes straight to the dead letters. What waits for something that is not there yet is a
# FailedPrecondition (OrderNotKnownYet), not a NotFound.
IS_RETRIED: Mapping[type[DomainError], bool] = {
    Unavailable: True,
    FailedPrecondition: True,
    ResourceExhausted: True,
    Unresolved: True,
    Conflict: True,
    InvalidArgument: False,
    NotFound: False,
    KeyReused: False,
    Unauthenticated: False,
    PermissionDenied: False,
    TooLarge: False,
}
assert IS_RETRIED.keys() == set(KINDS), "every kind of error is either retried or permanent"


class EnvelopeUnreadable(InvalidArgument):
    """The message is not an envelope, or not of a type that this queue handles."""

    fix = "Read the dead letter; replay it once a version that understands it is deployed, or discard it."


class HandlerFailed(FailedPrecondition):
    """The handler raised on this event: a bug, or data that it was not written for."""

    fix = "Find the trace in the log by the envelope's id, fix the cause, then replay."


class Refused(Struct, frozen=True):
    """Until all services have moved: one refused event. Handlers return a list that is aligned with their input."""

    event: Any
    error: DomainError
    for_good: bool = False


class Retry(Struct, Generic[E], frozen=True):
    """What becomes of a refused event, for handlers that announce it."""

    event: E
    error: DomainError
    # How often it has been tried by now.
    attempt: int
    # No retry tier is left, or the error is permanent.
    dead: bool


Outcomes = Sequence[DomainError | None] | Sequence[Refused] | None


class Handler(Protocol[E_contra]):
    def __call__(self, tx: Tx, events: Sequence[E_contra], /) -> Awaitable[Outcomes]:
        """For each event, in order, why it is refused, or None; None alone when all of them are handled."""
        ...


class FetchingHandler(Protocol[E_contra, F_contra]):
    def __call__(self, tx: Tx, events: Sequence[E_contra], snapshot: F_contra, /) -> Awaitable[Outcomes]:
        """As Handler, with what was fetched before the transaction; it may be stale by now."""
        ...


class Subscription(Struct, Generic[M, E, F], frozen=True):
    """One message type on one queue.

    `handle(tx, events)` runs in the transaction that claims the events. With `fetch`, `fetch(events)` runs before it
    and reads the outside, and handle gets the result as a third argument. `on_retry(tx, retries)` runs in the
    handler's transaction after events were refused.
    """

    queue: str
    message: type[M]
    decode: Callable[[M], E]
    handle: Handler[E] | FetchingHandler[E, F]
    fetch: Callable[[Sequence[E]], Awaitable[F]] | None = None
    on_retry: Callable[[Tx, Sequence[Retry[E]]], Awaitable[None]] | None = None
    # Nobody waits for its effects: batches may wait for more company. A queue is so when all on it are.
    low_priority: bool = False
    # More than the usual where events of one batch have much in common. A queue takes the most of what is on it.
    events_max: int = BATCH_EVENTS_MAX
    # Old names, until all services have moved.
    ask: Any = None
    on_climb: Any = None
    unhurried: bool = False

    def __post_init__(self) -> None:
        if self.ask is not None:
            force_setattr(self, "fetch", self.ask)
        if self.on_climb is not None:
            force_setattr(self, "on_retry", self.on_climb)
        if self.unhurried:
            force_setattr(self, "low_priority", True)

    @property
    def type(self) -> str:
        return self.message.DESCRIPTOR.full_name


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
        self._retry_schedule_ms = tuple(retry_schedule_ms)
        self._metrics = QueueMetrics(queue)
        self._claims = db.guards.has(INBOX_CLAIM)
        self._has_fresh_headers = db.guards.has(FRESH_HEADERS)

    async def work(self, deliveries: Sequence[Delivery]) -> None:
        """Bring every delivery to its end, whatever it takes; when it returns all of them may be acked."""
        groups: dict[str, list[Delivery]] = {}
        suspects = []
        # The claim tells envelopes apart that were handled before, not two copies of one in the same batch.
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
                    await self._until_available(partial(self._split, delivery))
                else:
                    await self._work_group([delivery])

    async def _work_group(self, group: Sequence[Delivery]) -> None:
        subscription = self._by_type.get(group[0].type)
        if subscription is None or group[0].unreadable:
            await self._until_available(partial(self._dead_letter, group))
            return
        clock = self._db.clock
        started = clock.monotonic()
        try:
            count = await self._until_available(partial(self._handle, subscription, group))
        except Exception as error:  # noqa: BLE001 - whatever a handler raises, its events must end somewhere
            await self._raised(group, error)
            return
        seconds = clock.monotonic() - started
        lag_seconds = (micros(clock.now()) - group[0].time_unix_micros) / 1_000_000
        self._metrics.handled(count, seconds, lag_seconds)
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
            await self._until_available(partial(self._split, group[0]))
        else:
            await self._until_available(partial(self._retry_alone, group[0], type(error).__name__))

    async def _until_available(self, work: Callable[[], Awaitable[R]]) -> R:
        return await retry_until_available(work, self._queue, self._metrics)

    async def _handle(self, subscription: Subscription, group: Sequence[Delivery]) -> int:
        undecodable: list[Undecodable] = []
        for delivery in group:
            undecodable += self._decode(subscription, delivery)
            # Nobody waits for this batch yet, but others may hold locks and wait for their turn of the loop.
            await asyncio.sleep(0)
        events = [event for delivery in group for _, event in delivery.events]
        snapshots = [await subscription.fetch(events)] if subscription.fetch is not None and events else []
        return await _in_transaction(self._db, partial(self._transact, subscription, group, undecodable, snapshots))

    def _decode(self, subscription: Subscription, delivery: Delivery) -> list[Undecodable]:
        """Fill `delivery.events`; returns what cannot be decoded."""
        delivery.events = []
        undecodable: list[Undecodable] = []
        for body in delivery.bodies:
            try:
                delivery.events.append((body, subscription.decode(subscription.message.FromString(body))))
            except DecodeError:
                undecodable.append((delivery, body, EnvelopeUnreadable()))
            except DomainError as error:
                undecodable.append((delivery, body, error))
        return undecodable

    async def _transact(
        self,
        subscription: Subscription,
        group: Sequence[Delivery],
        undecodable: Sequence[Undecodable],
        snapshots: Sequence[Any],
        tx: Tx,
    ) -> int:
        claimed = await self._claim(tx, group)
        events = [event for delivery in group if delivery.envelope_id in claimed for _, event in delivery.events]
        outcomes = _aligned(events, await subscription.handle(tx, events, *snapshots)) if events else None
        rows: list[Outgoing] = []
        retries: list[Retry[Any]] = []
        if outcomes is not None:
            sources = (
                (delivery, body, event)
                for delivery in group
                if delivery.envelope_id in claimed
                for body, event in delivery.events
            )
            for (delivery, body, event), refusal in zip(sources, outcomes, strict=True):
                if refusal is not None:
                    error, is_retried = refusal
                    dead = not is_retried or delivery.attempt >= len(self._retry_schedule_ms)
                    rows.append(self._redelivery(delivery, body, error.code, type(error).__name__, dead))
                    retries.append(Retry(event, error, delivery.attempt + 1, dead))
        for delivery, body, error in undecodable:
            if delivery.envelope_id in claimed:
                rows.append(self._redelivery(delivery, body, error.code, type(error).__name__, dead=True))
        if retries and subscription.on_retry is not None:
            await subscription.on_retry(tx, retries)
        await outbox.append_rows(tx, rows)
        self._metrics.refused(len(rows))
        return len(events)

    async def _split(self, delivery: Delivery) -> None:
        """Each event becomes an envelope of one to the home queue, so that the culprit stands alone."""
        await self._replace(
            [delivery], lambda each, body: self._envelope_of_one(each, body, "", self._queue, headers=None)
        )
        self._metrics.split(len(delivery.bodies))

    async def _retry_alone(self, delivery: Delivery, error_class: str) -> None:
        dead = delivery.attempt >= len(self._retry_schedule_ms)
        await self._replace(
            [delivery], lambda each, body: self._redelivery(each, body, HandlerFailed.code, error_class, dead)
        )
        self._metrics.refused(1)

    async def _dead_letter(self, group: Sequence[Delivery]) -> None:
        """What nobody here can read goes to the dead letters as it is."""
        code, error_class = EnvelopeUnreadable.code, EnvelopeUnreadable.__name__
        await self._replace(group, lambda each, body: self._redelivery(each, body, code, error_class, dead=True))
        self._metrics.refused(len(group))

    async def _replace(self, group: Sequence[Delivery], outgoing: Callable[[Delivery, bytes], Outgoing]) -> None:
        """Claim the envelopes and send their events on, one by one, in one transaction."""

        async def replace(tx: Tx) -> None:
            claimed = await self._claim(tx, group)
            rows = [outgoing(each, body) for each in group if each.envelope_id in claimed for body in each.bodies]
            await outbox.append_rows(tx, rows)

        await _in_transaction(self._db, replace)

    async def _claim(self, tx: Tx, group: Sequence[Delivery]) -> set[UUID]:
        """The envelopes that were not handled before, now ours; in sorted order, as everything shared is."""
        envelope_ids = sorted({delivery.envelope_id for delivery in group})
        claimed = await tx.execute(_CLAIM, consumer=self._queue, ids=envelope_ids)
        return set(claimed.scalars() if self._claims else envelope_ids)

    def _redelivery(self, delivery: Delivery, body: bytes, error_code: str, error_class: str, dead: bool) -> Outgoing:
        """One event on its way to the next retry tier, or to the dead letters."""
        headers: dict[str, HeaderValue] = {} if self._has_fresh_headers else dict(delivery.headers)
        headers |= {
            envelopes.ATTEMPT: delivery.attempt + 1,
            envelopes.FIRST_FAILED: delivery.first_failed_unix_micros or micros(self._db.clock.now()),
            envelopes.ERROR_CLASS: error_class,
            envelopes.ERROR_CODE: error_code,
        }
        if dead:
            return self._envelope_of_one(delivery, body, "", self._queue + topology.DEAD_LETTERS, headers)
        tier = topology.retry_tier(self._retry_schedule_ms[delivery.attempt])
        return self._envelope_of_one(delivery, body, tier, self._queue, headers)

    def _envelope_of_one(
        self,
        delivery: Delivery,
        body: bytes,
        exchange: str,
        routing_key: str,
        headers: Mapping[str, HeaderValue] | None,
    ) -> Outgoing:
        envelope_id, sealed = envelopes.seal(
            delivery.producer, delivery.type, [body], delivery.traceparent, clock=self._db.clock
        )
        return Outgoing(envelope_id, exchange, routing_key, True, delivery.type, sealed, headers)


def _aligned(events: Sequence[Any], outcomes: Outcomes) -> Sequence[tuple[DomainError, bool] | None] | None:
    """For each event, its error and whether it is tried again, or None; None when nothing was refused."""
    refused = [outcome for outcome in outcomes or () if outcome is not None]
    if not refused:
        return None
    if isinstance(refused[0], Refused):
        # The old convention: a sparse list, by the identity of the events.
        by_event = {id(each.event): (each.error, not each.for_good) for each in refused if isinstance(each, Refused)}
        assert by_event.keys() <= {id(event) for event in events}, "a handler refuses the very events it was given"
        return [by_event.get(id(event)) for event in events]
    return [
        (outcome, IS_RETRIED[kind_of(outcome)]) if isinstance(outcome, DomainError) else None
        for outcome in outcomes or ()
    ]


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
    return isinstance(error, Unavailable) or is_transient(error)


# Until all services have moved.
Climb = Retry
insist = retry_until_available
