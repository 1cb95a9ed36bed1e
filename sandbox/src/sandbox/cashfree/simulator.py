"""What Cashfree does: takes orders, decides payments after a while, refunds, and announces both by webhook."""

import msgspec

from sandbox.cashfree import entities, errors, outcomes, webhooks
from sandbox.cashfree.accounts import Account
from sandbox.cashfree.announcer import Announcer
from sandbox.cashfree.domain import (
    UNDECIDED,
    Failure,
    Method,
    Order,
    OrderStatus,
    Payment,
    PaymentStatus,
)
from sandbox.cashfree.order_registry import OrderRegistry
from sandbox.cashfree.requests import NewOrder
from sandbox.clock import now
from sandbox.outcomes import Outcome, OutcomeDraw
from sandbox.timers import Timers

_DECIDES_ITSELF = frozenset(Outcome) - {Outcome.PENDING}
_AT_ONCE = {
    Outcome.SUCCESS: PaymentStatus.SUCCESS,
    Outcome.FAILURE: PaymentStatus.FAILED,
    Outcome.USER_DROPPED: PaymentStatus.USER_DROPPED,
    Outcome.AMOUNT_MISMATCH: PaymentStatus.SUCCESS,
    Outcome.CURRENCY_MISMATCH: PaymentStatus.SUCCESS,
}


