"""From facts to moves. Webhook, verify and sweep all come here, so whichever is first decides and the rest agree."""

from collections.abc import Callable, Collection
from datetime import datetime
from typing import TypeAlias
from uuid import UUID

import msgspec

from gateways import AttemptStatus, OrderSnapshot, OrderStatus, PaymentAttempt
from payment.domain.errors import FactsUnknown
from payment.domain.facts import Facts, strongest
from payment.domain.payment import Payment, Transition, move
from payment.domain.states import (
    PAID,
    UNRESOLVED,
    CaptureStatus,
    Review,
    Status,
)

# Who moves a payment when the gateway's facts do.
ACTOR = "service:payment"


class Transaction(msgspec.Struct, frozen=True, gc=False):
    """Money that the gateway took; unique by the gateway's own payment id."""

    id: UUID
    payment_id: UUID
    claim: PaymentAttempt
    status: CaptureStatus
    created_at: datetime


class Moved(msgspec.Struct, frozen=True, gc=False):
    """The payment reached a state that others hear of: see wire for who hears what."""

    payment: Payment
    before: Status
    at: datetime
    reason: str = ""
    transaction_id: UUID | None = None


class Created(msgspec.Struct, frozen=True, gc=False):
    """The gateway's order exists: said once, by whoever takes the payment out of CREATED."""

    payment: Payment
    at: datetime


class Alerted(msgspec.Struct, frozen=True, gc=False):
    """Something that a person must see; no move came of it."""

    payment: Payment
    cause: str
    detail: str
    at: datetime


Announcement: TypeAlias = Created | Moved | Alerted


class Decision(msgspec.Struct):
    """What came of the facts for one payment; `save` and `announce` take it from here."""

    payment: Payment
    claims: list[PaymentAttempt] = []
    transitions: list[Transition] = []
    transactions: list[Transaction] = []
    announcements: list[Announcement] = []

    def moved(self, to: Status, reason: str, now: datetime, transaction_id: UUID | None = None) -> None:
        before = self.payment.status
        self.payment, line = move(self.payment, to, reason=reason, actor=ACTOR, now=now)
        self.transitions.append(line)
        self.announcements.append(Moved(self.payment, before, now, reason, transaction_id))


def needs_captures(payment: Payment, facts: Facts) -> bool:
    """Whether decide() has to know which captures of this payment were seen before: only after a second one."""
    return bool(payment.gateway_payment_id) and any(
        claim.status is AttemptStatus.SUCCESS and claim.gateway_payment_id != payment.gateway_payment_id
        for claim in facts.claims
    )


def decide(
    payment: Payment,
    facts: Facts,
    now: datetime,
    new_id: Callable[[], UUID],
    *,
    captures: Collection[str] = (),
    late_success: str = "fulfil",
) -> Decision:
    """Apply *facts* to *payment*; the caller holds the payment's lock.

    *captures* are the gateway payment ids already recorded for it (see needs_captures). *late_success* says what a
    success after FAILED, EXPIRED or CANCELLED leads to: "fulfil" or "review". Raises FactsUnknown when the facts do
    not settle what they claim, for example a success on an order that the gateway does not show as paid (yet).
    """
    decision = Decision(payment, strongest(list(facts.claims)))
    view = facts.view
    successes = [claim for claim in decision.claims if claim.status is AttemptStatus.SUCCESS]
    if view.amount != payment.amount:
        _quarantine(decision, "amount_mismatch", f"the gateway's order is over {view.amount}", now)
    elif view.status is OrderStatus.PAID:
        if not successes:
            raise FactsUnknown("the order is paid, the paying attempt is not told yet")
        for claim in successes:
            _capture(decision, claim, now, new_id, captures, late_success)
    elif successes:
        raise FactsUnknown(f"a success is claimed while the order is {view.status}")
    else:
        _without_success(decision, view, now)
    after = decision.payment
    seen = facts.from_webhook and not after.webhook_verified
    if seen or (view.gateway_order_id and not after.gateway_order_id):
        decision.payment = msgspec.structs.replace(
            after,
            webhook_verified=after.webhook_verified or facts.from_webhook,
            gateway_order_id=after.gateway_order_id or view.gateway_order_id,
            session_id=after.session_id or view.session_id,
        )
    if payment.status is Status.CREATED and decision.payment.status is not Status.CREATED:
        decision.announcements.insert(0, Created(payment, now))
    return decision


