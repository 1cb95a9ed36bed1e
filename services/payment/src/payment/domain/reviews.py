"""What fraud and people say about a payment, and what follows for it and its receipts.

Fraud's verdict is kept beside the review, so that a quarantine neither hides nor loses it. A person's verdict stands:
whatever fraud says later changes nothing, and a later verdict that contradicts it is alerted.
"""

from datetime import datetime
from uuid import UUID

import msgspec

from payment.domain import receipts as receipt_rules
from payment.domain.captures import apply_receipt
from payment.domain.decisions import Alerted, Decision, ReceiptRefunded, Released
from payment.domain.payments import Payment
from payment.domain.receipts import Receipt, ReceiptReason, open_receipts
from payment.domain.review_queue import (
    Case,
    ReceiptNotFound,
    RefundIdRequired,
    ReviewAction,
    ReviewActionInvalid,
    ReviewChanged,
    ReviewRequest,
)
from payment.domain.states import CLOSED_UNPAID, PAID, FraudReview, Review, Status

REASON_CHARACTERS_MAX = 200


# ── What fraud says ──────────────────────────────────────────────────────────────────────────────────────────────


def flagged(payment: Payment, reasons: str, score: int | None, now: datetime) -> Payment:
    """The payment with fraud's flag, unless it has one or a person has decided."""
    if payment.fraud_review is not FraudReview.NONE:
        return payment
    return _with_verdict(payment, FraudReview.FLAGGED, reasons, score, now)


def decided(case: Case, verdict: FraudReview, actor_id: str, now: datetime, new_id: UUID) -> Decision:
    """A person allowed or blocked the payment: what was held is released, or left to be refunded.

    The first verdict stands, also when it was made in the review queue: one that contradicts it changes nothing, and is
    alerted. So is one that comes after the success; it changes nothing but the record.
    """
    payment = case.payment
    decision = Decision(payment, listed=True, actor=actor_id)
    if payment.fraud_review in (FraudReview.ALLOWED, FraudReview.BLOCKED):
        if payment.fraud_review is not verdict:
            decision.announcements.append(_contradicted(payment, verdict, now))
        return decision
    decision.payment = payment = _with_verdict(payment, verdict, "decided", None, now)
    left = open_receipts(case.receipts)
    # What is on its way back already stays so.
    held = [each for each in left if each.reason is ReceiptReason.FLAGGED and not each.is_refunding]
    if payment.status in PAID:
        if verdict is FraudReview.BLOCKED:
            decision.announcements.append(_refused_late(payment, now))
    elif held and verdict is FraudReview.ALLOWED:
        _succeed(decision, held[0], now, new_id)
    elif held:
        decision.announcements.append(Released(payment, now, granted=False))
        detail = f"refused by a person; refund {', '.join(each.gateway_payment_id for each in held)}"
        decision.announcements.append(Alerted(payment, "receipt_refund_due", detail, now))
    return decision


def _contradicted(payment: Payment, verdict: FraudReview, now: datetime) -> Alerted:
    if verdict is FraudReview.BLOCKED and payment.status in PAID:
        return _refused_late(payment, now)
    detail = f"a person said {verdict} after it was {payment.fraud_review}; the payment is {payment.status}"
    return Alerted(payment, "fraud_verdict_ignored", detail, now)


def _refused_late(payment: Payment, now: datetime) -> Alerted:
    return Alerted(
        payment, "fraud_refused_late", "refused after its credits were granted; decide about its refund", now
    )


def _with_verdict(payment: Payment, verdict: FraudReview, reason: str, score: int | None, now: datetime) -> Payment:
    fields: dict[str, object] = {"fraud_review": verdict, "updated_at": now}
    if payment.review not in (Review.QUARANTINED, Review.DISMISSED):
        fields |= {"review": Review(verdict), "review_reason": reason[:REASON_CHARACTERS_MAX]}
    if score is not None:
        fields["fraud_score"] = score
    return msgspec.structs.replace(payment, **fields)


# ── What people decide ───────────────────────────────────────────────────────────────────────────────────────────


