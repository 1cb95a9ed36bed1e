"""What Razorpay does with orders and payments: authorises, captures or gives back, and announces each by webhook."""

from sandbox.clock import now
from sandbox.dispatch import Signed
from sandbox.outcomes import Outcome, OutcomeDraw
from sandbox.razorpay import errors, outcomes
from sandbox.razorpay.accounts import Account
from sandbox.razorpay.announcer import Announcer
from sandbox.razorpay.domain import Failure, Method, Order, Payment, PaymentStatus
from sandbox.razorpay.ids import new_id
from sandbox.razorpay.order_registry import OrderRegistry
from sandbox.razorpay.refunds import Refunds
from sandbox.razorpay.requests import NewOrder
from sandbox.settling import Fees
from sandbox.timers import Timers

_MINUTE_MS = 60_000
_DECIDES_ITSELF = frozenset(Outcome) - {Outcome.PENDING}
_AT_ONCE = frozenset(
    {
        Outcome.SUCCESS,
        Outcome.FAILURE,
        Outcome.USER_DROPPED,
        Outcome.AMOUNT_MISMATCH,
        Outcome.CURRENCY_MISMATCH,
    }
)


class Simulator:
    """Orders and payments. Every change happens between two awaits, so a half-made change is never visible."""

    def __init__(
        self,
        orders: OrderRegistry,
        draw: OutcomeDraw,
        announcer: Announcer,
        timers: Timers,
        refunds: Refunds,
        fees: Fees,
    ) -> None:
        self.orders = orders
        self.draw = draw
        self.fees = fees
        self._announcer = announcer
        self._timers = timers
        self._refunds = refunds

    def create_order(self, account: Account, new: NewOrder) -> Order:
        """Open an order, or find the one that a unique receipt made before; raises Refused."""
        if new.receipt and (new.is_unique or account.requires_unique_receipts):
            for order in self.orders.of_receipt(account, new.receipt):
                if not new.is_unique or (order.amount, order.currency) != (new.amount, new.currency):
                    raise errors.receipt_repeated()
                return order
        order = Order(
            id=new_id("order"),
            account=account,
            amount=new.amount,
            currency=new.currency,
            receipt=new.receipt,
            notes=new.notes,
            created_at=now(),
            capture=new.capture,
        )
        self.orders.add(order)
        return order

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

        *force* pays whatever the order's state: a second capture. Without it, raises Refused if the order is paid or a
        payment of it is authorised.
        """
        outcome, payment = self._start(order, method, outcome, force=force)
        delay_ms = self.draw.delay_ms() if delay_ms is None else delay_ms
        self._timers.after(delay_ms, lambda: self._apply_outcome(order, payment, outcome, delay_ms))
        return payment

    async def pay_and_wait(
        self, order: Order, method: Method, outcome: Outcome | None = None, *, force: bool = False
    ) -> tuple[Payment, list[int]]:
        """Pay at once and wait until the webhooks are answered: the payment, and the receiver's statuses.

        Raises as *pay* does, and ValueError for an outcome that comes later.
        """
        if outcome is not None and outcome not in _AT_ONCE:
            raise ValueError(f"{outcome} is decided later: it cannot be waited for")
        outcome, payment = self._start(order, method, outcome, force=force)
        if outcome is Outcome.FAILURE:
            webhooks = self._fail(order, payment, outcomes.failure_of(method))
        elif outcome is Outcome.USER_DROPPED:
            webhooks = self._fail(order, payment, outcomes.CANCELLED)
        else:
            webhooks = self._succeed(order, payment)
        return payment, await self._announcer.send_and_wait(webhooks)

    def _start(self, order: Order, method: Method, outcome: Outcome | None, *, force: bool) -> tuple[Outcome, Payment]:
        if not force:
            if order.is_paid:
                raise errors.order_paid()
            if any(it.status is PaymentStatus.AUTHORIZED for it in order.payments):
                raise errors.payment_authorized_already()
        outcome = outcome or self.draw.outcome(method, order.amount)
        payment = Payment(
            id=new_id("pay"),
            amount=order.amount,
            currency=order.currency,
            method=method,
            created_at=now(),
            notes=order.notes,
            deciding=outcome in _DECIDES_ITSELF,
        )
        if outcome is Outcome.AMOUNT_MISMATCH:
            payment.amount = order.amount - 100 or 1
        elif outcome is Outcome.CURRENCY_MISMATCH:
            payment.currency = "USD" if order.currency == "INR" else "INR"
        self.orders.add_payment(order, payment)
        return outcome, payment

    def _apply_outcome(self, order: Order, payment: Payment, outcome: Outcome, delay_ms: int) -> None:
        later_ms = max(delay_ms, self.draw.delay_ms())
        send = self._announcer.send
        match outcome:
            case Outcome.FAILURE:
                send(self._fail(order, payment, outcomes.failure_of(payment.method)))
            case Outcome.USER_DROPPED:
                send(self._fail(order, payment, outcomes.CANCELLED))
            case Outcome.PENDING:
                pass
            case Outcome.PENDING_THEN_FAILURE:
                self._timers.after(later_ms, lambda: send(self._fail(order, payment, outcomes.TIMED_OUT)))
            case Outcome.PENDING_THEN_SUCCESS:
                self._timers.after(later_ms, lambda: send(self._succeed(order, payment)))
            case Outcome.LATE_SUCCESS:
                send(self._fail(order, payment, outcomes.TIMED_OUT))
                self._timers.after(later_ms, lambda: send(self._succeed(order, payment)))
            case Outcome.SUCCESS_TWICE:
                send(self._succeed(order, payment))
                _, again = self._start(order, payment.method, Outcome.SUCCESS, force=True)
                send(self._succeed(order, again))
            case _:
                send(self._succeed(order, payment))

    def decide(self, order: Order, payment: Payment, status: PaymentStatus) -> None:
        """Give an undecided or failed payment its status, or an authorised one; raises Refused.

        AUTHORIZED leaves the capture to the order's settings, FAILED is a time-out, REFUNDED is an authorisation that
        expired.
        """
        match status:
            case PaymentStatus.AUTHORIZED if payment.status in (PaymentStatus.CREATED, PaymentStatus.FAILED):
                self._announcer.send(self._succeed(order, payment))
            case PaymentStatus.CAPTURED if payment.status is PaymentStatus.AUTHORIZED:
                self._announcer.send(self._capture(order, payment))
            case PaymentStatus.FAILED if payment.status is PaymentStatus.CREATED:
                self._announcer.send(self._fail(order, payment, outcomes.TIMED_OUT))
            case PaymentStatus.REFUNDED if payment.status is PaymentStatus.AUTHORIZED:
                self._give_back(order, payment)
            case _:
                raise errors.not_capturable()

    def expire(self, order: Order) -> None:
        """Let the time of what waits run out: open payments fail, authorised ones are given back."""
        for payment in order.payments:
            if payment.status is PaymentStatus.CREATED:
                self.decide(order, payment, PaymentStatus.FAILED)
            elif payment.status is PaymentStatus.AUTHORIZED:
                self._give_back(order, payment)

    def capture(self, order: Order, payment: Payment, amount: int, currency: str) -> None:
        """Capture an authorised payment, all of it; raises Refused."""
        if payment.captured_at is not None or order.is_paid:
            raise errors.order_paid()
        if payment.status is not PaymentStatus.AUTHORIZED:
            raise errors.not_capturable()
        if amount != payment.amount:
            raise errors.capture_amount_differs()
        if currency != payment.currency:
            raise errors.capture_currency_differs()
        self._announcer.send(self._capture(order, payment))

    def _fail(self, order: Order, payment: Payment, failure: Failure) -> list[Signed]:
        if payment.status is not PaymentStatus.CREATED:  # it may have been decided through control
            return []
        payment.status, payment.failure, payment.deciding = PaymentStatus.FAILED, failure, False
        return self._announcer.payment("payment.failed", order, payment)

    def _succeed(self, order: Order, payment: Payment) -> list[Signed]:
        """Authorise, and capture what is captured automatically; a failed payment may still be authorised late."""
        if payment.status not in (PaymentStatus.CREATED, PaymentStatus.FAILED):
            return []
        payment.is_late = payment.status is PaymentStatus.FAILED
        payment.status, payment.failure, payment.deciding = PaymentStatus.AUTHORIZED, None, False
        webhooks = self._announcer.payment("payment.authorized", order, payment)
        minutes = (now() - payment.created_at) // 60
        if order.capture.is_automatic and minutes < order.capture.automatic_minutes:
            return webhooks + self._capture(order, payment)
        left = max(order.capture.manual_minutes - minutes, 0)
        self._timers.after(left * _MINUTE_MS + 1, lambda: self._give_back(order, payment))
        return webhooks

    def _capture(self, order: Order, payment: Payment) -> list[Signed]:
        payment.status, payment.captured_at = PaymentStatus.CAPTURED, now()
        fee, payment.tax = self.fees.of(payment.amount)
        payment.fee = fee + payment.tax
        webhooks = self._announcer.payment("payment.captured", order, payment)
        if not order.is_paid:
            order.is_paid = True
            webhooks += self._announcer.order_paid(order, payment)
        return webhooks

    def _give_back(self, order: Order, payment: Payment) -> None:
        """What was not captured in time goes back by itself."""
        if payment.status is PaymentStatus.AUTHORIZED:
            payment.status = PaymentStatus.REFUNDED
            self._refunds.start_automatic(order, payment)

    def reset(self) -> None:
        """Forget every order, and cancel everything that is scheduled."""
        self._timers.clear()
        self.orders.clear()
