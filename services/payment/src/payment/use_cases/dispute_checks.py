"""Read disputes at the gateway: soon after a webhook about one, and while one is open; warn before its deadline.

A webhook's claim is a reason to read, not a fact.
"""

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

import msgspec

from common import outbox
from common.clock import Clock
from common.database import Database, Tx, retried
from gateways import Gateways, OrderReference, Unknown
from gateways.disputes import DisputeSnapshot
from payment.domain.disputes import CHECK_AGAIN, DEADLINE_NOTICE
from payment.domain.payments import Payment
from payment.store import commands, disputes, queries
from payment.use_cases.dispute_books import DisputeBooks, open_payments
from payment.wire import dispute_events

CHECK_SECONDS = 5
BATCH_MAX = 32
# The gateway did not answer, or the process died: due again after this.
LEASE = timedelta(minutes=1)


class DisputeChecks(msgspec.Struct, frozen=True):
    """Safe to run N times: a due check is leased to one process, an alert is raised by the one that notes it."""

    db: Database
    clock: Clock
    gateways: Gateways
    books: DisputeBooks
    timeout_seconds: float

    async def run(self) -> int:
        """Read what is due, and warn; how many payments were read."""
        await self.warn()
        now = self.clock.now()
        async with self.db.begin() as tx:
            due = await disputes.lease_due(tx, now, now + LEASE, BATCH_MAX)
            payments = await queries.payments_by_id(tx, due) if due else []
        if payments:
            shown = await asyncio.gather(*(self._read(payment) for payment in payments))
            answered = {
                payment.id: each for payment, each in zip(payments, shown, strict=True) if not isinstance(each, Unknown)
            }
            await apply_disputes(self.db, self.books, answered, now + LEASE, self.clock.now())
        return len(payments)

    async def warn(self) -> None:
        """One alert for each dispute that is to be answered soon and is not."""
        now = self.clock.now()
        async with self.db.begin() as tx:
            near = await disputes.take_near_deadline(tx, now, DEADLINE_NOTICE, BATCH_MAX)
            await outbox.append(tx, [dispute_events.deadline_alert(dispute, now) for dispute in near])

    async def _read(self, payment: Payment) -> Sequence[DisputeSnapshot] | Unknown:
        gateway = self.gateways.get(payment.gateway_account_id)
        if gateway is None:
            return Unknown("account_not_configured")
        order = OrderReference(payment.order_id, payment.gateway_order_id)
        return await gateway.read_disputes(order, self.timeout_seconds)


@retried
async def apply_disputes(
    db: Database, books: DisputeBooks, shown: dict[UUID, Sequence[DisputeSnapshot]], leased: datetime, now: datetime
) -> None:
    """Apply what was read, and set when it is read again: not any more once nothing is open."""
    async with db.begin() as tx:
        payments = await commands.lock_payments(tx, shown)
        still_open = open_payments(await books.apply(tx, payments, shown))
        await disputes.schedule(tx, still_open, leased, now + CHECK_AGAIN)
        await disputes.forget(tx, payments.keys() - still_open, leased)


async def request_checks(tx: Tx, payments: Sequence[Payment], now: datetime) -> None:
    """Read the disputes of these payments soon."""
    await disputes.watch(tx, [payment.id for payment in payments], now)