class Simulator:
    """Orders and payments. Every change happens between two awaits, so a half-made change is never visible."""

    def __init__(self, orders: OrderRegistry, draw: OutcomeDraw, announcer: Announcer, timers: Timers) -> None:
        self.orders = orders
        self.draw = draw
        self._announcer = announcer
        self._timers = timers

    # -- orders

    def create_order(self, account: Account, new: NewOrder) -> Order:
        """Open an order of an account; raises Refused if its id is taken."""
        created_at, cf_order_id, session_id = now(), self.orders.next_id(), self.orders.new_session_id()
        order_id = new.order_id or f"order_{cf_order_id}"
        order = Order(
            account=account,
            order_id=order_id,
            cf_order_id=cf_order_id,
            session_id=session_id,
            customer_id=new.customer["customer_id"] or "",
            amount_paise=new.amount_paise,
            currency=new.currency,
            created_at=created_at,
            expires_at=new.expires_at,
            notify_url=new.meta["notify_url"] or "",
            return_url=new.meta["return_url"] or "",
            head=entities.order_head(new, order_id, cf_order_id, session_id, created_at),
            customer=webhooks.customer_details(new.customer),
            tags=msgspec.json.encode(new.tags),
        )
        self.orders.add(order)
        return order

    def terminate(self, order: Order) -> None:
        """Close an unpaid order: at once, or as soon as the payments in flight are decided; raises Refused."""
        match order.status_at(now()):
            case OrderStatus.PAID:
                raise errors.order_paid()
            case OrderStatus.EXPIRED:
                raise errors.order_inactive()
            case OrderStatus.ACTIVE:
                self._close(order, OrderStatus.TERMINATED)

    def expire(self, order: Order) -> None:
        """Let an unpaid order's time run out now; raises Refused."""
        if order.status_at(now()) is OrderStatus.PAID:
            raise errors.order_paid()
        order.expires_at = now()
        self._close(order, OrderStatus.EXPIRED)

    def _close(self, order: Order, closed: OrderStatus) -> None:
        for payment in order.payments:
            if payment.status in UNDECIDED and not payment.deciding:
                self._decide(order, payment, PaymentStatus.FAILED, outcomes.ABANDONED)
        order.status = closed
        if closed is OrderStatus.TERMINATED and order.deciding():
            order.status = OrderStatus.TERMINATION_REQUESTED

    # -- payments

    def pay(
        self,
        order: Order,
        method: Method,
        outcome: Outcome | None = None,
        delay_ms: int | None = None,
        *,
        force: bool = False,
    ) -> Payment:
        """Start a payment that is decided after *delay_ms*, by default with the usual delay and probability.

        *force* pays whatever the order's state: a late success, a second capture. Without it, raises Refused unless
        the order is active.
        """
        if not force and order.status_at(now()) is not OrderStatus.ACTIVE:
            raise errors.order_inactive()
        outcome = outcome or self.draw.outcome(method, order.amount_paise)
        delay_ms = self.draw.delay_ms() if delay_ms is None else delay_ms
        payment = self._start(order, method, outcome)
        self._timers.after(delay_ms, lambda: self._apply_outcome(order, payment, outcome, delay_ms))
        return payment

    async def pay_and_wait(
        self, order: Order, method: Method, outcome: Outcome | None = None, *, force: bool = False
    ) -> list[int]:
        """Pay at once and wait until the webhook is answered; returns the receiver's statuses. Raises as *pay* does."""
        if not force and order.status_at(now()) is not OrderStatus.ACTIVE:
            raise errors.order_inactive()
        outcome = outcome or self.draw.outcome(method, order.amount_paise)
        status = _AT_ONCE.get(outcome)
        if status is None:
            raise ValueError(f"{outcome} is decided later: it cannot be waited for")
        payment = self._start(order, method, outcome)
        self._decide(order, payment, status, self._reason(payment, status), announce=False)
        return await self._announcer.payment_and_wait(order, payment)

    def _start(self, order: Order, method: Method, outcome: Outcome) -> Payment:
        payment = Payment(
            cf_payment_id=self.orders.next_id(),
            amount_paise=order.amount_paise,
            currency=order.currency,
            method=method,
            started_at=now(),
            deciding=outcome in _DECIDES_ITSELF,
        )
        if outcome is Outcome.AMOUNT_MISMATCH:
            payment.amount_paise = order.amount_paise - 100 or 1
        elif outcome is Outcome.CURRENCY_MISMATCH:
            payment.currency = "USD" if order.currency == "INR" else "INR"
        order.payments.append(payment)
        return payment

    def _apply_outcome(self, order: Order, payment: Payment, outcome: Outcome, delay_ms: int) -> None:
        later_ms = max(delay_ms, self.draw.delay_ms())
        match outcome:
            case Outcome.FAILURE:
                self._fail(order, payment)
            case Outcome.USER_DROPPED:
                self._decide(order, payment, PaymentStatus.USER_DROPPED, outcomes.DROPPED)
            case Outcome.PENDING:
                payment.status = PaymentStatus.PENDING
            case Outcome.PENDING_THEN_FAILURE:
                payment.status = PaymentStatus.PENDING
                self._timers.after(later_ms, lambda: self._fail(order, payment))
            case Outcome.PENDING_THEN_SUCCESS:
                payment.status = PaymentStatus.PENDING
                self._timers.after(later_ms, lambda: self._decide(order, payment, PaymentStatus.SUCCESS))
            case Outcome.LATE_SUCCESS:
                self._fail(order, payment)
                self._timers.after(later_ms, lambda: self._decide(order, payment, PaymentStatus.SUCCESS))
            case Outcome.SUCCESS_TWICE:
                self._decide(order, payment, PaymentStatus.SUCCESS)
                again = self._start(order, payment.method, Outcome.SUCCESS)
                self._decide(order, again, PaymentStatus.SUCCESS)
            case _:
                self._decide(order, payment, PaymentStatus.SUCCESS)

    def _fail(self, order: Order, payment: Payment) -> None:
        self._decide(order, payment, PaymentStatus.FAILED, outcomes.failure_of(payment.method))

    def _reason(self, payment: Payment, status: PaymentStatus) -> Failure | None:
        if status is PaymentStatus.USER_DROPPED:
            return outcomes.DROPPED
        return outcomes.failure_of(payment.method) if status is PaymentStatus.FAILED else None

    def _decide(
        self,
        order: Order,
        payment: Payment,
        status: PaymentStatus,
        failure: Failure | None = None,
        *,
        announce: bool = True,
    ) -> None:
        payment.status, payment.failure = status, failure
        payment.completed_at, payment.deciding = now(), False
        if status is PaymentStatus.SUCCESS:
            order.status = OrderStatus.PAID  # even after it expired: the money came
        elif order.status is OrderStatus.TERMINATION_REQUESTED and not order.deciding():
            order.status = OrderStatus.TERMINATED
        if announce:
            self._announcer.payment(order, payment)

    def reset(self) -> None:
        """Forget every order, and cancel everything that is scheduled."""
        self._timers.clear()
        self.orders.clear()
