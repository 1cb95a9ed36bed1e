"""From what the gateway shows to moves. Create, webhook, verify, sweep and cancel all decide here; the first wins."""

from collections.abc import Callable, Collection
from datetime import datetime
from typing import TypeAlias
from uuid import UUID

import msgspec

from common import ids
from gateways import AttemptStatus, OrderRefused, OrderSnapshot, OrderStatus, PaymentAttempt
from payment.domain.errors import OrderStateUnknown, OrderTagMismatch
from payment.domain.orders import ObservedOrder, highest_ranked
from payment.domain.payments import Payment, Transition, move
from payment.domain.states import PAID, UNRESOLVED, CaptureStatus, LateSuccessPolicy, Review, Status

# The actor of a move that the gateway's answer causes.
ACTOR = "service:payment"


class Transaction(msgspec.Struct, frozen=True, gc=False):
    """Money that the gateway took; unique by the gateway's own payment id."""

    id: UUID
    payment_id: UUID
    attempt: PaymentAttempt
    status: CaptureStatus
    created_at: datetime


class Moved(msgspec.Struct, frozen=True, gc=False):
    """The payment reached another status; use_cases.announcements decides what is announced."""

    payment: Payment
    before: Status
    at: datetime
    reason: str = ""
    transaction_id: UUID | None = None


class Created(msgspec.Struct, frozen=True, gc=False):
    """The gateway's order exists: announced once, by whichever move takes the payment out of CREATED."""

    payment: Payment
    at: datetime


class Alerted(msgspec.Struct, frozen=True, gc=False):
    """A person must look at the payment; its status did not change."""

    payment: Payment
    cause: str
    detail: str
    at: datetime


Announcement: TypeAlias = Created | Moved | Alerted


class Decision(msgspec.Struct):
    """What was decided about one payment. Mutable: the rules below fill it in one after the other."""

    payment: Payment
    attempts: list[PaymentAttempt] = []
    transitions: list[Transition] = []
    transactions: list[Transaction] = []
    announcements: list[Announcement] = []

    def moved(self, to: Status, reason: str, now: datetime, transaction_id: UUID | None = None) -> None:
        before = self.payment.status
        self.payment, transition = move(self.payment, to, reason=reason, actor=ACTOR, now=now)
        self.transitions.append(transition)
        self.announcements.append(Moved(self.payment, before, now, reason, transaction_id))


def needs_captures(payment: Payment, order: ObservedOrder) -> bool:
    """Whether decide() has to know which captures of this payment are recorded: only after a second one."""
    return bool(payment.gateway_payment_id) and any(
        attempt.status is AttemptStatus.SUCCESS and attempt.gateway_payment_id != payment.gateway_payment_id
        for attempt in order.attempts
    )


def decide(
    payment: Payment,
    order: ObservedOrder,
    now: datetime,
    new_id: Callable[[], UUID],
    *,
    captures: Collection[str] = (),
    late_success: LateSuccessPolicy = LateSuccessPolicy.FULFIL,
) -> Decision:
    """Apply what the gateway shows of *order* to *payment*; the caller holds the payment's lock.

    *captures* are the gateway payment ids already recorded for it (see needs_captures). *late_success* says what a
    success after FAILED, EXPIRED or CANCELLED leads to. Raises OrderTagMismatch when the order
    does not carry this payment's tag, OrderStateUnknown when the order does not confirm what its attempts claim, for
    example a success on an order that the gateway does not show as paid (yet).
    """
    snapshot = order.snapshot
    verify_ownership(payment, snapshot)
    decision = Decision(payment, highest_ranked(list(order.attempts)))
    successes = [attempt for attempt in decision.attempts if attempt.status is AttemptStatus.SUCCESS]
    if snapshot.amount != payment.amount:
        _quarantine(decision, "amount_mismatch", f"the gateway's order is over {snapshot.amount}", now)
    elif snapshot.status is OrderStatus.PAID:
        if not successes:
            raise OrderStateUnknown("the order is paid, but its paying attempt is not known yet")
        for attempt in successes:
            _capture(decision, attempt, now, new_id, captures, late_success)
    elif successes:
        raise OrderStateUnknown(f"an attempt claims success while the order is {snapshot.status}")
    else:
        _without_success(decision, snapshot, now)
    after = decision.payment
    verified_now = order.from_webhook and not after.webhook_verified
    if verified_now or (snapshot.gateway_order_id and not after.gateway_order_id):
        decision.payment = msgspec.structs.replace(
            after,
            webhook_verified=after.webhook_verified or order.from_webhook,
            gateway_order_id=after.gateway_order_id or snapshot.gateway_order_id,
            session_id=after.session_id or snapshot.session_id,
        )
    if payment.status is Status.CREATED and decision.payment.status is not Status.CREATED:
        decision.announcements.insert(0, Created(payment, now))
    return decision


