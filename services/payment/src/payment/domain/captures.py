"""Which attempt paid: captured, captured a second time, confirmed, corrected, or held for a person.

The gateway's own list decides. What a webhook claims is taken for one thing only: the attempt's id of the first capture
of an order that the gateway shows as paid; that capture is unconfirmed until a list was read.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from uuid import UUID

import msgspec

from common.money import Money
from gateways import AttemptStatus, OrderStatus, PaymentAttempt
from payment.domain.decisions import (
    Alerted,
    Corrected,
    Correction,
    Decision,
    Held,
    Received,
    Released,
    Transaction,
)
from payment.domain.errors import OrderStateUnknown
from payment.domain.orders import ObservedOrder, successes
from payment.domain.payments import Payment
from payment.domain.receipts import Receipt, ReceiptReason, applied, taken
from payment.domain.states import (
    PAID,
    UNRESOLVED,
    CaptureStatus,
    FraudReview,
    HoldPolicy,
    LateSuccessPolicy,
    Review,
    Status,
)


class CaptureRules(msgspec.Struct, frozen=True):
    """What the rules of captures need beside the payment and its order."""

    now: datetime
    new_id: Callable[[], UUID]
    # Captures and receipts by the gateway's payment id: whether its own list has shown them.
    recorded: Mapping[str, bool]
    late_success: LateSuccessPolicy
    # The grants of flagged payments wait for a person's verdict.
    hold: HoldPolicy
    # What the gateway's order is over.
    order_amount: Money
    # Of an unpaid payment under review, by the gateway's payment id.
    receipts: Mapping[str, Receipt] = {}
    # Another payment paid the merchant's order that this one is about.
    order_is_paid: bool = False

    def holds(self, payment: Payment) -> bool:
        """A person's BLOCK holds under every policy, a flag of the rules only where the policy says so."""
        return payment.fraud_review is FraudReview.BLOCKED or (
            self.hold is HoldPolicy.REVIEW and payment.fraud_review is FraudReview.FLAGGED
        )


def apply_claim(decision: Decision, claim: PaymentAttempt, rules: CaptureRules) -> None:
    """A paid order, and who paid it by a webhook only: enough for the first capture of a payment that nothing holds."""
    payment = decision.payment
    if claim.gateway_payment_id == payment.gateway_payment_id:
        return
    held = (
        # Only the list distinguishes new money from what a receipt or a review is about.
        bool(rules.recorded)
        or rules.order_is_paid
        or payment.review in (Review.QUARANTINED, Review.DISMISSED, Review.BLOCKED)
        or rules.holds(payment)
        or (payment.status not in UNRESOLVED and rules.late_success is not LateSuccessPolicy.FULFIL)
    )
    if payment.status not in PAID and not held:
        _capture(decision, claim, rules, confirmed=False)
        return
    decision.list_needed = True
    decision.attempts = [each for each in decision.attempts if each.gateway_payment_id != claim.gateway_payment_id]


def apply_list(decision: Decision, paid: Sequence[PaymentAttempt], rules: CaptureRules) -> None:
    """A paid order and *paid*, all attempts that the gateway lists as successful.

    Raises OrderStateUnknown when there is none (yet).
    """
    if not paid:
        raise OrderStateUnknown("the order is paid, but its paying attempt is not known yet")
    # Who paid in full goes first: beside that one a short payment is a duplicate and no reason to hold the payment.
    ordered = sorted(paid, key=lambda attempt: _differs(decision.payment, attempt))
    recorded = set(rules.recorded)
    if decision.payment.status in PAID:
        recorded -= _confirm(decision, ordered, rules)
    for attempt in ordered:
        if _is_released(decision.payment, attempt, rules):
            receipt = rules.receipts[attempt.gateway_payment_id]
            apply_receipt(decision, receipt, "verified", rules.now, rules.new_id())
            continue
        if attempt.gateway_payment_id in recorded | {decision.payment.gateway_payment_id}:
            continue
        _capture(decision, attempt, rules, confirmed=True)


def _is_released(payment: Payment, attempt: PaymentAttempt, rules: CaptureRules) -> bool:
    """The money was received because the gateway contradicted the payment, and now it agrees; or because its grant was
    held, and the policy holds it no longer. No person is needed.
    """
    receipt = rules.receipts.get(attempt.gateway_payment_id)
    return (
        receipt is not None
        and not receipt.is_refunding
        and receipt.reason in (ReceiptReason.AMOUNT_MISMATCH, ReceiptReason.FLAGGED)
        and receipt.open_minor >= payment.amount.minor
        and receipt.amount.currency == payment.amount.currency
        and payment.status not in PAID
        and not _differs(payment, attempt)
        and not rules.holds(payment)
        and not rules.order_is_paid
        and (payment.status in UNRESOLVED or rules.late_success is LateSuccessPolicy.FULFIL)
    )


