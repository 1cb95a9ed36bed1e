"""POST verify: the order is looked up at once, because a customer waits."""

from redis.asyncio import Redis

from common import ids, outbox
from common.clock import Clock
from common.database import Database
from common.redis import best_effort
from payment.domain.orders import ObservedOrder
from payment.domain.payments import Payment
from payment.use_cases.decisions import DecisionSettings
from payment.use_cases.order_lookups import OrderLookup, lookup_of
from payment.use_cases.order_syncs import sync_payments
from payment.wire import events

LOCK_MS = 10_000


class Verification:
    """Verify payments, one look-up at a time for each."""

    def __init__(
        self, db: Database, redis: Redis, clock: Clock, lookups: OrderLookup, settings: DecisionSettings
    ) -> None:
        self._db = db
        self._redis = redis
        self._clock = clock
        self._lookups = lookups
        self._settings = settings

    async def verify(self, payment: Payment) -> Payment:
        """The payment as the gateway's answer leaves it; unchanged when the gateway does not answer now.

        In that case a sync command is retried on the schedule until the gateway answers.
        """
        if not payment.unresolved:
            return payment
        # Best effort, so that a page that polls causes one look-up at a time. The lock that guards money is the row's.
        lock = f"lock:payment:{ids.encode('pay', payment.id)}"
        if not await best_effort(self._redis.set(lock, b"1", nx=True, px=LOCK_MS), True):
            return payment
        try:
            results = await self._lookups.look_up([lookup_of(payment, read_attempts=True)])
            applied = await sync_payments(self._db, [payment.id], results, self._clock, self._settings)
            if payment.id in applied.unknown or not isinstance(results[payment.order_key], ObservedOrder):
                await self._request_sync(payment)
            decision = applied.decisions.get(payment.id)
            return decision.payment if decision else payment
        finally:
            await best_effort(self._redis.delete(lock), None)

    async def _request_sync(self, payment: Payment) -> None:
        async with self._db.begin() as tx:
            now = self._clock.now()
            await outbox.append(tx, [events.sync_requested(payment.id, payment.merchant_id, "VERIFY", now)])
