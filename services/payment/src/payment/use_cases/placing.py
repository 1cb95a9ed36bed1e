"""The first transaction of a create: keys claimed, payments inserted, the intents to make their orders recorded."""

from collections.abc import Sequence
from datetime import datetime
from typing import TypeAlias
from uuid import UUID

import msgspec
from google.protobuf.message import Message

from common import idempotency, ids, outbox
from common.database import Database, Tx, retried
from common.errors import DomainError
from common.idempotency import Answered, Completion, Fresh, IdempotencyKeyReused, Key, Resumed
from common.intents import Intent, Intents
from gateways import OrderRequest
from payment import domain, store
from payment.domain import OrderIdTaken, OrderRefused, OrderSnapshot, Payment, PaymentBlocked, PaymentUnresolved
from payment.gateways.fraud import Verdict
from payment.wire import events, views

OrderOutcome: TypeAlias = OrderSnapshot | OrderRefused
_encode = msgspec.json.Encoder().encode


class Item(msgspec.Struct, frozen=True):
    """One payment to place, or the record of one that fraud blocks."""

    payment: Payment
    key: Key | None
    fingerprint: bytes
    verdict: Verdict


class Placed(msgspec.Struct, frozen=True):
    """Committed: the intent is ours to carry out."""

    payment: Payment
    intent: Intent


@retried
async def place_payments(
    db: Database, orders: Intents[OrderOutcome], items: Sequence[Item], now: datetime
) -> list[Placed | Answered | DomainError]:
    """Insert what is new under its key, with the intent to make its order; one refused does not hold up the rest."""
    async with db.begin() as tx:
        results: dict[int, Placed | Answered | DomainError] = {}
        keyed = [
            (index, idempotency.Claim(item.key, item.fingerprint, item.payment.id))
            for index, item in enumerate(items)
            if item.key and not item.verdict.block
        ]
        verdicts = await idempotency.claim(tx, [claim for _, claim in keyed])
        for (index, _), verdict in zip(keyed, verdicts, strict=True):
            if isinstance(verdict, Resumed):
                results[index] = await _resumed(tx, verdict.subject)
            elif not isinstance(verdict, Fresh):
                results[index] = verdict
        messages: list[Message] = []
        for index, item in enumerate(items):
            if item.verdict.block:
                results[index] = PaymentBlocked("the payment is refused by the fraud rules")
                origin = item.payment.origin
                messages.append(
                    events.blocked(item.payment.merchant_id, origin, item.verdict.score or 0, item.verdict.reasons, now)
                )
        fresh = [(index, item) for index, item in enumerate(items) if index not in results]
        there = await store.insert(tx, [item.payment for _, item in fresh])
        new = {item.payment.id: item.payment for _, item in fresh if item.payment.id in there}
        await store.add_history(tx, [domain.first_line(payment) for payment in new.values()])
        intents = await orders.record(
            tx, {payment.id: _encode(_request(payment)) for payment in new.values()}, leased=True
        )
        by_id = {intent.id: intent for intent in intents}
        completions = []
        for index, item in fresh:
            payment = item.payment
            if payment.id in new:
                results[index] = Placed(payment, by_id[payment.id])
                continue
            taken = left_out(payment)
            results[index] = taken
            if item.key:
                status, body = views.refused(taken, payment.origin.request_id)
                completions.append(Completion(item.key, payment.id, status, body))
        await idempotency.complete(tx, completions)
        await outbox.append(tx, messages)
    return [results[index] for index in range(len(items))]


async def _resumed(tx: Tx, payment_id: UUID) -> DomainError:
    """The first request under this key never got its final answer; the intent is on its way to one."""
    found = await store.by_ids(tx, [payment_id])
    return unresolved(found[0]) if found else PaymentUnresolved()


def left_out(payment: Payment) -> DomainError:
    """Why the database did not take it: the order id, or a key that the table of keys has forgotten after its day."""
    if payment.idempotency_key and payment.order_id == ids.encode("ord", payment.id):
        return IdempotencyKeyReused()
    return OrderIdTaken(orderId="was used before")


def _request(payment: Payment) -> OrderRequest:
    return OrderRequest(
        order_id=payment.order_id,
        payment_id=ids.encode("pay", payment.id),
        amount=payment.amount,
        customer_id=payment.user_id,
        customer=payment.customer,
        return_url=payment.return_url,
        note=payment.description,
        method_hint=payment.method_hint,
        expires_at=payment.expires_at,
    )


def unresolved(payment: Payment) -> PaymentUnresolved:
    return PaymentUnresolved(
        "the gateway's answer is not known yet; ask for the payment's status",
        paymentId=ids.encode("pay", payment.id),
        orderId=payment.order_id,
    )
