"""Builders: a payment, a claim, a view, with only what a test is about said."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from common.money import Money
from payment.domain import (
    AttemptStatus,
    Credits,
    Customer,
    Facts,
    OrderSnapshot,
    OrderStatus,
    Origin,
    Payment,
    PaymentAttempt,
    Status,
    TaxRule,
    split_tax,
)

NOW = datetime(2026, 4, 1, 10, 0, tzinfo=UTC)
INR_500 = Money(50_000)
ORDER_ID = "ord_1"


class Builders:
    """What tests are made of."""

    now = NOW

    @staticmethod
    def payment(status: Status = Status.PENDING, **fields: Any) -> Payment:
        amount: Money = fields.pop("amount", INR_500)
        _, tax = split_tax(amount, TaxRule(1800, True, "29"), "29")
        if status in (Status.SUCCESS, Status.SETTLED, Status.PARTIALLY_REFUNDED, Status.REFUNDED, Status.DISPUTED):
            fields = {"gateway_payment_id": "cf_1", "paid_at": NOW} | fields
        usual: dict[str, Any] = {
            "id": UUID("01960000-0000-7000-8000-000000000001"),
            "merchant_id": "mer_commdesk",
            "user_id": "usr_1",
            "order_id": ORDER_ID,
            "gateway": "cashfree",
            "status": status,
            "seq": 1,
            "amount": amount,
            "tax": tax,
            "platform_fee": Money(2_500),
            "credits": Credits(5_000, 500),
            "owner_id": "usr_1",
            "place_of_supply": "29",
            "customer": Customer("asha@example.in", "9876543210", "Asha"),
            "origin": Origin(actor_id="usr_1", ip="10.0.0.1"),
            "created_at": NOW - timedelta(minutes=1),
            "expires_at": NOW + timedelta(minutes=29),
            "updated_at": NOW - timedelta(minutes=1),
            "next_check_at": NOW,
        }
        return Payment(**usual | fields)

    @staticmethod
    def claim(status: AttemptStatus = AttemptStatus.SUCCESS, **fields: Any) -> PaymentAttempt:
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
    def facts(
        status: OrderStatus, *claims: PaymentAttempt, amount: Money = INR_500, from_webhook: bool = True
    ) -> Facts:
        return Facts(OrderSnapshot(ORDER_ID, "2149460581", status, amount, "session_1"), claims, from_webhook)


@pytest.fixture(scope="session")
def build() -> type[Builders]:
    return Builders
