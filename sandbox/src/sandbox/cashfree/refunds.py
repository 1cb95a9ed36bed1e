"""Refunds: PENDING at first, decided after a while or as the note commands."""

from sandbox.cashfree import errors
from sandbox.cashfree.announcer import Announcer
from sandbox.cashfree.domain import RETURNED_NOTHING, Order, Refund, RefundStatus
from sandbox.cashfree.order_registry import OrderRegistry
from sandbox.cashfree.requests import NewRefund
from sandbox.clock import now
from sandbox.outcomes import OutcomeDraw
from sandbox.timers import Timers

# A refund_note of just this word forces the status, as in Cashfree's own sandbox; ACTIVE and PENDING stay pending.
_FORCED = {
    "SUCCESS": RefundStatus.SUCCESS,
    "FAILED": RefundStatus.FAILED,
    "PENDING": RefundStatus.PENDING,
    "ACTIVE": RefundStatus.PENDING,
    "CANCELLED": RefundStatus.CANCELLED,
    "ONHOLD": RefundStatus.ONHOLD,
}


class Refunds:
    """Refunds payments, never more than was paid."""

    def __init__(self, orders: OrderRegistry, draw: OutcomeDraw, announcer: Announcer, timers: Timers) -> None:
        self._orders = orders
        self._draw = draw
        self._announcer = announcer
        self._timers = timers

    def create(self, order: Order, new: NewRefund) -> Refund:
        """Start a refund of an order's first successful payment; raises Refused."""
        captured = order.captured()
        if not captured:
            raise errors.not_paid()
        refunded = sum(it.amount_paise for it in order.refunds if it.status not in RETURNED_NOTHING)
        refund = Refund(
            refund_id=new.refund_id,
            cf_refund_id=self._orders.next_id(),
            cf_payment_id=captured[0].cf_payment_id,
            order_id=order.order_id,
            amount_paise=new.amount_paise,
            currency=order.currency,
            note=new.note,
            speed=new.speed,
            created_at=now(),
        )
        if refunded + new.amount_paise > sum(payment.amount_paise for payment in captured):
            raise self._repeated_or(errors.refund_too_large(), new.refund_id)
        self._orders.add_refund(order, refund)
        status = _FORCED.get(new.note or "", RefundStatus.SUCCESS)
        if status is not RefundStatus.PENDING:
            self._timers.after(self._draw.refund_delay_ms(), lambda: self._decide_pending(order, refund, status))
        return refund

    def start_unasked(
        self, order: Order, amount_paise: int | None, cf_payment_id: str, *, is_automatic: bool
    ) -> Refund:
        """A refund of the dashboard or, *is_automatic*, of the gateway itself, of a capture (by default the last) in
        full or in part; raises Refused."""
        captured = order.captured()
        chosen = [it for it in captured if cf_payment_id in ("", str(it.cf_payment_id))]
        if not chosen:
            raise errors.not_paid()
        own_id = self._orders.next_id()
        refund = Refund(
            refund_id=f"auto_{own_id}" if is_automatic else f"dashboard_{own_id}",
            cf_refund_id=own_id,
            cf_payment_id=chosen[-1].cf_payment_id,
            order_id=order.order_id,
            amount_paise=chosen[-1].amount_paise if amount_paise is None else amount_paise,
            currency=order.currency,
            note=None,
            speed="STANDARD",
            created_at=now(),
            is_automatic=is_automatic,
        )
        refunded = sum(it.amount_paise for it in order.refunds if it.status not in RETURNED_NOTHING)
        if refunded + refund.amount_paise > sum(payment.amount_paise for payment in captured):
            raise errors.refund_too_large()
        self._orders.add_refund(order, refund)
        if is_automatic:
            self._announcer.refund(order, refund)
        return refund

    def cancel(self, order: Order, refund: Refund) -> None:
        """Cancel a refund that is still pending; raises Refused."""
        if refund.status not in (RefundStatus.PENDING, RefundStatus.ONHOLD):
            raise errors.refund_final()
        self.decide(order, refund, RefundStatus.CANCELLED)

    def decide(self, order: Order, refund: Refund, status: RefundStatus) -> None:
        """Give a refund its status, whatever it was, and announce it if it is final."""
        refund.status = status
        if status is RefundStatus.REVERSED:
            refund.reversed_at = now()
        else:
            refund.processed_at = now() if status is RefundStatus.SUCCESS else None
        # FAILED is announced as well: the documents name SUCCESS and CANCELLED only; a client must survive it.
        if status in (RefundStatus.SUCCESS, *RETURNED_NOTHING):
            self._announcer.refund(order, refund)

    def _decide_pending(self, order: Order, refund: Refund, status: RefundStatus) -> None:
        if refund.status is RefundStatus.PENDING:  # it may have been cancelled or decided through /control
            self.decide(order, refund, status)

    def _repeated_or(self, other: errors.Refused, refund_id: str) -> errors.Refused:
        # A repeated id is reported first, so that a retry of the refund that used up the amount is recognised.
        return errors.refund_repeated() if self._orders.has_refund(refund_id) else other
