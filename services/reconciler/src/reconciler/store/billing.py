"""Billing events and the counters over them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from common.database import Tx
from reconciler.domain import BillingDay, BillingEvent

# One statement: what is new is counted, what came before is not. Days are locked in sorted order.
_ADD = """
with fresh as (
    insert into billing_events (event_id, kind, merchant_id, payment_id, amount_minor, currency, gateway, method,
                                pack_id, reason, duration_micros, occurred_at)
    select event_id, kind, merchant_id, payment_id, amount_minor, currency, gateway, method, pack_id, reason,
           duration_micros, timestamptz 'epoch' + time_unix_micros * interval '1 microsecond'
    from unnest(cast(:event_ids as uuid[]), cast(:kinds as text[]), cast(:merchant_ids as text[]),
                cast(:payment_ids as text[]), cast(:amounts as bigint[]), cast(:currencies as text[]),
                cast(:gateways as text[]), cast(:methods as text[]), cast(:pack_ids as text[]),
                cast(:reasons as text[]), cast(:durations as bigint[]), cast(:times as bigint[]))
         as row (event_id, kind, merchant_id, payment_id, amount_minor, currency, gateway, method, pack_id, reason,
                 duration_micros, time_unix_micros)
    order by event_id
    on conflict (event_id) do nothing
    returning kind, merchant_id, currency, amount_minor, duration_micros,
              cast(occurred_at at time zone 'UTC' as date) as day
)
insert into billing_daily as known (merchant_id, day, currency, created, succeeded, failed, created_minor,
                                    succeeded_minor, failed_minor, duration_micros, webhook_failures)
select merchant_id, day, currency,
       count(*) filter (where kind = 'payment.created'),
       count(*) filter (where kind = 'payment.success'),
       count(*) filter (where kind = 'payment.failed'),
       coalesce(sum(amount_minor) filter (where kind = 'payment.created'), 0),
       coalesce(sum(amount_minor) filter (where kind = 'payment.success'), 0),
       coalesce(sum(amount_minor) filter (where kind = 'payment.failed'), 0),
       coalesce(sum(duration_micros) filter (where kind = 'payment.success'), 0),
       count(*) filter (where kind = 'webhook.failure')
from fresh
group by merchant_id, day, currency
order by merchant_id, day, currency
on conflict (merchant_id, day, currency) do update set
    created = known.created + excluded.created,
    succeeded = known.succeeded + excluded.succeeded,
    failed = known.failed + excluded.failed,
    created_minor = known.created_minor + excluded.created_minor,
    succeeded_minor = known.succeeded_minor + excluded.succeeded_minor,
    failed_minor = known.failed_minor + excluded.failed_minor,
    duration_micros = known.duration_micros + excluded.duration_micros,
    webhook_failures = known.webhook_failures + excluded.webhook_failures
"""
_COLUMNS = (
    "event_ids",
    "kinds",
    "merchant_ids",
    "payment_ids",
    "amounts",
    "currencies",
    "gateways",
    "methods",
    "pack_ids",
    "reasons",
    "durations",
    "times",
)


async def add_billing(tx: Tx, events: Sequence[BillingEvent]) -> None:
    """Keep and count *events*, each once."""
    if events:
        await tx.execute(_ADD, **dict(zip(_COLUMNS, zip(*events, strict=True), strict=True)))


_DAYS = """
select cast(day as text), currency, created, succeeded, failed, created_minor, succeeded_minor, failed_minor,
       duration_micros
from billing_daily
where merchant_id = :merchant_id and day between :first and :last and currency <> ''
order by day, currency
"""


async def billing_days(tx: Tx, merchant_id: str, first: date, last: date) -> list[BillingDay]:
    """A merchant's days, both ends included, oldest first."""
    rows = await tx.execute(_DAYS, merchant_id=merchant_id, first=first, last=last)
    return [BillingDay._make(row) for row in rows]


async def webhook_failures(tx: Tx, first: date, last: date) -> int:
    """Webhooks turned away; they name no merchant that could be believed."""
    found = await tx.execute(
        "select coalesce(sum(webhook_failures), 0) from billing_daily where day between :first and :last",
        first=first,
        last=last,
    )
    return int(found.scalar_one())


async def billing_count(tx: Tx) -> dict[str, int]:
    """How many events of each kind there are, from the counters."""
    row = (
        await tx.execute(
            "select coalesce(sum(created), 0) as created, coalesce(sum(succeeded), 0) as succeeded,"
            " coalesce(sum(failed), 0) as failed, coalesce(sum(webhook_failures), 0) as webhooks from billing_daily"
        )
    ).one()
    return {
        "billing.payments.created": int(row.created),
        "billing.payments.success": int(row.succeeded),
        "billing.payments.failed": int(row.failed),
        "billing.webhooks.failed": int(row.webhooks),
    }