def _capture(
    decision: Decision,
    claim: PaymentAttempt,
    now: datetime,
    new_id: Callable[[], UUID],
    captures: Collection[str],
    late_success: str,
) -> None:
    """The order is paid and this attempt says that it paid it."""
    payment = decision.payment
    if claim.gateway_payment_id == payment.gateway_payment_id or claim.gateway_payment_id in captures:
        return
    if _differs(payment, claim):
        _quarantine(
            decision, "amount_mismatch", f"the attempt is over {claim.amount or claim.order_amount}", now, claim
        )
        return
    transaction_id = new_id()
    if payment.status in PAID:
        decision.transactions.append(
            Transaction(transaction_id, payment.id, claim, CaptureStatus.DUPLICATE, claim.at or now)
        )
        detail = f"captured twice, the second time as {claim.gateway_payment_id}; refund it"
        decision.announcements.append(Alerted(payment, "duplicate_capture", detail, now))
        return
    if payment.status not in UNRESOLVED and late_success != "fulfil":
        _quarantine(decision, "late_success", f"paid after it was {payment.status}", now, claim)
        return
    decision.transactions.append(
        Transaction(transaction_id, payment.id, claim, CaptureStatus.CAPTURED, claim.at or now)
    )
    released = payment.review is Review.QUARANTINED
    decision.payment = msgspec.structs.replace(
        payment,
        gateway_payment_id=claim.gateway_payment_id,
        method=claim.method,
        payment_group=claim.group,
        failure_reason="",
        review=Review.NONE if released else payment.review,
        review_reason="" if released else payment.review_reason,
        next_check_at=None,
        paid_at=claim.at or now,
    )
    decision.moved(Status.SUCCESS, "verified" if payment.status in UNRESOLVED else "late_success", now, transaction_id)


def _differs(payment: Payment, claim: PaymentAttempt) -> bool:
    """A surcharge may make the paid amount higher than the order's; less, or another currency, may not be."""
    if claim.order_amount is not None and claim.order_amount != payment.amount:
        return True
    paid = claim.amount
    return paid is not None and (paid.currency != payment.amount.currency or paid.minor < payment.amount.minor)


def _quarantine(
    decision: Decision, cause: str, detail: str, now: datetime, claim: PaymentAttempt | None = None
) -> None:
    """No success, no grant: the attempt stays UNKNOWN and a person is told, once for each payment and cause."""
    payment = decision.payment
    doubtful = {claim.gateway_payment_id} if claim else {c.gateway_payment_id for c in decision.claims}
    decision.claims = [
        msgspec.structs.replace(c, status=AttemptStatus.UNKNOWN) if c.gateway_payment_id in doubtful else c
        for c in decision.claims
    ]
    if payment.review is Review.QUARANTINED and payment.review_reason == cause:
        return
    decision.payment = msgspec.structs.replace(
        payment, review=Review.QUARANTINED, review_reason=cause, next_check_at=None, updated_at=now
    )
    decision.announcements.append(Alerted(decision.payment, cause, detail, now))


def _without_success(decision: Decision, view: OrderSnapshot, now: datetime) -> None:
    """Nobody has paid: note the attempts, and close the payment when the order is closed."""
    payment = decision.payment
    if payment.status not in UNRESOLVED:
        return
    failed = [c for c in decision.claims if c.status in (AttemptStatus.FAILED, AttemptStatus.DROPPED)]
    if failed and failed[-1].reason != payment.failure_reason:
        payment = decision.payment = msgspec.structs.replace(payment, failure_reason=failed[-1].reason, updated_at=now)
    if view.status in (OrderStatus.EXPIRED, OrderStatus.TERMINATED):
        _close(decision, view.status, now)
    elif view.status is OrderStatus.ACTIVE:
        _follow(decision, now)


def _close(decision: Decision, order: OrderStatus, now: datetime) -> None:
    """Closed unpaid: cancelled if we asked for it, failed if somebody tried in vain, else expired."""
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


# What an open order's payment is while its furthest open attempt is this.
_FOLLOWS = {AttemptStatus.PENDING: Status.PROCESSING, AttemptStatus.AUTHORIZING: Status.AUTHORIZING}


def _follow(decision: Decision, now: datetime) -> None:
    """The order is open: the payment follows its attempts, and goes back to PENDING when they came to nothing."""
    status = decision.payment.status
    if status is Status.CREATED:
        decision.moved(Status.PENDING, "order_created", now)
        status = Status.PENDING
    running = [_FOLLOWS[claim.status] for claim in decision.claims if claim.status in _FOLLOWS]
    if Status.PROCESSING in running and status is not Status.PROCESSING:
        decision.moved(Status.PROCESSING, "attempt_processing", now)
    elif running and status is Status.PENDING:
        decision.moved(Status.AUTHORIZING, "attempt_authorizing", now)
    elif decision.claims and not running and status in (Status.AUTHORIZING, Status.PROCESSING):
        decision.moved(Status.PENDING, decision.payment.failure_reason or "attempt_ended", now)
