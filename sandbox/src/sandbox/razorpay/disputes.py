"""Disputes: raised, contested, accepted, won and lost, and each time announced by webhook."""

from sandbox.clock import now
from sandbox.razorpay import errors
from sandbox.razorpay.announcer import Announcer
from sandbox.razorpay.domain import Dispute, Order, Payment
from sandbox.razorpay.ids import new_id
from sandbox.razorpay.order_registry import OrderRegistry

PHASES = ("fraud", "retrieval", "chargeback", "pre_arbitration", "arbitration")
ENDS = ("won", "lost", "closed")
STATUSES = ("open", "under_review", *ENDS)
_EVENTS = {
    "open": "payment.dispute.action_required",
    "under_review": "payment.dispute.under_review",
    "won": "payment.dispute.won",
    "lost": "payment.dispute.lost",
    "closed": "payment.dispute.closed",
}


class Disputes:
    """Raises and moves disputes."""

    def __init__(self, orders: OrderRegistry, announcer: Announcer) -> None:
        self._orders = orders
        self._announcer = announcer

    def start(
        self,
        order: Order,
        *,
        amount: int | None,
        phase: str,
        reason_code: str,
        respond_in_seconds: int,
        deducts_at_once: bool,
    ) -> Dispute:
        """A customer asks the bank for the money of an order's first capture back; raises Refused."""
        payment = next((it for it in order.payments if it.captured_at is not None), None)
        if payment is None:
            raise errors.not_refundable()
        dispute = Dispute(
            id=new_id("disp"),
            payment_id=payment.id,
            amount=payment.amount if amount is None else amount,
            currency=payment.currency,
            reason_code=reason_code,
            phase=phase,
            respond_by=now() + respond_in_seconds,
            created_at=now(),
        )
        if deducts_at_once:
            _deduct(dispute)
        self._orders.add_dispute(order, payment, dispute)
        self._announcer.dispute("payment.dispute.created", order, payment, dispute)
        return dispute

    def move(
        self,
        order: Order,
        payment: Payment,
        dispute: Dispute,
        *,
        status: str,
        phase: str,
        respond_in_seconds: int | None = None,
    ) -> None:
        """Give a dispute another status or phase."""
        dispute.status, dispute.phase = status, phase
        if respond_in_seconds is not None:
            dispute.respond_by = now() + respond_in_seconds
        if status == "lost":
            _deduct(dispute)
        elif status in ("won", "closed") and dispute.deducted:
            dispute.deducted, dispute.given_back_at = 0, now()
        self._announcer.dispute(_EVENTS[status], order, payment, dispute)

    def accept(self, order: Order, payment: Payment, dispute: Dispute) -> None:
        """The merchant gives in; raises Refused."""
        if dispute.status != "open":
            raise errors.dispute_closed()
        self.move(order, payment, dispute, status="lost", phase=dispute.phase)

    def contest(
        self,
        order: Order,
        payment: Payment,
        dispute: Dispute,
        *,
        amount: int | None,
        summary: str | None,
        submits: bool,
    ) -> None:
        """The merchant answers with evidence, a draft at first; raises Refused."""
        if dispute.status != "open":
            raise errors.dispute_closed()
        if amount is not None:
            dispute.contested_amount = amount
        if summary is not None:
            dispute.summary = summary
        if submits:
            dispute.submitted_at = now()
            self.move(order, payment, dispute, status="under_review", phase=dispute.phase)


def _deduct(dispute: Dispute) -> None:
    if not dispute.deducted:
        dispute.deducted, dispute.deducted_at = dispute.amount, now()
