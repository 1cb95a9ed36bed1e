"""Refunds: pending at first, processed after a while or as a note commands."""

from sandbox.clock import now
from sandbox.outcomes import OutcomeDraw
from sandbox.razorpay import errors
from sandbox.razorpay.announcer import Announcer
from sandbox.razorpay.domain import Order, Payment, PaymentStatus, Refund, RefundStatus
from sandbox.razorpay.ids import new_id
from sandbox.razorpay.order_registry import OrderRegistry
from sandbox.razorpay.requests import NewRefund
from sandbox.timers import Timers

# A note of this name says how the refund ends.
_FORCED_BY = "sandbox_refund"


class Refunds:
    """Refunds captured payments, never more than was paid."""

    def __init__(self, orders: OrderRegistry, draw: OutcomeDraw, announcer: Announcer, timers: Timers) -> None:
        self._orders = orders
        self._draw = draw
        self._announcer = announcer
        self._timers = timers

    def create(self, order: Order, payment: Payment, new: NewRefund) -> Refund:
        """Start a refund, of all that is left unless an amount is named; raises Refused."""
        refund = self.start(order, payment, new)
        forced = refund.notes.get(_FORCED_BY)
        status = RefundStatus(forced) if forced in tuple(RefundStatus) else RefundStatus.PROCESSED
        if status is not RefundStatus.PENDING:
            self._timers.after(
                self._draw.refund_delay_ms(), lambda: self._decide_pending(order, payment, refund, status)
            )
        return refund

    def start(self, order: Order, payment: Payment, new: NewRefund) -> Refund:
        """A refund that stays pending; raises Refused."""
        if payment.captured_at is None:
            raise errors.not_refundable()
        left = payment.amount - payment.refunded
        if left <= 0:
            raise errors.fully_refunded()
        amount = left if new.amount is None else new.amount
        if amount > left:
            raise errors.refund_too_large()
        refund = Refund(
            id=new_id("rfnd"),
            payment_id=payment.id,
            amount=amount,
            currency=payment.currency,
            notes=new.notes,
            receipt=new.receipt,
            speed=new.speed,
            created_at=now(),
        )
        self._orders.add_refund(order, payment, refund)
        _follow(payment)
        self._announcer.refund("refund.created", order, payment, refund)
        return refund

    def start_automatic(self, order: Order, payment: Payment) -> None:
        """Give an authorisation back that was never captured."""
        refund = Refund(
            id=new_id("rfnd"),
            payment_id=payment.id,
            amount=payment.amount,
            currency=payment.currency,
            notes={},
            receipt=None,
            speed="normal",
            created_at=now(),
            settled=True,  # the merchant never had the money
        )
        self._orders.add_refund(order, payment, refund)
        self._announcer.refund("refund.created", order, payment, refund)
        self.decide(order, payment, refund, RefundStatus.PROCESSED)

    def decide(self, order: Order, payment: Payment, refund: Refund, status: RefundStatus) -> None:
        """Give a refund its status, whatever it was, and announce it if it is final."""
        if status is RefundStatus.FAILED and refund.status is RefundStatus.PROCESSED:
            refund.failed_at = now()
        refund.status = status
        if status is RefundStatus.PROCESSED:
            refund.processed_at, refund.failed_at = now(), None
            if refund.speed == "optimum" and payment.method.is_instantly_refundable:
                refund.speed_processed = "instant"
            elif refund.speed == "optimum":
                self._announcer.refund("refund.speed_changed", order, payment, refund)
        _follow(payment)
        if status is not RefundStatus.PENDING:
            self._announcer.refund(f"refund.{status}", order, payment, refund)

    def _decide_pending(self, order: Order, payment: Payment, refund: Refund, status: RefundStatus) -> None:
        if refund.status is RefundStatus.PENDING:  # it may have been decided through control
            self.decide(order, payment, refund, status)


def _follow(payment: Payment) -> None:
    """A captured payment is refunded once all of it is given back, and captured again where that failed."""
    if payment.captured_at is not None:
        is_all = payment.refunded >= payment.amount
        payment.status = PaymentStatus.REFUNDED if is_all else PaymentStatus.CAPTURED
