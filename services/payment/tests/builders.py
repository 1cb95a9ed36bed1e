"""What tests are made of."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from common import ids
from common.money import Money
from gateways import AttemptStatus, Customer, OrderSnapshot, OrderStatus, PaymentAttempt
from payment.domain.orders import ObservedOrder
from payment.domain.payments import Origin, Payment
from payment.domain.pricing import Credits, TaxRule, split_tax
from payment.domain.states import Status

NOW = datetime(2026, 4, 1, 10, 0, tzinfo=UTC)
INR_500 = Money(50_000)
ORDER_ID = "ord_1"
PAYMENT_ID = UUID("01960000-0000-7000-8000-000000000001")


class Builders:
    """Everything has the usual values unless a test says otherwise."""

    now = NOW

    @staticmethod
    def payment(status: Status = Status.PENDING, **fields: Any) -> Payment:
        amount: Money = fields.pop("amount", INR_500)
        _, tax = split_tax(amount, TaxRule(1800, True, "29"), "29")
        if status in (Status.SUCCESS, Status.SETTLED, Status.PARTIALLY_REFUNDED, Status.REFUNDED, Status.DISPUTED):
            fields = {"gateway_payment_id": "cf_1", "paid_at": NOW} | fields
        usual: dict[str, Any] = {
            "id": PAYMENT_ID,
            "merchant_id": "mer_commdesk",
            "user_id": "usr_1",
            "order_id": ORDER_ID,
            "gateway": "cashfree",
            "gateway_account_id": "gwa_cashfree",
            "status": status,
            "seq": 1,
            "amount": amount,
            "tax": tax,
            "platform_fee": Money(2_500),
            "credits": Credits(5_000, 500),
            "owner_id": "usr_1",
            "place_of_supply": "29",
            "customer": Customer("asha@example.in", "+919876543210", "Asha"),
            "origin": Origin(actor_id="usr_1", ip="10.0.0.1"),
            "created_at": NOW - timedelta(minutes=1),
            "expires_at": NOW + timedelta(minutes=29),
            "updated_at": NOW - timedelta(minutes=1),
            "next_check_at": NOW,
        }
        return Payment(**usual | fields)

    @staticmethod
    def attempt(status: AttemptStatus = AttemptStatus.SUCCESS, **fields: Any) -> PaymentAttempt:
        usual: dict[str, Any] = {
            "order_id": ORDER_ID,
            "gateway_payment_id": "cf_1",
            "status": status,
            "order_amount": INR_500,
            "amount": INR_500,
            "method": "upi",
            "group": "upi",
            "at": NOW,
        }
        return PaymentAttempt(**usual | fields)

    @staticmethod
    def snapshot(status: OrderStatus = OrderStatus.ACTIVE, **fields: Any) -> OrderSnapshot:
        usual: dict[str, Any] = {
            "order_id": ORDER_ID,
            "gateway_order_id": "2149460581",
            "status": status,
            "amount": INR_500,
            "session_id": "session_1",
            "payment_id": ids.encode("pay", PAYMENT_ID),
        }
        return OrderSnapshot(**usual | fields)

    @staticmethod
    def order(status: OrderStatus, *attempts: PaymentAttempt, **fields: Any) -> ObservedOrder:
        """An order as the gateway shows it, with its own list of attempts."""
        return ObservedOrder(Builders.snapshot(status, **fields), listed=attempts)

    @staticmethod
    def claimed(status: OrderStatus, *claims: PaymentAttempt, **fields: Any) -> ObservedOrder:
        """An order as the gateway shows it, whose attempts are known from webhooks only."""
        return ObservedOrder(Builders.snapshot(status, **fields), claims)
