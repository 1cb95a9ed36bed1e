"""Carry out what fraud's rules and people say about payments."""

from collections.abc import Sequence
from uuid import UUID

import msgspec
from google.protobuf.message import Message

from common import ids, outbox
from common.clock import Clock
from common.database import Tx
from common.errors import DomainError
from payment.domain import reviews
from payment.domain.decisions import Decision
from payment.domain.errors import PaymentNotKnownYet
from payment.domain.payments import Origin, Payment
from payment.domain.review_queue import Case
from payment.domain.states import FraudReview
from payment.store import commands, receipts
from payment.use_cases import metrics
from payment.use_cases.announcements import messages_for
from payment.use_cases.decisions import DecisionSettings, save_decisions
from payment.wire import events


class FraudStatement(msgspec.Struct, frozen=True):
    """FLAGGED by the rules, or ALLOWED or BLOCKED by a person."""

    payment_id: UUID
    review: FraudReview
    reason: str
    score: int | None
    actor_id: str


async def record_reviews(
    tx: Tx, statements: Sequence[FraudStatement], *, clock: Clock, settings: DecisionSettings
) -> list[DomainError | None]:
    """Carry out each, in order; one about a payment that is not stored (yet) is retried."""
    now = clock.now()
    locked = await commands.lock_payments(tx, {statement.payment_id for statement in statements})
    received = await receipts.receipts_of(tx, locked)
    cases = {payment.id: Case(payment, tuple(received.get(payment.id, ()))) for payment in locked.values()}
    decisions: list[Decision] = []
    messages: list[Message] = []
    for statement in statements:
        if statement.payment_id not in cases:
            continue
        case = cases[statement.payment_id]
        if statement.review is FraudReview.FLAGGED:
            flagged = reviews.flagged(case.payment, statement.reason, statement.score, now)
            decision = Decision(flagged, actor=statement.actor_id)
        else:
            decision = reviews.decided(case, statement.review, statement.actor_id, now, ids.new())
        messages += messages_for([decision], settings.public_url)
        if decision.payment is case.payment:
            continue
        decisions.append(decision)
        cases[statement.payment_id] = case.after(decision)
        messages.append(_audit(case.payment, decision, statement))
    await save_decisions(tx, decisions, locked, now, settings)
    metrics.moved(decisions, now)
    await outbox.append(tx, messages)
    missing = PaymentNotKnownYet("there is no payment with this id (yet)")
    return [None if statement.payment_id in cases else missing for statement in statements]


def _audit(before: Payment, decision: Decision, statement: FraudStatement) -> Message:
    origin = Origin(actor_id=statement.actor_id)
    at = decision.payment.updated_at
    return events.audit(
        decision.payment, "payment.review", before.status, at, origin=origin, review=statement.review.value
    )
