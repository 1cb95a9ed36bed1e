"""Writes of reconciliation and billing analytics."""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from uuid import UUID

import msgspec

from common.database import Tx
from reconciler.domain.billing import BillingEvent
from reconciler.domain.books import Comparison, Difference
from reconciler.domain.deliveries import MissingDelivery
from reconciler.domain.runs import Run

# ── Runs ─────────────────────────────────────────────────────────────────────────────────────────────────────────────

# By the database's clock, which all replicas share.
_ABANDON = """
update reconciliation_runs set status = 'FAILED', finished_at = :now
where status = 'RUNNING' and leased_until < now()
"""

_BEGIN = """
insert into reconciliation_runs (run_id, scope, status, actor, started_at, leased_until)
select :run_id, cast(:scope as text), 'RUNNING', :actor, :now, now() + cast(:lease as interval)
where not exists (
    select from reconciliation_runs
    where started_at > cast(:not_since as timestamptz) and scope in (cast(:scope as text), 'ALL') and status <> 'FAILED'
)
on conflict do nothing
returning run_id
"""

_EXTEND_LEASE = """
update reconciliation_runs set leased_until = now() + cast(:lease as interval)
where run_id = :run_id and status = 'RUNNING'
returning run_id
"""

_FINISH = """
update reconciliation_runs
set status = :status, finished_at = :finished_at, envelopes_checked = :checked, envelopes_republished = :republished,
    cases_opened = :opened, cases_resolved = :resolved, payments_checked = :payments,
    settlements_checked = :settlements, totals = cast(cast(:totals as text) as jsonb),
    unasked = cast(:unavailable as text[])
where run_id = :run_id and status = 'RUNNING'
returning run_id
"""


async def abandon_stale_runs(tx: Tx, now: datetime) -> None:
    """Close the run of a process that no longer extends its lease."""
    await tx.execute(_ABANDON, now=now)


async def begin_run(tx: Tx, run: Run, lease: timedelta, not_since: datetime | None) -> bool:
    """Take the one place there is for a run; False when another is at work, or one began after *not_since*."""
    begun = await tx.execute(
        _BEGIN,
        run_id=run.run_id,
        scope=run.scope,
        actor=run.actor,
        now=run.started_at,
        lease=lease,
        not_since=not_since,
    )
    return bool(begun)


async def extend_lease(tx: Tx, run_id: UUID, lease: timedelta) -> bool:
    """Keep the place for another *lease*; False when the run is over or was abandoned."""
    return bool(await tx.execute(_EXTEND_LEASE, run_id=run_id, lease=lease))


async def finish_run(tx: Tx, run: Run) -> bool:
    """Close *run*; False when it was abandoned meanwhile."""
    finished = await tx.execute(
        _FINISH,
        run_id=run.run_id,
        status=run.status,
        finished_at=run.finished_at,
        checked=run.envelopes_checked,
        republished=run.envelopes_republished,
        opened=run.cases_opened,
        resolved=run.cases_resolved,
        payments=run.payments_checked,
        settlements=run.settlements_checked,
        totals=msgspec.json.encode(run.totals).decode(),
        unavailable=list(run.unavailable),
    )
    return bool(finished)


# ── Differences ──────────────────────────────────────────────────────────────────────────────────────────────────────

_FORGET_DIFFERENCES = """
delete from reconciliation_differences where (kind, reference) in (
    select * from unnest(cast(:kinds as text[]), cast(:refs as text[])) as compared (kind, reference))
"""

_KEEP_DIFFERENCES = """
insert into reconciliation_differences (kind, reference, left_value, right_value, since)
select * from unnest(cast(:kinds as text[]), cast(:refs as text[]), cast(:lefts as bigint[]), cast(:rights as bigint[]),
                     cast(:sinces as timestamptz[]))
"""


async def replace_differences(tx: Tx, compared: Sequence[Comparison], differences: Sequence[Difference]) -> None:
    """Remember *differences* in place of what was known of all that was *compared*."""
    await tx.execute(
        _FORGET_DIFFERENCES,
        kinds=[comparison.kind for comparison in compared],
        refs=[comparison.reference for comparison in compared],
    )
    comparisons = [difference.comparison for difference in differences]
    await tx.execute(
        _KEEP_DIFFERENCES,
        kinds=[comparison.kind for comparison in comparisons],
        refs=[comparison.reference for comparison in comparisons],
        lefts=[comparison.left for comparison in comparisons],
        rights=[comparison.right for comparison in comparisons],
        sinces=[difference.since for difference in differences],
    )


# ── Deliveries ───────────────────────────────────────────────────────────────────────────────────────────────────────

_MOVE_CURSOR = """
insert into delivery_cursors (producer, checked_until) values (:producer, :until)
on conflict (producer) do update set checked_until = greatest(delivery_cursors.checked_until, excluded.checked_until)
"""

_NOTE_MISSING = """
insert into missing_deliveries (envelope_id, queue, producer, found_at, next_at)
select envelope_id, queue, producer, :now, next_at
from unnest(cast(:envelope_ids as uuid[]), cast(:queues as text[]), cast(:producers as text[]),
            cast(:next_ats as timestamptz[])) as row (envelope_id, queue, producer, next_at)
order by envelope_id, queue
on conflict (envelope_id, queue) do nothing
"""

_MARK_CLAIMED = """
update missing_deliveries set claimed_at = :now
where queue = :queue and envelope_id = any(cast(:ids as uuid[])) and claimed_at is null
"""

