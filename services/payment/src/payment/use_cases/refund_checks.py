"""Look refunds up at their gateways: for webhooks, and for the sweep behind them. Each order's list is read once."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Final, TypeAlias
from uuid import UUID

import msgspec

from common.clock import Clock
from common.database import Database, Tx, retried
from common.errors import DomainError
from gateways import Gateways, OrderReference, Unknown
from gateways.refunds import RefundSnapshot
from payment.domain import refund_schedule
from payment.domain.errors import OrderNotKnownYet, OrderStateUnknown
from payment.domain.orders import OrderKey
from payment.domain.payments import Payment
from payment.domain.refunds import Refund, RefundStatus
from payment.store import commands, queries, refunds
from payment.use_cases.refund_books import Observed
from payment.use_cases.refund_flow import RefundFlow

RefundList: TypeAlias = Sequence[RefundSnapshot] | Unknown

BATCH_MAX: Final = 32
BATCHES_MAX: Final = 16
# The gateway does not answer, or the process died: due again after this.
LEASE: Final = timedelta(minutes=5)


class RefundLookup:
    """The gateways' own lists of refunds, by order; bounded in number, each with a deadline."""

    def __init__(self, gateways: Gateways, *, timeout_seconds: float, concurrency: int) -> None:
        self._gateways = gateways
        self._timeout_seconds = timeout_seconds
        self._slots = asyncio.Semaphore(concurrency)

    async def look_up(self, orders: Mapping[OrderKey, str]) -> dict[OrderKey, RefundList]:
        """The refunds of each order; the values of *orders* are the gateway's ids of them, "" where not known."""
        results = await asyncio.gather(*(self._read(order, own_id) for order, own_id in orders.items()))
        return dict(zip(orders, results, strict=True))

    async def _read(self, order: OrderKey, gateway_order_id: str) -> RefundList:
        gateway = self._gateways.get(order.gateway_account_id)
        if gateway is None:
            return Unknown("account_not_configured")
        async with self._slots:
            return await gateway.read_refunds(OrderReference(order.order_id, gateway_order_id), self._timeout_seconds)


class RefundChecks(msgspec.Struct, frozen=True):
    """The guarantee behind refund webhooks. Safe to run N times: a due row is leased to one process."""

    db: Database
    clock: Clock
    lookups: RefundLookup
    flow: RefundFlow

    async def run(self) -> int:
        """Look up what is due, at most `BATCHES_MAX` batches; how many refunds that were."""
        total = 0
        for _ in range(BATCHES_MAX):
            count = await self._run_once()
            total += count
            if count < BATCH_MAX:
                break
        return total

    async def _run_once(self) -> int:
        now = self.clock.now()
        async with self.db.begin() as tx:
            due = await refunds.lease_due(tx, now, now + LEASE, BATCH_MAX)
            payments = await queries.payments_by_id(tx, {refund.payment_id for refund in due}) if due else []
        if not due:
            return 0
        lists = await self.lookups.look_up({each.order_key: each.gateway_order_id for each in payments})
        read = {payment.id: found for payment in payments if not isinstance(found := lists[payment.order_key], Unknown)}
        await record_checks(self.db, self, due, read)
        return len(due)


@retried
async def record_checks(
    db: Database, checks: RefundChecks, due: Sequence[Refund], read: Mapping[UUID, Sequence[RefundSnapshot]]
) -> None:
    """Apply what was read, and set the next check of what was due; of what was not read, the lease is the next one."""
    async with db.begin() as tx:
        book = await checks.flow.open(tx, await commands.lock_payments(tx, read.keys()))
        for payment_id, snapshots in read.items():
            for snapshot in snapshots:
                book.observe(payment_id, snapshot)
        for leased in due:
            if leased.payment_id not in read:
                continue
            refund = book.refund(leased.id)
            if refund.status is RefundStatus.PROCESSING and refund.checks == refund_schedule.ALERT_AT_CHECK:
                detail = f"the gateway has not said for a day what became of its refund over {refund.amount}"
                book.alert(book.payment(refund.payment_id), "refund_unresolved", detail, refund)
            book.update(msgspec.structs.replace(refund, next_check_at=refund_schedule.next_check(refund, book.now)))
        await checks.flow.save(tx, book)


async def apply_lists(
    tx: Tx, flow: RefundFlow, lists: Mapping[OrderKey, RefundList], payments: Mapping[OrderKey, Payment]
) -> dict[OrderKey, Mapping[str, Observed] | DomainError]:
    """Apply the lists of refunds of these locked payments' orders: what became of each, or why the order waits."""
    results: dict[OrderKey, Mapping[str, Observed] | DomainError] = {}
    observed = {}
    for order, listed in lists.items():
        payment = payments.get(order)
        if payment is None:
            results[order] = OrderNotKnownYet("no payment has this order id (yet)")
        elif isinstance(listed, Unknown):
            results[order] = OrderStateUnknown(f"the gateway does not show the order's refunds now: {listed.reason}")
        else:
            observed[payment.id] = listed
    locked = {payment.id: payment for payment in payments.values() if payment.id in observed}
    applied = await flow.apply(tx, locked, observed) if observed else {}
    return results | {payment.order_key: applied[payment.id] for payment in locked.values()}
