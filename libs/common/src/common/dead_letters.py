"""Dead letters: events that no retry will handle, kept in a table where people can read, replay and discard them.

The broker's `<queue>.dlq` is emptied into the table by its owner, so that one dead letter can be closed by itself,
with a name and a reason, in a transaction. A replay goes to the home queue through the outbox under a fresh envelope
with fresh headers; the permanent business keys, not the inbox, keep its effect single.
"""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from google.protobuf.message import Message

from commdesk.common.v1.events_pb2 import AdminAlertRaised
from common import envelopes, ids, messages, outbox
from common.database import Database, Row, Statement, Tx, retried
from common.envelopes import Delivery
from common.errors import InvalidArgument
from common.events import alert, from_micros
from common.messages import MessageUnreadable
from common.metrics import QueueMetrics
from common.outbox import Outgoing
from common.queue_handler import retry_until_available
from common.subscriptions import DeadEvent, Subscription
from common.topology import DEAD_LETTERS, REQUEUE

LIST_MAX = 500

_KEEP = Statement(
    "dead_letters.keep",
    """
insert into dead_letters (dead_letter_id, source_id, queue, type, event, producer, error_code, error_class, attempts,
                          first_failed_at, dead_at)
select * from unnest(cast(:ids as uuid[]), cast(:sources as uuid[]), cast(:queues as text[]), cast(:types as text[]),
                     cast(:events as bytea[]), cast(:producers as text[]), cast(:codes as text[]),
                     cast(:classes as text[]), cast(:attempts as int[]), cast(:first_failed as timestamptz[]),
                     cast(:dead as timestamptz[]))
on conflict (source_id) do nothing
returning dead_letter_id, queue, error_code
""",
)

_LIST = Statement(
    "dead_letters.list",
    """
select dead_letter_id, queue, type, event, error_code, error_class, attempts, first_failed_at, dead_at, status, actor,
       reason
from dead_letters
where status = :status and (:queue = '' or queue = :queue) and (:type = '' or type = :type)
  and (:error_code = '' or error_code = :error_code)
  and (cardinality(cast(:ids as uuid[])) = 0 or dead_letter_id = any(cast(:ids as uuid[])))
order by dead_at limit :rows
""",
)

_CLOSE = Statement(
    "dead_letters.close",
    """
update dead_letters set status = :status, actor = :actor, reason = :reason, closed_at = now()
where dead_letter_id in (
    select dead_letter_id from dead_letters
    where dead_letter_id = any(cast(:ids as uuid[])) and status = 'OPEN' order by dead_letter_id for update
)
returning dead_letter_id, queue, type, event, producer
""",
)


class ReasonMissing(InvalidArgument):
    """Nobody replays or discards a dead letter without a name and a reason."""

    fix = "Say who you are and why, so that the next person understands it."


async def keep(
    db: Database, queue: str, deliveries: Sequence[Delivery], *, subscriptions: Sequence[Subscription] = ()
) -> None:
    """Store what arrived in `<queue>.dlq`, however long the database takes to be there.

    The first time it alerts, and has the subscription of the event's type announce it.
    """
    on_dead = {each.type: each for each in subscriptions if each.on_dead is not None}
    rows = [(delivery, body) for delivery in deliveries for body in delivery.bodies]

    @retried
    async def store(db: Database) -> None:
        now = db.clock.now()
        async with db.begin() as tx:
            dead_letter_ids = [ids.new() for _ in rows]
            result = await tx.execute(
                _KEEP,
                ids=dead_letter_ids,
                sources=[_source(delivery, number) for number, (delivery, _) in enumerate(rows)],
                queues=[queue for _ in rows],
                types=[delivery.type for delivery, _ in rows],
                events=[body for _, body in rows],
                producers=[delivery.producer for delivery, _ in rows],
                codes=[delivery.error_code or "delivery_limit" for delivery, _ in rows],
                classes=[delivery.error_class or "DeliveryLimit" for delivery, _ in rows],
                attempts=[delivery.attempt for delivery, _ in rows],
                first_failed=[_moment(delivery.first_failed_unix_micros, now) for delivery, _ in rows],
                dead=[now for _ in rows],
            )
            bodies = dict(zip(dead_letter_ids, rows, strict=True))
            dead_events: dict[str, list[DeadEvent]] = {}
            for row in result:
                delivery, body = bodies[row.dead_letter_id]
                subscription = on_dead.get(delivery.type)
                message = _readable(subscription, body) if subscription is not None else None
                if message is not None:
                    dead_events.setdefault(delivery.type, []).append(DeadEvent(message, row.error_code))
            for type_name, events in dead_events.items():
                announce = on_dead[type_name].on_dead
                assert announce is not None, "only these were collected"
                await announce(tx, events)
            await outbox.append(tx, [_alert(tx.service, row, now) for row in result])

    await retry_until_available(lambda: store(db), queue + DEAD_LETTERS, QueueMetrics(queue + DEAD_LETTERS))


async def find(
    tx: Tx,
    *,
    queue: str = "",
    type_name: str = "",
    error_code: str = "",
    status: str = "OPEN",
    dead_letter_ids: Sequence[UUID] = (),
    limit: int = 100,
) -> list[Row]:
    """Dead letters by filter, oldest first; empty strings mean any."""
    return await tx.execute(
        _LIST,
        queue=queue,
        type=type_name,
        error_code=error_code,
        status=status or "OPEN",
        ids=list(dead_letter_ids),
        rows=max(1, min(limit, LIST_MAX)),
    )


async def replay(tx: Tx, dead_letter_ids: Sequence[UUID], actor: str, reason: str) -> int:
    """Send open dead letters home once more; how many were open. Raises ReasonMissing."""
    rows = await _close(tx, dead_letter_ids, "REPLAYED", actor, reason)
    outgoing = []
    for row in rows:
        envelope_id, sealed = envelopes.seal(row.producer, row.type, [row.event], clock=tx.clock)
        outgoing.append(Outgoing(envelope_id, REQUEUE, row.queue, True, row.type, sealed))
    await outbox.append_rows(tx, outgoing)
    return len(rows)


async def discard(tx: Tx, dead_letter_ids: Sequence[UUID], actor: str, reason: str) -> int:
    """Close open dead letters without effect; how many were open. Raises ReasonMissing."""
    return len(await _close(tx, dead_letter_ids, "DISCARDED", actor, reason))


async def _close(tx: Tx, dead_letter_ids: Sequence[UUID], status: str, actor: str, reason: str) -> list[Row]:
    if not actor.strip() or not reason.strip():
        raise ReasonMissing
    return await tx.execute(_CLOSE, ids=sorted(dead_letter_ids), status=status, actor=actor[:200], reason=reason[:1000])


def _source(delivery: Delivery, number: int) -> UUID:
    """One id for each event: an envelope that the broker itself gave up on may hold several."""
    if len(delivery.bodies) == 1:
        return delivery.envelope_id
    return UUID(int=delivery.envelope_id.int ^ (number + 1))


def _moment(unix_micros: int, otherwise: datetime) -> datetime:
    return from_micros(unix_micros) if unix_micros else otherwise


def _readable(subscription: Subscription, body: bytes) -> Message | None:
    try:
        message: Message = messages.parse(subscription.message, body)
    except MessageUnreadable:
        return None
    return message


def _alert(service: str, row: Row, now: datetime) -> AdminAlertRaised:
    return alert(
        "dead_letter",
        f"{row.queue}: an event was dead-lettered with {row.error_code}",
        service=service,
        at=now,
        fields={"queue": row.queue, "errorCode": row.error_code},
    )
