"""Closed is not final at the gateway: orders of closed and quarantined payments are looked up on, ever more rarely."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

import msgspec

from common.clock import Clock
from common.database import Database, retried
from payment.domain.check_schedule import next_closed_check
from payment.domain.orders import ObservedOrder
from payment.domain.payments import Payment
from payment.store import closed_checks, queries
from payment.store.closed_checks import DueCheck
from payment.use_cases import metrics
from payment.use_cases.decisions import Applied, DecisionSettings
from payment.use_cases.order_lookups import OrderLookup, lookup_of
from payment.use_cases.order_syncs import sync_payments

# The gateway did not answer, or the process died: due again after this.
LEASE = timedelta(minutes=5)


class ClosedChecks(msgspec.Struct, frozen=True):
    """A lane of its own, so that it never holds up the sweep for unresolved payments.

    Bounded by *per_minute* look-ups in this process; what is due beyond that waits. Safe to run N times.
    """

    db: Database
    clock: Clock
    lookups: OrderLookup
    settings: DecisionSettings
    per_minute: int
    every_seconds: float

    async def run(self) -> int:
        """Look up what is due; how many payments that were."""
        now = self.clock.now()
        limit = max(1, int(self.per_minute * self.every_seconds / 60))
        async with self.db.begin() as tx:
            due = {check.payment_id: check for check in await closed_checks.lease_due(tx, now, now + LEASE, limit)}
            payments = await queries.payments_by_id(tx, due.keys()) if due else []
        payments = [payment for payment in payments if self._next(payment, due[payment.id], now) is not None]
        applied, answered = Applied(), set[UUID]()
        if payments:
            results = await self.lookups.look_up([lookup_of(payment) for payment in payments])
            applied = await sync_payments(self.db, [each.id for each in payments], results, self.clock, self.settings)
            answered = {each.id for each in payments if isinstance(results[each.order_key], ObservedOrder)}
            for decision in applied.decisions.values():
                for transition in decision.transitions:
                    metrics.swept(transition.to_status)
        if due:
            after = [applied.decisions[each.id].payment if each.id in applied.decisions else each for each in payments]
            await self._schedule(after, due, answered, now)
        return len(payments)

    async def _schedule(
        self, payments: Sequence[Payment], due: dict[UUID, DueCheck], answered: set[UUID], now: datetime
    ) -> None:
        """The next check of what was answered; what is paid or out of its window is forgotten."""
        upcoming = {each.id: self._next(each, due[each.id], now) for each in payments}
        going_on = [(due[key], at) for key, at in upcoming.items() if at is not None and key in answered]
        over = [key for key in due if upcoming.get(key) is None]
        await _save(self.db, sorted(going_on, key=lambda pair: pair[0].payment_id), over)

    def _next(self, payment: Payment, check: DueCheck, now: datetime) -> datetime | None:
        return next_closed_check(payment, check.checks + 1, now, self.settings.closed_checks)


@retried
async def _save(db: Database, going_on: Sequence[tuple[DueCheck, datetime]], over: Sequence[UUID]) -> None:
    async with db.begin() as tx:
        await closed_checks.schedule(tx, going_on)
        await closed_checks.forget(tx, over)