def decide(case: Case, request: ReviewRequest, now: datetime, new_id: UUID) -> tuple[Decision, Receipt | None]:
    """Carry *request* out: the decision, and the receipt that it is about.

    REFUND refuses a flagged payment; the refund is begun for the receipt, and moves the payment once it succeeds.

    Raises ReviewChanged, ReceiptNotFound, ReceiptClosed, ReceiptRefundPending, ReceiptTooSmall, ReviewActionInvalid,
    RefundIdRequired.
    """
    if request.version != case.version:
        raise ReviewChanged("the payment has changed since it was read")
    if (request.action is ReviewAction.REFUNDED) != bool(request.gateway_refund_id):
        raise RefundIdRequired("the gateway's refund belongs to REFUNDED", gatewayRefundId="belongs to REFUNDED")
    # What a receipt says was listed by the gateway.
    decision = Decision(case.payment, listed=True, actor=request.actor_id)
    if request.action is ReviewAction.DISMISS:
        _dismiss(decision, case, now)
        return decision, None
    receipt = _chosen(case, request.receipt_id)
    if request.action is ReviewAction.FULFIL:
        if case.payment.status in PAID:
            raise ReviewActionInvalid("the payment is a success already; what is left of its receipts is refunded")
        _succeed(decision, receipt, now, new_id)
    elif request.action is ReviewAction.REFUNDED:
        give_back(decision, case, receipt, request.gateway_refund_id, now)
    else:
        receipt_rules.check_free(receipt)
        _refuse_flagged(decision, case, now)
    return decision, receipt


def _chosen(case: Case, receipt_id: UUID | None) -> Receipt:
    if receipt_id is not None:
        chosen = [each for each in case.receipts if each.id == receipt_id]
        if not chosen:
            raise ReceiptNotFound("the payment has no such receipt")
        return chosen[0]
    left = open_receipts(case.receipts)
    if len(left) != 1:
        raise ReceiptNotFound("name the receipt" if left else "no money was received that could be decided about")
    return left[0]


def _succeed(decision: Decision, receipt: Receipt, now: datetime, transaction_id: UUID) -> None:
    """A person makes the receipt the success; fulfilling a flagged payment also decides its fraud review."""
    if decision.payment.fraud_review in (FraudReview.FLAGGED, FraudReview.BLOCKED):
        decision.update(fraud_review=FraudReview.ALLOWED)
    apply_receipt(decision, receipt, "fulfilled", now, transaction_id)


def give_back(
    decision: Decision,
    case: Case,
    receipt: Receipt,
    gateway_refund_id: str,
    now: datetime,
    refund_id: UUID | None = None,
) -> None:
    """All that was left of *receipt* went back, by the refund *refund_id* or by hand.

    Raises ReceiptClosed, ReceiptRefundPending.
    """
    after = receipt_rules.refunded(receipt, gateway_refund_id, refund_id)
    decision.changed_receipts.append(after)
    if receipt.is_booked:
        decision.announcements.append(ReceiptRefunded(decision.payment, receipt, gateway_refund_id, now, refund_id))
    left = [each for each in open_receipts(case.receipts) if each.id != receipt.id]
    if left or case.payment.status in PAID:
        return
    _refuse_flagged(decision, case, now)
    _close(decision, "receipt_refunded", now)


def _refuse_flagged(decision: Decision, case: Case, now: datetime) -> None:
    """Giving the money of a flagged payment back refuses it."""
    if case.payment.status in PAID or case.payment.fraud_review is not FraudReview.FLAGGED:
        return
    if any(each.reason is ReceiptReason.FLAGGED for each in case.receipts):
        decision.update(fraud_review=FraudReview.BLOCKED)
        if decision.payment.review is Review.FLAGGED:
            decision.update(review=Review.BLOCKED)
        decision.announcements.append(Released(decision.payment, now, granted=False))


def _dismiss(decision: Decision, case: Case, now: datetime) -> None:
    if open_receipts(case.receipts):
        raise ReviewActionInvalid("there is money to decide about: fulfil the payment, or refund its receipts")
    if case.payment.review is not Review.QUARANTINED:
        raise ReviewActionInvalid(
            "only a quarantined payment is dismissed; a flagged one is decided at fraud's reviews"
        )
    _close(decision, "review_dismissed", now)


def _close(decision: Decision, reason: str, now: datetime) -> None:
    """Nothing is left to decide about: an unpaid payment ends here."""
    payment = decision.payment
    quarantined = payment.review is Review.QUARANTINED
    decision.update(
        review=Review.DISMISSED if quarantined else Review(payment.fraud_review),
        next_check_at=None,
        updated_at=now,
    )
    if payment.status not in CLOSED_UNPAID | PAID:
        decision.update(failure_reason=reason)
        decision.moved(Status.FAILED, reason, now)
    decision.watched = True
