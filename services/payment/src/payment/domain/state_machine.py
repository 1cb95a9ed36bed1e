"""From what the gateway shows to moves. Create, webhook, verify, sweep and cancel all decide here; the first wins."""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import msgspec

from common import ids
from gateways import AttemptStatus, OrderRefused, OrderSnapshot, OrderStatus
from payment.domain import captures
from payment.domain.captures import CaptureRules
from payment.domain.decisions import ACTOR, Created, Decision
from payment.domain.errors import OrderStateUnknown, OrderTagMismatch
from payment.domain.orders import ObservedOrder, needs_list, successes
from payment.domain.payments import Payment, move
from payment.domain.receipts import Receipt
from payment.domain.states import PAID, UNRESOLVED, HoldPolicy, LateSuccessPolicy, Review, Status

# A webhook claims a success that the gateway does not show: it is looked up again after this, or earlier.
LOOK_AGAIN = timedelta(seconds=30)


def needs_captures(payment: Payment, order: ObservedOrder) -> bool:
    """Whether decide() has to know which captures and receipts are recorded.

    Captures, to compare them with a list. Receipts, whose money a claim must not book again: an unpaid payment has some
    only when it was or is in the review queue.
    """
    return (order.listed is not None and bool(payment.gateway_payment_id)) or payment.review is not Review.NONE


def needs_receipts(payment: Payment, order: ObservedOrder) -> bool:
    """Whether decide() has to know the payment's receipts: a list may release what one of them holds."""
    return order.listed is not None and payment.status not in PAID and payment.review is not Review.NONE


