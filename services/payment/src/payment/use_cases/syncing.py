"""Verify and sweep: ask the gateway about payments of ours and let the facts decide."""

from collections.abc import Collection
from datetime import timedelta
from uuid import UUID

from redis.asyncio import Redis

from common import ids, outbox
from common import redis as redis_hint
from common.clock import Clock
from common.database import Database, Tx, retried
from common.errors import DomainError
from payment import store
from payment.domain import Facts, FactsUnknown, Payment, PaymentNotFound
from payment.store import Due
from payment.use_cases import measures
from payment.use_cases.deciding import Applied, Found, Inquiry, Policy, Question, apply_facts, known, next_checks
from payment.wire import events

LOCK_MS = 10_000
ROUNDS_MAX = 32


class Verification:
    """POST verify: the gateway is asked at once, because somebody waits."""

    def __init__(self, db: Database, redis: Redis, clock: Clock, inquiry: Inquiry, policy: Policy) -> None:
        self._db = db
        self._redis = redis
        self._clock = clock
        self._inquiry = inquiry
        self._policy = policy

    async def verify(self, payment: Payment) -> Payment:
        """The payment as the gateway's word leaves it; as it was when the gateway does not answer now.

        In that case the question goes on by itself: the command climbs the retry ladder until it is answered.
        """
        if not payment.unresolved:
            return payment
        # A hint, so that a page that polls asks once at a time. The lock that guards the money is the row's.
        lock = f"lock:payment:{ids.encode('pay', payment.id)}"
        if not await redis_hint.hint(self._redis.set(lock, b"1", nx=True, px=LOCK_MS), True):
            return payment
        try:
            found = await self._inquiry.ask([Question(payment.order_id, attempts=True)])
            applied = await sync_payments(self._db, [payment.id], found, self._clock, self._policy)
            if payment.id in applied.unknown or not isinstance(found[payment.order_id], Facts):
                await self._ask_later(payment)
            decision = applied.decisions.get(payment.id)
            return decision.payment if decision else payment
        finally:
            await redis_hint.hint(self._redis.delete(lock), None)

    async def _ask_later(self, payment: Payment) -> None:
        async with self._db.begin() as tx:
            now = self._clock.now()
            await outbox.append(tx, [events.sync_requested(payment.id, payment.merchant_id, "VERIFY", now)])


class Sweep:
    """The guarantee behind the webhooks: whoever is unresolved for too long is asked about."""

    def __init__(
        self,
        db: Database,
        clock: Clock,
        inquiry: Inquiry,
        policy: Policy,
        *,
        first_seconds: int,
        longest_seconds: int,
        batch_size: int = 64,
    ) -> None:
        self._db = db
        self._clock = clock
        self._inquiry = inquiry
        self._policy = policy
        self._first_seconds = first_seconds
        self._longest_seconds = longest_seconds
        self._batch_size = batch_size

    async def sweep(self) -> int:
        """Ask about what is due; how many payments that were. Safe to run N times: a row is leased to one."""
        due = await self._take()
        if due:
            found = await self._inquiry.ask(
                [Question(order_id) for order_id in sorted({each.order_id for each in due})]
            )
            applied = await sync_payments(
                self._db,
                [each.payment_id for each in due],
                found,
                self._clock,
                self._policy,
                (self._first_seconds, self._longest_seconds),
            )
            for decision in applied.decisions.values():
                for line in decision.transitions:
                    measures.swept(line.to_status)
        return len(due)

    async def run(self) -> None:
        """Sweep until nothing is due, for at most `ROUNDS_MAX` batches; the next turn goes on."""
        for _ in range(ROUNDS_MAX):
            if await self.sweep() < self._batch_size:
                return

    async def _take(self) -> list[Due]:
        now = self._clock.now()
        async with self._db.begin() as tx:
            # Until the answers are in; a process that dies meanwhile delays its rows by this.
            again = now + timedelta(seconds=self._first_seconds)
            return await store.take_due(tx, now, again, self._batch_size)


@retried
async def sync_payments(
    db: Database,
    payment_ids: Collection[UUID],
    found: dict[str, Found],
    clock: Clock,
    policy: Policy,
    schedule_seconds: tuple[int, int] | None = None,
) -> Applied:
    """Apply what was found to these payments; with *schedule_seconds* (first, longest) set the next checks too."""
    facts = known(found)
    async with db.begin() as tx:
        locked = await store.lock(tx, payment_ids)
        applied = await apply_facts(tx, locked.values(), facts, clock, policy)
        if schedule_seconds:
            after = [
                applied.decisions[payment.id].payment if payment.id in applied.decisions else payment
                for payment in locked.values()
            ]
            await store.schedule(tx, next_checks(after, clock.now(), *schedule_seconds))
        await outbox.append(tx, applied.messages)
    return applied


async def ask_about(db: Database, inquiry: Inquiry, payment_ids: Collection[UUID]) -> dict[str, Found]:
    """The gateway's view of these payments' orders; those that are closed already are not asked about."""
    async with db.begin() as tx:
        payments = await store.by_ids(tx, payment_ids)
    return await inquiry.ask([Question(payment.order_id) for payment in payments if payment.unresolved])


async def sync_requested(
    tx: Tx, payment_ids: Collection[UUID], found: dict[str, Found], clock: Clock, policy: Policy
) -> dict[UUID, DomainError]:
    """Apply what was found; why a payment has to be asked about again, for those that must."""
    locked = await store.lock(tx, payment_ids)
    applied = await apply_facts(tx, locked.values(), known(found), clock, policy)
    await outbox.append(tx, applied.messages)
    errors: dict[UUID, DomainError] = {payment_id: PaymentNotFound() for payment_id in set(payment_ids) - locked.keys()}
    for payment in locked.values():
        if payment.unresolved and payment.id not in applied.decisions:
            errors[payment.id] = applied.unknown.get(payment.id) or FactsUnknown()
    return errors
