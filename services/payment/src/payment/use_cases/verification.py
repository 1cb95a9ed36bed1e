"""POST verify: the order is looked up at once, because a customer waits; shared, spaced and bounded by user."""

import asyncio
from collections import OrderedDict
from collections.abc import Hashable
from datetime import timedelta
from typing import Generic, TypeVar
from uuid import UUID

import msgspec
from redis.asyncio import Redis

from common import ids, outbox
from common.clock import Clock
from common.database import Database
from common.redis import best_effort
from common.tokens import Caller
from payment.domain.errors import VerificationLimitExceeded
from payment.domain.orders import ObservedOrder
from payment.domain.payments import Payment
from payment.domain.states import PAID
from payment.use_cases.decisions import DecisionSettings
from payment.use_cases.order_lookups import OrderLookup, lookup_of
from payment.use_cases.order_syncs import sync_payments
from payment.wire import events

# So many payments and users are remembered; those that were seen longest ago are forgotten first.
REMEMBERED_MAX = 10_000
MINUTE_SECONDS = 60.0
# Checkouts verify as soon as the customer returns: what has just been paid is not asked about again.
PAID_REST = timedelta(seconds=60)

K = TypeVar("K", bound=Hashable)


class VerificationSettings(msgspec.Struct, frozen=True):
    decisions: DecisionSettings
    # The shortest time between two look-ups of one payment.
    interval_seconds: float
    # The most look-ups that one user may cause.
    per_minute: int


class Pace(Generic[K]):
    """By key, at most *burst* in *seconds*: each takes a share of that time, and shares come back with time."""

    def __init__(self, burst: int, seconds: float) -> None:
        self._share = seconds / burst
        self._seconds = seconds
        # By key, when all its shares will have come back.
        self._free_at: OrderedDict[K, float] = OrderedDict()

    def wait(self, key: K, now: float) -> float:
        """Take a share; 0 when there was one, otherwise the seconds until there is one, and nothing is taken."""
        free_at = max(self._free_at.get(key, now), now)
        wait = free_at + self._share - now - self._seconds
        if wait > 1e-9:
            return wait
        self._free_at[key] = free_at + self._share
        self._free_at.move_to_end(key)
        if len(self._free_at) > REMEMBERED_MAX:
            self._free_at.popitem(last=False)
        return 0.0


class Verification:
    """Verify payments, one look-up at a time for each, not more often than every few seconds."""

    def __init__(
        self, db: Database, redis: Redis, clock: Clock, lookups: OrderLookup, settings: VerificationSettings
    ) -> None:
        self._db = db
        self._redis = redis
        self._clock = clock
        self._lookups = lookups
        self._settings = settings
        self._by_payment: Pace[UUID] = Pace(1, settings.interval_seconds)
        self._by_user: Pace[tuple[str, str]] = Pace(settings.per_minute, MINUTE_SECONDS)
        self._running: dict[UUID, asyncio.Task[Payment]] = {}

    async def verify(self, payment: Payment, caller: Caller) -> Payment:
        """The payment as the gateway's answer leaves it; unchanged when the gateway does not answer now.

        Neither closed nor paid is final at the gateway: an order may be paid twice. Only what was paid a moment ago is
        not looked up. A call during a look-up shares it; a call soon after one gets the stored payment. Raises
        VerificationLimitExceeded.
        """
        if payment.paid_at is not None and self._clock.now() - payment.paid_at < PAID_REST:
            return payment
        running = self._running.get(payment.id)
        if running is None:
            now = self._clock.monotonic()
            if self._by_payment.wait(payment.id, now):
                return payment
            if wait := self._by_user.wait((caller.merchant_id, caller.user_id), now):
                error = VerificationLimitExceeded("too many payments were looked up")
                error.retry_after_seconds = int(wait) + 1
                raise error
            running = self._running[payment.id] = asyncio.create_task(self._look_up(payment))
            running.add_done_callback(lambda _: self._running.pop(payment.id, None))
        # A caller that goes away does not end the look-up of the others.
        return await asyncio.shield(running)

    async def _look_up(self, payment: Payment) -> Payment:
        # Best effort, for the other processes. The lock that guards money is the row's.
        milliseconds = int(self._settings.interval_seconds * 1000)
        lock = f"lock:payment:{ids.encode('pay', payment.id)}"
        if milliseconds and not await best_effort(self._redis.set(lock, b"1", nx=True, px=milliseconds), True):
            return payment
        # The attempts of an open order, so that the customer sees it move, and of a paid one, which may have a second
        # capture; of a closed one only once it is paid.
        read_attempts = payment.unresolved or payment.status in PAID
        results = await self._lookups.look_up([lookup_of(payment, read_attempts=read_attempts)])
        applied = await sync_payments(self._db, [payment.id], results, self._clock, self._settings.decisions)
        unanswered = payment.id in applied.unknown or not isinstance(results[payment.order_key], ObservedOrder)
        if unanswered and payment.unresolved:
            # The command is retried until the gateway answers; closed payments are looked at on in any case.
            await self._request_sync(payment)
        decision = applied.decisions.get(payment.id)
        return decision.payment if decision else payment

    async def _request_sync(self, payment: Payment) -> None:
        async with self._db.begin() as tx:
            now = self._clock.now()
            await outbox.append(tx, [events.sync_requested(payment.id, payment.merchant_id, "VERIFY", now)])
