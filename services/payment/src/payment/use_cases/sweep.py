"""The guarantee behind the webhooks: orders of payments that are unresolved for too long are looked up."""

from datetime import timedelta

from common.clock import Clock
from common.database import Database
from payment.domain.check_schedule import CheckSchedule
from payment.store import sweep
from payment.store.sweep import DuePayment
from payment.use_cases import metrics
from payment.use_cases.decisions import DecisionSettings
from payment.use_cases.order_lookups import LookupRequest, OrderLookup
from payment.use_cases.order_syncs import sync_payments

BATCH_MAX = 64
BATCHES_MAX = 32


class Sweep:
    """Safe to run N times: a due row is leased to one process."""

    def __init__(
        self, db: Database, clock: Clock, lookups: OrderLookup, settings: DecisionSettings, schedule: CheckSchedule
    ) -> None:
        self._db = db
        self._clock = clock
        self._lookups = lookups
        self._settings = settings
        self._schedule = schedule

    async def run_once(self) -> int:
        """Look up one batch of what is due; how many payments that were."""
        due = await self._lease()
        if due:
            results = await self._lookups.look_up([LookupRequest(each.order, each.gateway_order_id) for each in due])
            payment_ids = [each.payment_id for each in due]
            applied = await sync_payments(self._db, payment_ids, results, self._clock, self._settings, self._schedule)
            for decision in applied.decisions.values():
                for transition in decision.transitions:
                    metrics.swept(transition.to_status)
        return len(due)

    async def run(self) -> int:
        """Sweep until nothing is due, for at most `BATCHES_MAX` batches; how many payments were due."""
        total = 0
        for _ in range(BATCHES_MAX):
            count = await self.run_once()
            total += count
            if count < BATCH_MAX:
                break
        return total

    async def _lease(self) -> list[DuePayment]:
        now = self._clock.now()
        # Due again after the first wait unless its result sets another time: a process that dies delays it by that.
        due_again_at = now + timedelta(seconds=self._schedule.first_seconds)
        async with self._db.begin() as tx:
            return await sweep.lease_due(tx, now, due_again_at, BATCH_MAX)