def decide(
    payment: Payment,
    order: ObservedOrder,
    now: datetime,
    new_id: Callable[[], UUID],
    *,
    recorded: Mapping[str, bool] | None = None,
    late_success: LateSuccessPolicy = LateSuccessPolicy.FULFIL,
    hold: HoldPolicy = HoldPolicy.OFF,
    receipts: Mapping[str, Receipt] | None = None,
    order_is_paid: bool = False,
) -> Decision:
    """Apply what the gateway shows of *order* to *payment*; the caller holds the payment's lock.

    *recorded* says of the captures and receipts already recorded for it whether the gateway's list has shown them;
    *receipts* are those of an unpaid payment under review. Both are by the gateway's payment id (see needs_captures,
    needs_receipts).
    *late_success* says what a success after FAILED, EXPIRED or CANCELLED leads to; with *order_is_paid* another payment
    has paid the merchant's order, and this one's money is to go back. Raises OrderTagMismatch when the
    order does not carry this payment's tag, OrderStateUnknown when the gateway contradicts itself, for example by a
    success on an order that it does not show as paid (yet), or when its list of attempts is missing.
    """
    snapshot = order.snapshot
    verify_ownership(payment, snapshot)
    if order.listed is None and needs_list(snapshot, order.claims):
        raise OrderStateUnknown("the gateway's list of attempts has to be read first")
    decision = Decision(payment, order.attempts, listed=order.listed is not None)
    rules = CaptureRules(
        now, new_id, recorded or {}, late_success, hold, snapshot.amount, receipts or {}, order_is_paid=order_is_paid
    )
    if payment.status in PAID and snapshot.status is not OrderStatus.PAID:
        _contradict(decision, order)
    elif payment.status not in PAID and snapshot.amount != payment.amount:
        captures.quarantine_order(decision, order, rules)
    elif snapshot.status is OrderStatus.PAID and order.listed is None:
        # Several payers, or none, need the list.
        [claim] = successes(decision.attempts)
        captures.apply_claim(decision, claim, rules)
    elif snapshot.status is OrderStatus.PAID:
        captures.apply_list(decision, successes(decision.attempts), rules)
    elif successes(decision.attempts):
        raise OrderStateUnknown(f"an attempt succeeded while the order is {snapshot.status}")
    else:
        _without_success(decision, snapshot, now)
        if successes(order.claims):
            _look_again(decision, now)
    after, from_webhook = decision.payment, bool(order.claims)
    verified_now = from_webhook and not after.webhook_verified
    if verified_now or (snapshot.gateway_order_id and not after.gateway_order_id):
        decision.update(
            webhook_verified=after.webhook_verified or from_webhook,
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


# Why a payment failed whose order the gateway would not make: it never had a session.
GATEWAY_REFUSED: Final = "gateway_refused"


def decide_order_outcome(payment: Payment, outcome: OrderSnapshot | OrderRefused, now: datetime) -> Decision:
    """Apply the gateway's answer to create order. A webhook that came first has moved the payment already."""
    decision = Decision(payment)
    if isinstance(outcome, OrderRefused):
        if payment.status is Status.CREATED:
            decision.payment = msgspec.structs.replace(payment, failure_reason=GATEWAY_REFUSED, next_check_at=None)
            decision.moved(Status.FAILED, GATEWAY_REFUSED, now)
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


def _contradict(decision: Decision, order: ObservedOrder) -> None:
    """The gateway showed the order as paid before, and a paid order stays one: this snapshot is older, or wrong.

    Raises OrderStateUnknown when it comes with a success that is not the recorded one: that must not be lost.
    """
    paid_id = decision.payment.gateway_payment_id
    if any(attempt.gateway_payment_id != paid_id for attempt in successes((*order.claims, *(order.listed or ())))):
        raise OrderStateUnknown("the gateway contradicts what it showed of this order before")
    decision.attempts = []


def _look_again(decision: Decision, now: datetime) -> None:
    """A webhook claims a success that the gateway does not show: all that follows is another look-up soon."""
    payment, soon = decision.payment, now + LOOK_AGAIN
    if payment.unresolved and payment.next_check_at is not None:
        if soon < payment.next_check_at:
            decision.update(next_check_at=soon)
    else:
        decision.watched = True


def _without_success(decision: Decision, snapshot: OrderSnapshot, now: datetime) -> None:
    """Nobody has paid: record the failure's reason, and close the payment when its order is closed."""
    payment = decision.payment
    if payment.status not in UNRESOLVED:
        return
    failed = [each for each in decision.attempts if each.status in (AttemptStatus.FAILED, AttemptStatus.DROPPED)]
    reason = failed[-1].reason if failed else "" if decision.listed else payment.failure_reason
    if reason != payment.failure_reason:
        decision.update(failure_reason=reason, updated_at=now)
    if snapshot.status in (OrderStatus.EXPIRED, OrderStatus.TERMINATED):
        _close(decision, snapshot.status, now)
    elif snapshot.status is OrderStatus.ACTIVE:
        _follow_attempts(decision, now)
        if snapshot.stays_open and _is_over(decision, now):
            _close(decision, OrderStatus.TERMINATED if payment.cancel_requested else OrderStatus.EXPIRED, now)


def _is_over(decision: Decision, now: datetime) -> bool:
    """Whether an unpaid payment ends whose order the gateway will never close: cancelled or out of time, and no money
    on its way. The customer may still pay the open order, as any closed one that the gateway was late for."""
    payment = decision.payment
    return payment.status is not Status.PROCESSING and (payment.cancel_requested or now >= payment.expires_at)


def _close(decision: Decision, order: OrderStatus, now: datetime) -> None:
    """Closed unpaid: CANCELLED when we asked for it, FAILED after a failed attempt, EXPIRED otherwise."""
    payment = decision.payment
    decision.update(next_check_at=None)
    # Closed is not final at the gateway: money may still come.
    decision.watched = True
    if payment.cancel_requested and order is OrderStatus.TERMINATED and payment.status is not Status.PROCESSING:
        decision.moved(Status.CANCELLED, "cancelled", now)
    elif payment.failure_reason or order is OrderStatus.TERMINATED:
        reason = payment.failure_reason or "order_closed"
        decision.update(failure_reason=reason)
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
