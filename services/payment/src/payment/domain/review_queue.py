"""The review queue: which payments are in it and why, the decisions about them, and the evidence that is shown."""

from datetime import datetime
from enum import StrEnum
from hashlib import sha256
from uuid import UUID

import msgspec

from common.errors import Conflict, FailedPrecondition, InvalidArgument, NotFound
from common.money import Money
from payment.domain.decisions import Decision
from payment.domain.payments import Payment
from payment.domain.receipts import Receipt, ReceiptReason, open_receipts
from payment.domain.states import CLOSED_UNPAID, PAID, Review


class ReviewKind(StrEnum):
    """Why somebody has to look at a payment."""

    # Nothing is granted: the gateway's order or capture contradicts the payment, or the money came late.
    QUARANTINED = "QUARANTINED"
    # Fraud's rules flagged it; its grant may be held.
    FLAGGED = "FLAGGED"
    # It is paid, and more was taken than that.
    DUPLICATE = "DUPLICATE"


class ReviewAction(StrEnum):
    # The receipt becomes the payment's success.
    FULFIL = "FULFIL"
    # The receipt is refunded through the gateway.
    REFUND = "REFUND"
    # The receipt was refunded in the gateway's dashboard.
    REFUNDED = "REFUNDED"
    # There is no money to decide about, and nothing else to do.
    DISMISS = "DISMISS"


class ReviewNotFound(NotFound):
    fix = "Check the payment id, and that the payment is your merchant's."


class ReviewChanged(Conflict):
    """The payment is no longer as it was when the decision was made, or somebody else has decided."""

    fix = "Read the review again and decide about what it shows now."


class ReviewActionInvalid(FailedPrecondition):
    """The payment's state does not allow this decision."""

    fix = "Read the review; the message says which decision is possible."


class ReceiptNotFound(NotFound):
    fix = "Check the receipt's id; the review lists the payment's receipts."


class RefundIdTaken(Conflict):
    """Another receipt was given back by this refund."""

    fix = "Send the id of the refund that gave this very receipt back, as the gateway's dashboard shows it."


class RefundIdRequired(InvalidArgument):
    fix = "Send the id of the gateway's refund, with REFUNDED and with nothing else."


class ReviewRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What a person decides about the payment that *version* shows."""

    payment_id: UUID
    # None for an operator, who may decide about every merchant's.
    merchant_id: str | None
    action: ReviewAction
    version: str
    reason: str
    actor_id: str
    receipt_id: UUID | None = None
    gateway_refund_id: str = ""


class ReviewFilter(msgspec.Struct, frozen=True, kw_only=True):
    """A page of the queue, newest payment first; *before* is the last payment of the page before."""

    # None for an operator: every merchant's.
    merchant_id: str | None
    kind: ReviewKind | None = None
    before: UUID | None = None
    limit: int


class RecordedDecision(msgspec.Struct, frozen=True, kw_only=True):
    """A decision as it is stored; one for each version of a payment."""

    id: UUID
    payment_id: UUID
    merchant_id: str
    version: str
    action: ReviewAction
    reason: str
    actor_id: str
    receipt_id: UUID | None
    gateway_refund_id: str
    at: datetime

    @classmethod
    def of(
        cls, request: ReviewRequest, payment: Payment, receipt: Receipt | None, at: datetime, decision_id: UUID
    ) -> "RecordedDecision":
        return cls(
            id=decision_id,
            payment_id=payment.id,
            merchant_id=payment.merchant_id,
            version=request.version,
            action=request.action,
            reason=request.reason,
            actor_id=request.actor_id,
            receipt_id=receipt.id if receipt else None,
            gateway_refund_id=request.gateway_refund_id,
            at=at,
        )

    def repeats(self, request: ReviewRequest) -> bool:
        """Whether *request* is this decision, sent again."""
        return (
            self.action is request.action
            and self.actor_id == request.actor_id
            and self.gateway_refund_id == request.gateway_refund_id
            and request.receipt_id in (None, self.receipt_id)
        )


class Case(msgspec.Struct, frozen=True):
    """A payment with its receipts and the decisions about it, oldest first; locked or as a reader sees it."""

    payment: Payment
    receipts: tuple[Receipt, ...] = ()
    decisions: tuple[RecordedDecision, ...] = ()

    @property
    def kinds(self) -> list[ReviewKind]:
        """Why it is in the queue, none when it is not. Whatever a receipt still holds puts it there."""
        payment, left = self.payment, open_receipts(self.receipts)
        kinds = []
        paid = payment.status in PAID
        held = not paid and any(each.reason is ReceiptReason.FLAGGED for each in left)
        doubtful = not paid and any(each.reason is not ReceiptReason.FLAGGED for each in left)
        if payment.review is Review.QUARANTINED or doubtful:
            kinds.append(ReviewKind.QUARANTINED)
        if held or (payment.review is Review.FLAGGED and payment.status not in CLOSED_UNPAID):
            kinds.append(ReviewKind.FLAGGED)
        if paid and left:
            kinds.append(ReviewKind.DUPLICATE)
        return kinds

    def after(self, decision: Decision, *recorded: RecordedDecision) -> "Case":
        """The payment as *decision* leaves it; *recorded* when a person made it in the queue."""
        changed = {receipt.id: receipt for receipt in decision.changed_receipts}
        receipts = tuple(changed.get(receipt.id, receipt) for receipt in self.receipts)
        return Case(decision.payment, receipts, (*self.decisions, *recorded))

    @property
    def version(self) -> str:
        """Of all that a decision is about: it never comes back, since every decision counts."""
        payment = self.payment
        parts = [
            payment.status,
            payment.fraud_review,
            payment.review,
            payment.review_reason,
            str(len(self.decisions)),
        ]
        parts += [f"{each.id}:{each.applied_minor}:{each.refunded_minor}" for each in self.receipts]
        parts += [f"{each.id}:{each.refund_id}" for each in self.receipts if each.refund_id]
        return sha256("\n".join(parts).encode()).hexdigest()[:16]


class RecordedAttempt(msgspec.Struct, frozen=True):
    """An attempt as the gateway showed it last."""

    gateway_payment_id: str
    status: str
    reason: str
    method: str
    amount: Money | None
    updated_at: datetime


class Entry(msgspec.Struct, frozen=True):
    """One thing that happened, as people read it. *kind* is transition, gateway_call or decision."""

    at: datetime
    kind: str
    summary: str
    actor: str = ""


class Evidence(msgspec.Struct, frozen=True):
    """All that is known of a payment that is decided about; *entries* oldest first."""

    case: Case
    attempts: tuple[RecordedAttempt, ...]
    entries: tuple[Entry, ...]