def apply_receipt(decision: Decision, receipt: Receipt, reason: str, now: datetime, transaction_id: UUID) -> None:
    """The receipt becomes the success; the books take it out of what is owed. Raises ReceiptClosed, ReceiptTooSmall."""
    payment = decision.payment
    decision.changed_receipts.append(applied(receipt, payment.amount))
    if receipt.reason is ReceiptReason.FLAGGED:
        decision.announcements.append(Released(payment, now, granted=True))
    attempt = PaymentAttempt(
        order_id=payment.order_id,
        gateway_payment_id=receipt.gateway_payment_id,
        status=AttemptStatus.SUCCESS,
        amount=receipt.amount,
        method=receipt.method,
        group=receipt.group,
        bank_reference=receipt.bank_reference,
        at=receipt.received_at,
    )
    others = [each for each in decision.attempts if each.gateway_payment_id != attempt.gateway_payment_id]
    decision.attempts = [*others, attempt]
    decision.transactions.append(Transaction(transaction_id, attempt, CaptureStatus.CAPTURED, receipt.received_at))
    decision.update(
        gateway_payment_id=receipt.gateway_payment_id,
        method=receipt.method,
        payment_group=receipt.group,
        failure_reason="",
        review=Review(payment.fraud_review),
        review_reason="" if payment.fraud_review is FraudReview.NONE else payment.fraud_review.lower(),
        next_check_at=None,
        paid_at=receipt.received_at,
        updated_at=now,
    )
    decision.moved(Status.SUCCESS, reason, now, transaction_id, receipt_id=receipt.id)


def quarantine_order(decision: Decision, order: ObservedOrder, rules: CaptureRules) -> None:
    """The gateway's order is over another amount than the payment; whatever was paid for it is received."""
    detail = f"the gateway's order is over {order.snapshot.amount}"
    paid = order.snapshot.status is OrderStatus.PAID
    if paid and order.listed is None:
        decision.list_needed = True
    for attempt in successes(order.listed or ()) if paid else ():
        if attempt.gateway_payment_id not in rules.recorded:
            _receive(decision, attempt, ReceiptReason.AMOUNT_MISMATCH, rules)
    quarantine(decision, "amount_mismatch", detail, rules.now)


def quarantine(decision: Decision, cause: str, detail: str, now: datetime) -> None:
    """No success and no grant: its successes become UNKNOWN and an alert is raised, once per payment and cause.

    A dismissed quarantine stays dismissed until there is money to decide about.

    The order is still looked up, as a closed one is: the gateway may show something else later.
    """
    payment = decision.payment
    decision.attempts = [
        msgspec.structs.replace(each, status=AttemptStatus.UNKNOWN) if each.status is AttemptStatus.SUCCESS else each
        for each in decision.attempts
    ]
    known = payment.review is Review.QUARANTINED or (payment.review is Review.DISMISSED and not decision.receipts)
    if known and payment.review_reason == cause:
        return
    decision.update(review=Review.QUARANTINED, review_reason=cause, next_check_at=None, updated_at=now)
    decision.watched = True
    decision.announcements.append(Alerted(decision.payment, cause, detail, now))


def _capture(decision: Decision, attempt: PaymentAttempt, rules: CaptureRules, *, confirmed: bool) -> None:
    """The order is paid and *attempt*, which is not recorded, paid it."""
    payment, now = decision.payment, rules.now
    transaction_id, at = rules.new_id(), attempt.at or now
    if payment.status in PAID:
        duplicate = Transaction(transaction_id, attempt, CaptureStatus.DUPLICATE, at, confirmed)
        decision.transactions.append(duplicate)
        detail = f"captured twice, the second time as {attempt.gateway_payment_id}; refund it"
        decision.announcements.append(Alerted(payment, "duplicate_capture", detail, now))
        _receive(decision, attempt, ReceiptReason.DUPLICATE, rules)
        return
    if _differs(payment, attempt):
        _receive(decision, attempt, ReceiptReason.AMOUNT_MISMATCH, rules)
        quarantine(decision, "amount_mismatch", f"the attempt is over {attempt.amount or attempt.order_amount}", now)
        return
    if rules.order_is_paid:
        _receive(decision, attempt, ReceiptReason.DUPLICATE, rules)
        quarantine(decision, "order_already_paid", "another payment has paid its order; refund this one", now)
        return
    if payment.status not in UNRESOLVED and rules.late_success is not LateSuccessPolicy.FULFIL:
        _receive(decision, attempt, ReceiptReason.LATE_SUCCESS, rules)
        quarantine(decision, "late_success", f"paid after it was {payment.status}", now)
        return
    if rules.holds(payment):
        _hold(decision, attempt, rules)
        return
    captured = Transaction(transaction_id, attempt, CaptureStatus.CAPTURED, at, confirmed)
    decision.transactions.append(captured)
    released = payment.review in (Review.QUARANTINED, Review.DISMISSED)
    decision.update(
        gateway_payment_id=attempt.gateway_payment_id,
        method=attempt.method,
        payment_group=attempt.group,
        failure_reason="",
        review=Review(payment.fraud_review) if released else payment.review,
        review_reason="" if released else payment.review_reason,
        next_check_at=None,
        paid_at=at,
    )
    decision.moved(Status.SUCCESS, "verified" if payment.status in UNRESOLVED else "late_success", now, transaction_id)