def verify_ownership(payment: Payment, snapshot: OrderSnapshot) -> None:
    """Merchants may share a gateway account: an order without this payment's tag is not this payment's.

    Raises OrderTagMismatch.
    """
    if snapshot.payment_id != ids.encode("pay", payment.id):
        raise OrderTagMismatch("the gateway's order does not carry this payment's tag")


def decide_order_outcome(payment: Payment, outcome: OrderSnapshot | OrderRefused, now: datetime) -> Decision:
    """Apply the gateway's answer to create order. A webhook that came first has moved the payment already."""
    decision = Decision(payment)
    if isinstance(outcome, OrderRefused):
        if payment.status is Status.CREATED:
            decision.payment = msgspec.structs.replace(payment, failure_reason="gateway_refused", next_check_at=None)
            decision.moved(Status.FAILED, "gateway_refused", now)
        return decision
    ordered = msgspec.structs.replace(
        payment,
        session_id=outcome.session_id or payment.session_id,
        gateway_order_id=outcome.gateway_order_id,
        updated_at=now,
    )
    decision.payment = ordered
    if ordered.status is Status.CREATED:
        decision.payment, transition = move(ordered, Status.PENDING, reason="order_created", actor=ACTOR, now=now)
        decision.transitions.append(transition)
        decision.announcements.append(Created(decision.payment, now))
    return decision


def _capture(
    decision: Decision,
    attempt: PaymentAttempt,
    now: datetime,
    new_id: Callable[[], UUID],
    captures: Collection[str],
    late_success: LateSuccessPolicy,
) -> None:
    """The order is paid and *attempt* says that it paid it."""
    payment = decision.payment
    if attempt.gateway_payment_id == payment.gateway_payment_id or attempt.gateway_payment_id in captures:
        return
    if _differs(payment, attempt):
        detail = f"the attempt is over {attempt.amount or attempt.order_amount}"
        _quarantine(decision, "amount_mismatch", detail, now, attempt)
        return
    transaction_id = new_id()
    if payment.status in PAID:
        decision.transactions.append(
            Transaction(transaction_id, payment.id, attempt, CaptureStatus.DUPLICATE, attempt.at or now)
        )
        detail = f"captured twice, the second time as {attempt.gateway_payment_id}; refund it"
        decision.announcements.append(Alerted(payment, "duplicate_capture", detail, now))
        return
    if payment.status not in UNRESOLVED and late_success is LateSuccessPolicy.REVIEW:
        _quarantine(decision, "late_success", f"paid after it was {payment.status}", now, attempt)
        return
    decision.transactions.append(
        Transaction(transaction_id, payment.id, attempt, CaptureStatus.CAPTURED, attempt.at or now)
    )
    released = payment.review is Review.QUARANTINED
    decision.payment = msgspec.structs.replace(
        payment,
        gateway_payment_id=attempt.gateway_payment_id,
        method=attempt.method,
        payment_group=attempt.group,
        failure_reason="",
        review=Review.NONE if released else payment.review,
        review_reason="" if released else payment.review_reason,
        next_check_at=None,
        paid_at=attempt.at or now,
    )
    decision.moved(Status.SUCCESS, "verified" if payment.status in UNRESOLVED else "late_success", now, transaction_id)