_RESCHEDULE = """
update missing_deliveries missing set attempts = attempts + 1, next_at = row.next_at
from unnest(cast(:ids as uuid[]), cast(:next_ats as timestamptz[])) as row (envelope_id, next_at)
where missing.queue = :queue and missing.envelope_id = row.envelope_id
"""

_FORGET_CLAIMED = "delete from missing_deliveries where claimed_at < :before"


async def move_cursor(tx: Tx, producer: str, until: datetime) -> None:
    """Forward only."""
    await tx.execute(_MOVE_CURSOR, producer=producer, until=until)


async def note_missing(tx: Tx, missing: Sequence[MissingDelivery], now: datetime) -> None:
    """Remember *missing*; those that are stored already stay as they are."""
    if missing:
        await tx.execute(
            _NOTE_MISSING,
            now=now,
            envelope_ids=[delivery.envelope_id for delivery in missing],
            queues=[delivery.queue for delivery in missing],
            producers=[delivery.producer for delivery in missing],
            next_ats=[delivery.next_at for delivery in missing],
        )


async def mark_claimed(tx: Tx, queue: str, envelope_ids: Collection[UUID], now: datetime) -> None:
    """They arrived after all."""
    await tx.execute(_MARK_CLAIMED, queue=queue, ids=sorted(envelope_ids), now=now)


async def reschedule(tx: Tx, queue: str, attempts: Sequence[tuple[UUID, datetime]]) -> None:
    """They are being announced once more; check again at the time given."""
    await tx.execute(
        _RESCHEDULE, queue=queue, ids=[envelope_id for envelope_id, _ in attempts], next_ats=[at for _, at in attempts]
    )


async def forget_claimed(tx: Tx, before: datetime) -> None:
    await tx.execute(_FORGET_CLAIMED, before=before)


# ── Billing ──────────────────────────────────────────────────────────────────────────────────────────────────────────

# One statement: what is new is counted, what came before is not. Days are locked in sorted order.
_ADD_BILLING = """
with fresh as (
    insert into billing_events (event_id, kind, merchant_id, payment_id, amount_minor, currency, gateway, method,
                                pack_id, reason, duration_micros, is_late, occurred_at)
    select event_id, kind, merchant_id, payment_id, amount_minor, currency, gateway, method, pack_id, reason,
           duration_micros, is_late, occurred_at
    from unnest(cast(:event_ids as uuid[]), cast(:kinds as text[]), cast(:merchant_ids as text[]),
                cast(:payment_ids as text[]), cast(:amounts as bigint[]), cast(:currencies as text[]),
                cast(:gateways as text[]), cast(:methods as text[]), cast(:pack_ids as text[]),
                cast(:reasons as text[]), cast(:durations as bigint[]),
                cast(:lates as boolean[]), cast(:times as timestamptz[]))
         as row (event_id, kind, merchant_id, payment_id, amount_minor, currency, gateway, method, pack_id, reason,
                 duration_micros, is_late, occurred_at)
    order by event_id
    on conflict (event_id) do nothing
    returning kind, merchant_id, currency, amount_minor, duration_micros, is_late,
              cast(occurred_at at time zone 'UTC' as date) as day
)
insert into billing_daily as counted (merchant_id, day, currency, created, succeeded, failed, created_minor,
                                    succeeded_minor, failed_minor, duration_micros, late, refunds, refunds_minor,
                                    webhook_failures)
select merchant_id, day, currency,
       count(*) filter (where kind = 'payment.created'),
       count(*) filter (where kind = 'payment.success'),
       count(*) filter (where kind = 'payment.failed'),
       coalesce(sum(amount_minor) filter (where kind = 'payment.created'), 0),
       coalesce(sum(amount_minor) filter (where kind = 'payment.success'), 0),
       coalesce(sum(amount_minor) filter (where kind = 'payment.failed'), 0),
       coalesce(sum(duration_micros) filter (where kind = 'payment.success'), 0),
       count(*) filter (where kind = 'payment.success' and is_late),
       count(*) filter (where kind = 'refund.created'),
       coalesce(sum(amount_minor) filter (where kind = 'refund.created'), 0),
       count(*) filter (where kind = 'webhook.failure')
from fresh
group by merchant_id, day, currency
order by merchant_id, day, currency
on conflict (merchant_id, day, currency) do update set
    created = counted.created + excluded.created,
    succeeded = counted.succeeded + excluded.succeeded,
    failed = counted.failed + excluded.failed,
    created_minor = counted.created_minor + excluded.created_minor,
    succeeded_minor = counted.succeeded_minor + excluded.succeeded_minor,
    failed_minor = counted.failed_minor + excluded.failed_minor,
    duration_micros = counted.duration_micros + excluded.duration_micros,
    late = counted.late + excluded.late,
    refunds = counted.refunds + excluded.refunds,
    refunds_minor = counted.refunds_minor + excluded.refunds_minor,
    webhook_failures = counted.webhook_failures + excluded.webhook_failures
"""


async def add_billing_events(tx: Tx, events: Sequence[BillingEvent]) -> None:
    """Store and count *events*, each once."""
    if not events:
        return
    await tx.execute(
        _ADD_BILLING,
        event_ids=[event.event_id for event in events],
        kinds=[event.kind for event in events],
        merchant_ids=[event.merchant_id for event in events],
        payment_ids=[event.payment_id for event in events],
        amounts=[event.amount_minor for event in events],
        currencies=[event.currency for event in events],
        gateways=[event.gateway for event in events],
        methods=[event.method for event in events],
        pack_ids=[event.pack_id for event in events],
        reasons=[event.reason for event in events],
        durations=[event.duration_micros for event in events],
        lates=[event.is_late for event in events],
        times=[event.occurred_at for event in events],
    )
