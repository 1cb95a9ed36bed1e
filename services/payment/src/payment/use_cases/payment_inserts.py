"""The first transaction of a create: keys claimed, payments inserted, the intents to make their orders recorded."""

from collections.abc import Sequence
from datetime import datetime
from typing import TypeAlias
from uuid import UUID

import msgspec
from google.protobuf.message import Message

from common import idempotency, outbox
from common.batching import NO_WINDOW, Batcher
from common.clock import Clock
from common.database import Database, Tx, retried
from common.errors import DomainError
from common.idempotency import Answered, Completion, Fresh, IdempotencyKeyReused, Key, Resumed
from common.intents import Intent
from common.runtime import Workers
from payment.domain.errors import OrderIdTaken, PaymentBlocked, PaymentUnresolved
from payment.domain.merchant_orders import begin_payment
from payment.domain.payments import Payment
from payment.domain.purchases import initial_transition
from payment.gateways.fraud import FraudVerdict
from payment.store import commands, merchant_orders, queries
from payment.use_cases.gateway_orders import GatewayOrders, key_of, unresolved
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
        if any(item.payment.parent_order_id for _, item in fresh):
            results |= await _begin_orders(tx, fresh, now)
            fresh = [(index, item) for index, item in fresh if index not in results]
        inserted_ids = await commands.insert_payments(tx, [item.payment for _, item in fresh])
        new = [item.payment for _, item in fresh if item.payment.id in inserted_ids]
        await commands.add_history(tx, [initial_transition(payment) for payment in new])
        intents = await orders.record(tx, new)
        for index, item in fresh:
            if item.payment.id in intents:
                results[index] = Inserted(item.payment, intents[item.payment.id])
        results |= await _resolve_conflicts(tx, orders, [each for each in fresh if each[0] not in results])
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


async def _begin_orders(tx: Tx, fresh: Sequence[tuple[int, PendingInsert]], now: datetime) -> dict[int, InsertResult]:
    """Mark the merchants' orders that are to be paid as attempted; the refusals, by position. One payment of an order
    is open at a time.
    """
    locked = await merchant_orders.lock(
        tx, {each.payment.parent_order_id for _, each in fresh if each.payment.parent_order_id}
    )
    others = await merchant_orders.payments_of(tx, locked)
    results: dict[int, InsertResult] = {}
    completions = []
    begun = set()
    for index, item in fresh:
        parent = item.payment.parent_order_id
        if parent is None:
            continue
        try:
            begin_payment(locked[parent], item.payment, others[parent], now)
        except DomainError as refusal:
            results[index] = refusal
            if item.key:
                status, body = views.refused_body(refusal, item.payment.origin.request_id)
                completions.append(Completion(item.key, item.payment.id, status, body))
        else:
            others[parent].append(item.payment)
            begun.add(parent)
    await idempotency.complete(tx, completions)
    await merchant_orders.mark_attempted(tx, begun, now)
    return results


async def _resolve_conflicts(
    tx: Tx, orders: GatewayOrders, conflicts: Sequence[tuple[int, PendingInsert]]
) -> dict[int, InsertResult]:
    """The results of payments that are there already: their order id is, or their key, which the table of keys has
    forgotten after its day. The payment that was made under the key then answers the same request once more.
    """
    keyed = [item.key for _, item in conflicts if item.key]
    earlier = {key_of(payment): payment for payment in await queries.payments_by_key(tx, keyed)} if keyed else {}
    results: dict[int, InsertResult] = {}
    completions = []
    adopted: dict[Key, UUID] = {}
    for index, item in conflicts:
        existing = earlier.get(item.key) if item.key else None
        if item.key and existing and existing.request_fingerprint == item.fingerprint:
            adopted[item.key] = existing.id
            results[index] = result = _answer_again(orders, existing)
            if isinstance(result, Answered):
                completions.append(Completion(item.key, existing.id, result.status, result.response))
            continue
        refusal = IdempotencyKeyReused() if existing else OrderIdTaken(orderId="was used before")
        results[index] = refusal
        if item.key:
            status, body = views.refused_body(refusal, item.payment.origin.request_id)
            completions.append(Completion(item.key, item.payment.id, status, body))
    await idempotency.adopt(tx, adopted)
    await idempotency.complete(tx, completions)
    return results


def _answer_again(orders: GatewayOrders, payment: Payment) -> Answered | DomainError:
    response = orders.answer_again(payment)
    return Answered(payment.id, response.status, response.body) if response else unresolved(payment)
