"""Record what fraud rules and people say about payments. Grants of flagged payments are not held yet."""

from collections.abc import Sequence
from uuid import UUID

import msgspec
from google.protobuf.message import Message

from common import outbox
from common.clock import Clock
from common.database import Tx
from common.errors import DomainError
from payment.domain.errors import PaymentNotKnownYet
from payment.domain.payments import Origin
from payment.domain.reviews import reviewed
from payment.domain.states import Review
from payment.store import commands
from payment.wire import events


class ReviewDecision(msgspec.Struct, frozen=True):
    """FLAGGED by the rules, or ALLOWED or BLOCKED by a person."""

    payment_id: UUID
    review: Review
    reason: str
    score: int | None
    actor_id: str


async def record_reviews(tx: Tx, decisions: Sequence[ReviewDecision], *, clock: Clock) -> list[DomainError | None]:
    """Record each decision, in order; one about a payment that is not stored (yet) is retried."""
    now = clock.now()
    payments = await commands.lock_payments(tx, {decision.payment_id for decision in decisions})
    changed: set[UUID] = set()
    messages: list[Message] = []
    results: list[DomainError | None] = []
    for decision in decisions:
        payment = payments.get(decision.payment_id)
        if payment is None:
            results.append(PaymentNotKnownYet("there is no payment with this id (yet)"))
            continue
        results.append(None)
        after = reviewed(payment, decision.review, decision.reason, decision.score, now)
        if after is payment:
            continue
        payments[payment.id] = after
        changed.add(payment.id)
        origin = Origin(actor_id=decision.actor_id)
        messages.append(
            events.audit(after, "payment.review", payment.status, now, origin=origin, review=decision.review.value)
        )
    await commands.save_payments(tx, [payments[payment_id] for payment_id in sorted(changed)])
    await outbox.append(tx, messages)
    return results
