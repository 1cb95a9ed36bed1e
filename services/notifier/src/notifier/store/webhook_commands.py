"""Writes about webhooks: endpoints, events with their deliveries, leases and outcomes."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from uuid import UUID

import msgspec
from msgspec import Struct

from common import ids
from common.database import Tx
from notifier.domain.webhook_deliveries import Attempt, Delivery, NextStep, Trigger
from notifier.domain.webhook_endpoints import Endpoint
from notifier.domain.webhook_events import WebhookEvent
from notifier.store.webhook_kinds import ANSWER, HEADERS, SECRETS
from notifier.store.webhook_queries import DELIVERY_COLUMNS, delivery_of, endpoint_of

_INSERT_ENDPOINT = """
insert into webhook_endpoints (id, merchant_id, url, description, events, headers, secrets, status, disabled_reason,
                               failing_since, created_by, created_at)
values (:id, :merchant_id, :url, :description, cast(:events as text[]), :headers, :secrets, :status, :disabled_reason,
        :failing_since, :created_by, :created_at)
"""
_SAVE_ENDPOINT = """
update webhook_endpoints set url = :url, description = :description, events = cast(:events as text[]),
    headers = :headers, secrets = :secrets, status = :status, disabled_reason = :disabled_reason,
    failing_since = :failing_since
where id = :id
"""
_LOCK_ENDPOINTS = """
select * from webhook_endpoints where id = any(cast(:ids as uuid[])) order by id for no key update
"""
# One merchant's endpoints are counted and made one after the other.
_LOCK_MERCHANT = "select pg_advisory_xact_lock(hashtextextended('webhook_endpoints:' || :merchant_id, 0))"
_INSERT_EVENTS = """
insert into webhook_events (id, merchant_id, type, object_id, seq, at, body)
select id, merchant_id, type, object_id, seq, at, body
from unnest(cast(:ids as uuid[]), cast(:merchant_ids as text[]), cast(:types as text[]), cast(:object_ids as text[]),
            cast(:seqs as bigint[]), cast(:ats as timestamptz[]), cast(:bodies as bytea[]))
     as row (id, merchant_id, type, object_id, seq, at, body)
order by id
on conflict (id) do nothing
"""
_INSERT_DELIVERIES = """
insert into webhook_deliveries (id, endpoint_id, event_id, merchant_id, type, object_id, seq, status, trigger,
                                next_retry_at, created_at)
select row.id, endpoint_id, event_id, e.merchant_id, e.type, e.object_id, e.seq, 'PENDING', :trigger, :now, :now
from unnest(cast(:ids as uuid[]), cast(:endpoint_ids as uuid[]), cast(:event_ids as uuid[]))
     as row (id, endpoint_id, event_id)
join webhook_events e on e.id = event_id
order by endpoint_id, event_id
on conflict (endpoint_id, event_id) do nothing
"""
_RESEND = f"""
update webhook_deliveries set status = 'PENDING', trigger = 'MANUAL', next_retry_at = :now, finished_at = null
where id in (
    select id from webhook_deliveries where id = any(cast(:ids as uuid[])) and status <> 'PENDING'
    order by id for no key update
)
returning {DELIVERY_COLUMNS}
"""
_CANCEL = """
update webhook_deliveries set status = 'CANCELLED', next_retry_at = null, finished_at = :now
where id in (
    select id from webhook_deliveries where endpoint_id = :endpoint_id and status = 'PENDING'
    order by id for no key update
)
"""
# After the endpoints' rows are locked in a statement before: what others committed while this waited is seen.
_SET_DUE = """
update webhook_endpoints e set due_at = (
    select min(d.next_retry_at) from webhook_deliveries d where d.endpoint_id = e.id and d.status = 'PENDING'
)
where e.id = any(cast(:ids as uuid[]))
"""
_DUE_ENDPOINTS = """
select * from webhook_endpoints
where status = 'ENABLED' and due_at <= :now and (failing_since is not null) = :failing
  and not id = any(cast(:busy as uuid[])) and not merchant_id = any(cast(:full as text[]))
order by due_at limit :rows for no key update skip locked
"""
# A lease is a retry that comes if nobody reports. What is about the same thing waits for what came before it.
_LEASE = f"""
update webhook_deliveries d set attempts = d.attempts + 1, next_retry_at = :until
from unnest(cast(:ids as uuid[]), cast(:room as integer[])) as endpoint (id, room)
     cross join lateral (
         select due.id from webhook_deliveries due
         where due.endpoint_id = endpoint.id and due.status = 'PENDING' and due.next_retry_at <= :now
           and not exists (
               select 1 from webhook_deliveries before
               where before.endpoint_id = due.endpoint_id and before.object_id = due.object_id
                 and before.status = 'PENDING' and (before.seq, before.id) < (due.seq, due.id)
           )
         order by due.next_retry_at limit endpoint.room
     ) picked
