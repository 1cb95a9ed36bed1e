"""What the other services announce, as tests build it."""

import time
from typing import Any

from commdesk.common.v1.common_pb2 import Money
from commdesk.common.v1.events_pb2 import AuditRecorded
from commdesk.payment.v1.events_pb2 import PaymentReceiptRefunded, PaymentReceived, PaymentSucceeded
from commdesk.wallet.v1.events_pb2 import WalletCredited, WalletDebited
from common import ids

NOW_MICROS = 1_790_000_000_123_457


class Events:
    """What the other services announce, with the ₹500 pack as the default."""

    def __init__(self) -> None:
        self.micros = NOW_MICROS

    def paid(self, **changes: Any) -> PaymentSucceeded:
        amounts: dict[str, int] = {"amount": 50_000, "net": 42_373, "cgst": 3_814, "sgst": 3_813, "igst": 0}
        amounts = amounts | {name: changes.pop(name) for name in tuple(changes) if name in amounts}
        event = PaymentSucceeded(event_id=ids.encode("evt", ids.new()), time_unix_micros=self.micros)
        payment = event.payment
        payment.payment_id = changes.pop("payment_id", None) or ids.encode("pay", ids.new())
        payment.merchant_id = changes.pop("merchant_id", "mer_commdesk")
        payment.gateway = changes.pop("gateway", "cashfree")
        currency = changes.pop("currency", "INR")
        payment.amount.CopyFrom(Money(minor=amounts["amount"], currency=currency))
        for name in ("net", "cgst", "sgst", "igst"):
            getattr(payment.tax, name).CopyFrom(Money(minor=amounts[name], currency=currency))
        assert not changes, changes
        return event

    def received(self, amount: int = 50_000, currency: str = "INR", payment_id: str = "") -> PaymentReceived:
        event = PaymentReceived(event_id=ids.encode("evt", ids.new()), time_unix_micros=self.micros)
        self._about_receipt(event, amount, currency, payment_id)
        return event

    def receipt_refunded(self, amount: int = 50_000, payment_id: str = "") -> PaymentReceiptRefunded:
        event = PaymentReceiptRefunded(event_id=ids.encode("evt", ids.new()), time_unix_micros=self.micros)
        self._about_receipt(event, amount, "INR", payment_id)
        return event

    def _about_receipt(
        self, event: PaymentReceived | PaymentReceiptRefunded, amount: int, currency: str, payment_id: str
    ) -> None:
        event.payment.CopyFrom(self.paid(payment_id=payment_id or None).payment)
        event.amount.CopyFrom(Money(minor=amount, currency=currency))
        event.receipt_id = ids.encode("rcp", ids.new())
        event.gateway_payment_id = "cf_2"

    def credited(self, paid: int = 5_000, bonus: int = 500, payment_id: str = "") -> WalletCredited:
        event = WalletCredited(
            event_id=ids.encode("evt", ids.new()),
            time_unix_micros=self.micros + 1,
            transaction_id=ids.encode("wtx", ids.new()),
            credits_paid=paid,
            credits_bonus=bonus,
            payment_id=payment_id,
        )
        event.owner.merchant_id = "mer_commdesk"
        return event

    def debited(self, paid: int = 50, bonus: int = 500, value: int = 4_237) -> WalletDebited:
        event = WalletDebited(
            event_id=ids.encode("evt", ids.new()),
            time_unix_micros=self.micros + 2,
            transaction_id=ids.encode("wtx", ids.new()),
            credits_paid=paid,
            credits_bonus=bonus,
            value=Money(minor=value, currency="INR"),
        )
        event.owner.merchant_id = "mer_commdesk"
        return event

    def audited(self, **fields: Any) -> AuditRecorded:
        defaults: dict[str, Any] = {
            "event_id": ids.encode("evt", ids.new()),
            "time_unix_micros": time.time_ns() // 1000,
            "merchant_id": "mer_commdesk",
            "actor_id": "usr_1",
            "action": "payment.create",
            "resource_type": "payment",
            "resource_id": "pay_1",
            "after_json": '{"status":"CREATED"}',
            "ip": "203.0.113.7",
            "user_agent": "curl",
            "trace_id": "a" * 32,
            "request_id": "req-1",
            "service": "payment",
        }
        return AuditRecorded(**defaults | fields)