def _differs(payment: Payment, attempt: PaymentAttempt) -> bool:
    """A surcharge may make the paid amount higher than the order's; less, or another currency, is a mismatch."""
    if attempt.order_amount is not None and attempt.order_amount != payment.amount:
        return True
    paid = attempt.amount
    return paid is not None and (paid.currency != payment.amount.currency or paid.minor < payment.amount.minor)


def _quarantine(
    decision: Decision, cause: str, detail: str, now: datetime, attempt: PaymentAttempt | None = None
) -> None:
    """No success and no grant: the attempt becomes UNKNOWN and an alert is raised, once per payment and cause."""
    payment = decision.payment
    doubtful = {attempt.gateway_payment_id} if attempt else {each.gateway_payment_id for each in decision.attempts}
    decision.attempts = [
        msgspec.structs.replace(each, status=AttemptStatus.UNKNOWN) if each.gateway_payment_id in doubtful else each
        for each in decision.attempts
    ]
    if payment.review is Review.QUARANTINED and payment.review_reason == cause:
        return
    decision.payment = msgspec.structs.replace(
        payment, review=Review.QUARANTINED, review_reason=cause, next_check_at=None, updated_at=now
    )
    decision.announcements.append(Alerted(decision.payment, cause, detail, now))


def _without_success(decision: Decision, snapshot: OrderSnapshot, now: datetime) -> None:
    """Nobody has paid: record the failure's reason, and close the payment when its order is closed."""
    payment = decision.payment
    if payment.status not in UNRESOLVED:
        return
    failed = [each for each in decision.attempts if each.status in (AttemptStatus.FAILED, AttemptStatus.DROPPED)]
    if failed and failed[-1].reason != payment.failure_reason:
        payment = decision.payment = msgspec.structs.replace(payment, failure_reason=failed[-1].reason, updated_at=now)
    if snapshot.status in (OrderStatus.EXPIRED, OrderStatus.TERMINATED):
        _close(decision, snapshot.status, now)
    elif snapshot.status is OrderStatus.ACTIVE:
        _follow_attempts(decision, now)


def _close(decision: Decision, order: OrderStatus, now: datetime) -> None:
    """Closed unpaid: CANCELLED when we asked for it, FAILED after a failed attempt, EXPIRED otherwise."""
    payment = decision.payment
    decision.payment = msgspec.structs.replace(payment, next_check_at=None)
    if payment.cancel_requested and order is OrderStatus.TERMINATED and payment.status is not Status.PROCESSING:
        decision.moved(Status.CANCELLED, "cancelled", now)
    elif payment.failure_reason or order is OrderStatus.TERMINATED:
        reason = payment.failure_reason or "order_closed"
        decision.payment = msgspec.structs.replace(decision.payment, failure_reason=reason)
        decision.moved(Status.FAILED, reason, now)
    else:
        decision.moved(Status.EXPIRED, "expired", now)


# The status of a payment whose order is open, by its furthest open attempt.
_STATUS_BY_ATTEMPT = {AttemptStatus.PENDING: Status.PROCESSING, AttemptStatus.AUTHORIZING: Status.AUTHORIZING}


def _follow_attempts(decision: Decision, now: datetime) -> None:
    """The order is open: the payment follows its attempts, and goes back to PENDING when all of them ended."""
    status = decision.payment.status
    if status is Status.CREATED:
        decision.moved(Status.PENDING, "order_created", now)
        status = Status.PENDING
    running = [_STATUS_BY_ATTEMPT[each.status] for each in decision.attempts if each.status in _STATUS_BY_ATTEMPT]
    if Status.PROCESSING in running and status is not Status.PROCESSING:
        decision.moved(Status.PROCESSING, "attempt_processing", now)
    elif running and status is Status.PENDING:
        decision.moved(Status.AUTHORIZING, "attempt_authorizing", now)
    elif decision.attempts and not running and status in (Status.AUTHORIZING, Status.PROCESSING):
        decision.moved(Status.PENDING, decision.payment.failure_reason or "attempt_ended", now)
