"""The first transaction of a create: keys claimed, payments inserted, the intents to make their orders recorded."""

from collections.abc import Sequence
from datetime import datetime
from typing import TypeAlias
from uuid import UUID

import msgspec
from google.protobuf.message import Message

from common import idempotency, ids, outbox
from common.batching import NO_WINDOW, Batcher
from common.clock import Clock
from common.database import Database, Tx, retried
from common.errors import DomainError
from common.idempotency import Answered, Completion, Fresh, IdempotencyKeyReused, Key, Resumed
from common.intents import Intent
from common.runtime import Workers
from payment.domain.errors import OrderIdTaken, PaymentBlocked, PaymentUnresolved
from payment.domain.payments import Payment
from payment.domain.purchases import initial_transition
from payment.gateways.fraud import FraudVerdict
from payment.store import commands, queries
from payment.use_cases.gateway_orders import GatewayOrders, unresolved
from payment.wire import events, views


class PendingInsert(msgspec.Struct, frozen=True):
    """A payment to insert, or to refuse when fraud blocks it."""

    payment: Payment
    key: Key | None
    fingerprint: bytes
    fraud: FraudVerdict


class Inserted(msgspec.Struct, frozen=True):
    """Committed: the intent is leased to the caller."""

    payment: Payment
    intent: Intent


InsertResult: TypeAlias = Inserted | Answered | DomainError


class PaymentInserts:
    """Payments that arrive while one batch is being inserted are the next batch."""

    def __init__(self, db: Database, clock: Clock, orders: GatewayOrders) -> None:
        self._db = db
        self._clock = clock
        self._orders = orders
        self.batcher: Batcher[PendingInsert, Inserted | Answered] = Batcher(
            self._insert, name="create_payments", window=NO_WINDOW
        )

    @property
    def workers(self) -> Workers:
        return Workers(batchers=(self.batcher,))

    async def insert(self, pending: PendingInsert) -> Inserted | Answered:
        """Raises what the insert of this payment is refused with."""
        return await self.batcher.submit(pending)

    async def _insert(self, pending: list[PendingInsert]) -> list[InsertResult]:
        return await insert_payments(self._db, self._orders, pending, self._clock.now())


@retried
async def insert_payments(
    db: Database, orders: GatewayOrders, pending: Sequence[PendingInsert], now: datetime
) -> list[InsertResult]:
    """Insert what is new under its key, with the intent to make its order; one refused does not hold up the rest."""
    async with db.begin() as tx:
        results, messages = _refuse_blocked(pending, now)
        results |= await _claim_keys(tx, pending)
        fresh = [(index, item) for index, item in enumerate(pending) if index not in results]
        inserted_ids = await commands.insert_payments(tx, [item.payment for _, item in fresh])
        new = [item.payment for _, item in fresh if item.payment.id in inserted_ids]
        await commands.add_history(tx, [initial_transition(payment) for payment in new])
        intents = await orders.record(tx, new)
        completions = []
        for index, item in fresh:
            payment = item.payment
            if payment.id in intents:
                results[index] = Inserted(payment, intents[payment.id])
                continue
            refusal = _conflict(payment)
            results[index] = refusal
            if item.key:
                status, body = views.refused_body(refusal, payment.origin.request_id)
                completions.append(Completion(item.key, payment.id, status, body))
        await idempotency.complete(tx, completions)
        await outbox.append(tx, messages)
    return [results[index] for index in range(len(pending))]


def _refuse_blocked(pending: Sequence[PendingInsert], now: datetime) -> tuple[dict[int, InsertResult], list[Message]]:
    """The refusals of what fraud blocks, by position, and their audit lines."""
    results: dict[int, InsertResult] = {}
    messages: list[Message] = []
    for index, item in enumerate(pending):
        if item.fraud.block:
            results[index] = PaymentBlocked("the payment is refused by the fraud rules")
            messages.append(events.audit_blocked(item.payment, item.fraud.score or 0, item.fraud.reasons, now))
    return results, messages


async def _claim_keys(tx: Tx, pending: Sequence[PendingInsert]) -> dict[int, InsertResult]:
    """Claim the idempotency keys; the results of those that were used before, by position."""
    keyed = [
        (index, idempotency.Claim(item.key, item.fingerprint, item.payment.id))
        for index, item in enumerate(pending)
        if item.key and not item.fraud.block
    ]
    results: dict[int, InsertResult] = {}
    verdicts = await idempotency.claim(tx, [claim for _, claim in keyed])
    for (index, _), verdict in zip(keyed, verdicts, strict=True):
        if isinstance(verdict, Resumed):
            results[index] = await _resumed(tx, verdict.subject)
        elif not isinstance(verdict, Fresh):
            results[index] = verdict
    return results


async def _resumed(tx: Tx, payment_id: UUID) -> DomainError:
    """The first request under this key has no final answer yet; the intent's worker brings it."""
    payments = await queries.payments_by_id(tx, [payment_id])
    return unresolved(payments[0]) if payments else PaymentUnresolved()


def _conflict(payment: Payment) -> DomainError:
    """Why the insert conflicted: the order id, or a key that the table of keys has forgotten after its day."""
    if payment.idempotency_key and payment.order_id == ids.encode("ord", payment.id):
        return IdempotencyKeyReused()
    return OrderIdTaken(orderId="was used before")