def _hold(decision: Decision, attempt: PaymentAttempt, rules: CaptureRules) -> None:
    """Paid, and not granted before a person says so; what was refused before it was paid has to go back."""
    payment, now = decision.payment, rules.now
    receipt = _receive(decision, attempt, ReceiptReason.FLAGGED, rules)
    if receipt is None:
        return
    decision.update(next_check_at=None, updated_at=now)
    decision.watched = True
    if payment.fraud_review is FraudReview.BLOCKED:
        detail = f"paid after a person had refused it; refund {attempt.gateway_payment_id}"
        decision.announcements.append(Alerted(decision.payment, "receipt_refund_due", detail, now))
    else:
        decision.announcements.append(Held(decision.payment, receipt, now))


def _receive(decision: Decision, attempt: PaymentAttempt, reason: ReceiptReason, rules: CaptureRules) -> Receipt | None:
    """The money is in the review queue, and in the books when they have its currency; None when nothing was taken."""
    payment = decision.payment
    if attempt.order_amount is None:
        attempt = msgspec.structs.replace(attempt, order_amount=rules.order_amount)
    amount = taken(payment.amount, attempt, differs=_differs(payment, attempt))
    if amount.minor <= 0:
        return None
    receipt = Receipt(
        id=rules.new_id(),
        payment_id=payment.id,
        merchant_id=payment.merchant_id,
        gateway=payment.gateway,
        gateway_payment_id=attempt.gateway_payment_id,
        reason=reason,
        amount=amount,
        method=attempt.method,
        group=attempt.group,
        bank_reference=attempt.bank_reference,
        received_at=attempt.at or rules.now,
    )
    decision.receipts.append(receipt)
    decision.announcements.append(announced(payment, receipt, rules.now))
    return receipt


def announced(payment: Payment, receipt: Receipt, now: datetime) -> Received | Alerted:
    """What tells of *receipt*: the books, or people where the books do not have its currency."""
    if receipt.is_booked:
        return Received(payment, receipt, now)
    detail = f"{receipt.amount} taken as {receipt.gateway_payment_id}: no currency of the books; refund it"
    return Alerted(payment, "receipt_not_booked", detail, now)


def _confirm(decision: Decision, paid: Sequence[PaymentAttempt], rules: CaptureRules) -> set[str]:
    """The capture's attempt was named by a webhook: confirm it, or put the one that paid in its place.

    The ids of attempts that are not recorded any more.
    """
    payment, now = decision.payment, rules.now
    claimed_id = payment.gateway_payment_id
    others = rules.recorded.keys() - {claimed_id}
    payers = [each for each in paid if each.gateway_payment_id not in others]
    # What is not recorded needs no confirmation either.
    if rules.recorded.get(claimed_id, True) or not payers:
        return set()
    attempt = min(payers, key=lambda each: (_differs(payment, each), each.gateway_payment_id != claimed_id))
    correction = Correction(claimed_id, attempt)
    decision.corrections.append(correction)
    facts = {
        "gateway_payment_id": attempt.gateway_payment_id,
        "method": attempt.method or payment.method,
        "payment_group": attempt.group or payment.payment_group,
        "paid_at": attempt.at or payment.paid_at,
    }
    if any(getattr(payment, name) != value for name, value in facts.items()):
        decision.update(**facts, updated_at=now)
    if correction.replaces:
        decision.announcements.append(Corrected(decision.payment, claimed_id, now))
    if _differs(payment, attempt):
        detail = f"granted on a webhook's claim; the attempt is over {attempt.amount or attempt.order_amount}"
        decision.announcements.append(Alerted(decision.payment, "amount_mismatch", detail, now))
    return {claimed_id} if correction.replaces else set()


def _differs(payment: Payment, attempt: PaymentAttempt) -> bool:
    """A surcharge may make the paid amount higher than the order's; less, or another currency, is a mismatch."""
    if attempt.order_amount is not None and attempt.order_amount != payment.amount:
        return True
    paid = attempt.amount
    return paid is not None and (paid.currency != payment.amount.currency or paid.minor < payment.amount.minor)