where d.id = picked.id
returning {DELIVERY_COLUMNS.replace("id,", "d.id,", 1)}
"""
_BODIES = "select id, body from webhook_events where id = any(cast(:ids as uuid[]))"
_RECORD = """
update webhook_deliveries d
set status = row.status, next_retry_at = row.next_retry_at,
    finished_at = case when row.status <> 'PENDING' then cast(:now as timestamptz) end
from unnest(cast(:ids as uuid[]), cast(:attempts as integer[]), cast(:statuses as text[]),
            cast(:next_retries as timestamptz[])) as row (id, attempts, status, next_retry_at)
where d.id = row.id and d.attempts = row.attempts and d.status = 'PENDING'
"""
_INSERT_ATTEMPTS = """
insert into webhook_attempts (id, delivery_id, number, at, trigger, status_code, error, ms, answer)
select id, delivery_id, number, at, trigger, status_code, error, ms, answer
from unnest(cast(:ids as uuid[]), cast(:delivery_ids as uuid[]), cast(:numbers as integer[]),
            cast(:ats as timestamptz[]), cast(:triggers as text[]), cast(:status_codes as integer[]),
            cast(:errors as text[]), cast(:ms as integer[]), cast(:answers as text[]))
     as row (id, delivery_id, number, at, trigger, status_code, error, ms, answer)
