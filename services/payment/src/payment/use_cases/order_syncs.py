"""Look payments' orders up and apply what their gateways show: for verify, the sweep and the sync command."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from uuid import UUID

from common import outbox
from common.clock import Clock
from common.database import Database, Tx, retried
from common.errors import DomainError
from payment.domain.check_schedule import CheckSchedule, next_check
from payment.domain.errors import OrderStateUnknown, PaymentNotKnownYet
from payment.domain.orders import OrderKey
from payment.domain.payments import Payment
from payment.domain.states import CLOSED_UNPAID
from payment.store import commands, queries, sweep
from payment.use_cases.decisions import Applied, DecisionSettings, apply_orders
from payment.use_cases.order_lookups import LookupResult, OrderLookup, lookup_of, observed_only


@retried
async def sync_payments(
    db: Database,
    payment_ids: Collection[UUID],
    results: Mapping[OrderKey, LookupResult],
    clock: Clock,
    settings: DecisionSettings,
    schedule: CheckSchedule | None = None,
) -> Applied:
    """Apply look-up results to these payments; with *schedule*, set their next checks too."""
    async with db.begin() as tx:
        locked = await commands.lock_payments(tx, payment_ids)
        applied = await apply_orders(tx, locked.values(), observed_only(results), clock, settings)
        if schedule:
            after = [
                applied.decisions[payment.id].payment if payment.id in applied.decisions else payment
                for payment in locked.values()
            ]
            await sweep.schedule(tx, _next_checks(after, clock.now(), schedule))
        await outbox.append(tx, applied.messages)
    return applied


async def look_up_payments(
    db: Database, lookups: OrderLookup, payment_ids: Collection[UUID]
) -> dict[OrderKey, LookupResult]:
    """What the gateways show of these payments' orders and attempts, whatever their status: the command requests it."""
    async with db.begin() as tx:
        payments = await queries.payments_by_id(tx, payment_ids)
    return await lookups.look_up([lookup_of(payment, read_attempts=True) for payment in payments])


async def sync_requested_payments(
    tx: Tx,
    payment_ids: Sequence[UUID],
    results: Mapping[OrderKey, LookupResult],
    clock: Clock,
    settings: DecisionSettings,
) -> list[DomainError | None]:
    """Apply look-up results; for each payment, why it has to be looked up again, or None."""
    locked = await commands.lock_payments(tx, set(payment_ids))
    applied = await apply_orders(tx, locked.values(), observed_only(results), clock, settings)
    await outbox.append(tx, applied.messages)
    return [_open_question(locked.get(payment_id), applied) for payment_id in payment_ids]


def _open_question(payment: Payment | None, applied: Applied) -> DomainError | None:
    if payment is None:
        return PaymentNotKnownYet("there is no payment with this id (yet)")
    if payment.id in applied.decisions or payment.status in CLOSED_UNPAID:
        # A closed payment is looked at on in any case.
        return None
    return applied.unknown.get(payment.id) or OrderStateUnknown()


def _next_checks(payments: Sequence[Payment], now: datetime, schedule: CheckSchedule) -> list[tuple[UUID, datetime]]:
    return [
        (payment.id, next_check(payment, now, schedule))
        for payment in payments
        if payment.unresolved and payment.next_check_at is not None
    ]