order by delivery_id, number
on conflict (delivery_id, number) do nothing
"""
_FORGET = """
with old as (
    select id from webhook_events e where e.at < :before
      and not exists (select 1 from webhook_deliveries d where d.event_id = e.id and d.status = 'PENDING')
    order by id limit :rows
), gone as (delete from webhook_deliveries where event_id in (select id from old) returning id)
select id from old, (select count(*) from gone) as deleted
"""
_FORGET_EVENTS = "delete from webhook_events where id = any(cast(:ids as uuid[]))"


class Leased(Struct, frozen=True):
    """A delivery whose attempt is under way, with all that it takes."""

    delivery: Delivery
    endpoint: Endpoint
    body: bytes


async def insert_endpoint(tx: Tx, endpoint: Endpoint) -> None:
    await tx.execute(_INSERT_ENDPOINT, **_endpoint_row(tx, endpoint))


async def save_endpoint(tx: Tx, endpoint: Endpoint) -> None:
    """Write *endpoint*, which is locked."""
    row = _endpoint_row(tx, endpoint)
    for never_changed in ("merchant_id", "created_by", "created_at"):
        del row[never_changed]
    await tx.execute(_SAVE_ENDPOINT, **row)


async def lock_merchant(tx: Tx, merchant_id: str) -> None:
    await tx.execute(_LOCK_MERCHANT, merchant_id=merchant_id)


async def lock_endpoints(tx: Tx, endpoint_ids: Collection[UUID]) -> dict[UUID, Endpoint]:
    rows = await tx.execute(_LOCK_ENDPOINTS, ids=sorted(endpoint_ids))
    return {row.id: endpoint_of(tx, row) for row in rows}


async def insert_events(tx: Tx, events: Sequence[WebhookEvent]) -> None:
    """Store those that are new."""
    await tx.execute(
        _INSERT_EVENTS,
        ids=[event.id for event in events],
        merchant_ids=[event.merchant_id for event in events],
        types=[event.type for event in events],
        object_ids=[event.object_id for event in events],
        seqs=[event.seq for event in events],
        ats=[event.at for event in events],
        bodies=[event.body for event in events],
    )


async def insert_deliveries(
    tx: Tx, pairs: Sequence[tuple[UUID, UUID]], now: datetime, trigger: Trigger = Trigger.AUTO
) -> None:
    """One for each (endpoint, event) that is new; due at once."""
    await tx.execute(
        _INSERT_DELIVERIES,
        ids=[ids.new() for _ in pairs],
        endpoint_ids=[endpoint_id for endpoint_id, _ in pairs],
        event_ids=[event_id for _, event_id in pairs],
        trigger=trigger,
        now=now,
    )
    await set_due(tx, {endpoint_id for endpoint_id, _ in pairs})


async def set_due(tx: Tx, endpoint_ids: Collection[UUID]) -> None:
    """Say of endpoints when their first pending delivery is due, after any change of their deliveries."""
    ordered = sorted(endpoint_ids)
    await tx.execute("select 1 from webhook_endpoints where id = any(cast(:ids as uuid[])) order by id "
                     "for no key update", ids=ordered)  # fmt: skip
    await tx.execute(_SET_DUE, ids=ordered)


async def resend(tx: Tx, delivery_ids: Collection[UUID], now: datetime) -> list[Delivery]:
    """Make finished deliveries due once more; those that are not finished are left out."""
    rows = await tx.execute(_RESEND, ids=sorted(delivery_ids), now=now)
    deliveries = [delivery_of(row) for row in rows]
    await set_due(tx, {delivery.endpoint_id for delivery in deliveries})
    return deliveries


async def cancel_deliveries(tx: Tx, endpoint_id: UUID, now: datetime) -> None:
    await tx.execute(_CANCEL, endpoint_id=endpoint_id, now=now)
    await set_due(tx, {endpoint_id})


class Room(Struct, frozen=True):
    """How many deliveries may begin: to one endpoint and to one merchant, less where some are under way."""

    of_endpoint: int
    of_merchant: int
    endpoints: Mapping[UUID, int]
    merchants: Mapping[str, int]

    def places(self, found: Sequence[Endpoint]) -> list[int]:
        """For each of *found*, in order."""
        left = dict(self.merchants)
        places = []
        for endpoint in found:
            of_merchant = left.get(endpoint.merchant_id, self.of_merchant)
            own = self.endpoints.get(endpoint.id, self.of_endpoint)
            places.append(max(0, min(self.of_endpoint, own, of_merchant)))
            left[endpoint.merchant_id] = of_merchant - places[-1]
        return places


async def lease(tx: Tx, room: Room, *, failing: bool, endpoints: int, now: datetime, until: datetime) -> list[Leased]:
    """Take what is due, of at most so many endpoints and of each what *room* says.

    *failing* chooses between endpoints whose last delivery failed and the others.
    """
    rows = await tx.execute(
        _DUE_ENDPOINTS,
        now=now,
        failing=failing,
        busy=sorted(endpoint_id for endpoint_id, free in room.endpoints.items() if free <= 0),
        full=sorted(merchant_id for merchant_id, free in room.merchants.items() if free <= 0),
        rows=endpoints,
    )
    found = {row.id: endpoint_of(tx, row) for row in rows}
    if not found:
        return []
    ordered = sorted(found)
    places = room.places([found[endpoint_id] for endpoint_id in ordered])
    leased = [delivery_of(row) for row in await tx.execute(_LEASE, ids=ordered, room=places, now=now, until=until)]
    await tx.execute(_SET_DUE, ids=ordered)
    bodies = {row.id: row.body for row in await tx.execute(_BODIES, ids=sorted({each.event_id for each in leased}))}
    return [Leased(each, found[each.endpoint_id], bodies[each.event_id]) for each in leased]


async def record_attempts(tx: Tx, attempts: Sequence[Attempt], steps: Mapping[UUID, NextStep], now: datetime) -> None:
    """Store attempts and what follows; an attempt that somebody else has reported already changes nothing."""
    ordered = sorted(attempts, key=lambda attempt: attempt.delivery_id)
    await tx.execute(
        _RECORD,
        ids=[attempt.delivery_id for attempt in ordered],
        attempts=[attempt.number for attempt in ordered],
        statuses=[steps[attempt.delivery_id].status for attempt in ordered],
        next_retries=[steps[attempt.delivery_id].next_retry_at for attempt in ordered],
        now=now,
    )
    await tx.execute(
        _INSERT_ATTEMPTS,
        ids=[ids.new() for _ in ordered],
        delivery_ids=[attempt.delivery_id for attempt in ordered],
        numbers=[attempt.number for attempt in ordered],
        ats=[attempt.at for attempt in ordered],
        triggers=[attempt.trigger for attempt in ordered],
        status_codes=[attempt.answer.status for attempt in ordered],
        errors=[attempt.answer.error for attempt in ordered],
        ms=[attempt.answer.ms for attempt in ordered],
        answers=[tx.sealer.seal(ANSWER, attempt.answer.text) for attempt in ordered],
    )


async def forget_events(tx: Tx, before: datetime, rows: int) -> int:
    """Delete events older than *before* with their finished deliveries; how many events."""
    old = [row.id for row in await tx.execute(_FORGET, before=before, rows=rows)]
    if old:
        await tx.execute(_FORGET_EVENTS, ids=old)
    return len(old)


def _endpoint_row(tx: Tx, endpoint: Endpoint) -> dict[str, object]:
    return {
        "id": endpoint.id,
        "merchant_id": endpoint.merchant_id,
        "url": endpoint.url,
        "description": endpoint.description,
        "events": list(endpoint.events),
        "headers": tx.sealer.seal(HEADERS, msgspec.json.encode(endpoint.headers).decode()),
        "secrets": tx.sealer.seal(SECRETS, msgspec.json.encode(endpoint.secrets).decode()),
        "status": endpoint.status,
        "disabled_reason": endpoint.disabled_reason,
        "failing_since": endpoint.failing_since,
        "created_by": endpoint.created_by,
        "created_at": endpoint.created_at,
    }
