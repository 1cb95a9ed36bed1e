"""What the other services announce, as tests build it."""

import time
from typing import Any

from commdesk.common.v1.common_pb2 import Money
from commdesk.common.v1.events_pb2 import AuditRecorded
from commdesk.payment.v1.disputes_pb2 import PaymentDisputed, PaymentDisputeLost, PaymentDisputeWon
from commdesk.payment.v1.events_pb2 import PaymentReceiptRefunded, PaymentReceived, PaymentSucceeded
from commdesk.payment.v1.refunds_pb2 import SPENT_CREDITS_POLICY_DEBT, PaymentRefunded, RefundReversed
from commdesk.payment.v1.settlements_pb2 import SettlementImported
from commdesk.wallet.v1.events_pb2 import (
    WalletCredited,
    WalletDebited,
    WalletDebtSettled,
    WalletLocked,
    WalletReleased,
    WalletReversed,
)
from commdesk.wallet.v1.wallet_pb2 import Owner
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

    def refunded(
        self, of: PaymentSucceeded, held: int = 42_373, policy: Any = SPENT_CREDITS_POLICY_DEBT, asked_by: str = "usr_2"
    ) -> PaymentRefunded:
        """All of the payment; *held* of its net price was still deferred."""
        event = PaymentRefunded(event_id=ids.encode("evt", ids.new()), time_unix_micros=self.micros + 3)
        event.payment.CopyFrom(of.payment)
        refund = event.refund
        refund.refund_id = ids.encode("rfd", ids.new())
        refund.amount.CopyFrom(of.payment.amount)
        refund.tax.CopyFrom(of.payment.tax)
        refund.value_held, refund.policy, refund.requested_by = held, policy, asked_by
        return event

    def refund_reversed(self, of: PaymentRefunded) -> RefundReversed:
        return RefundReversed(
            event_id=ids.encode("evt", ids.new()),
            time_unix_micros=self.micros + 4,
            payment=of.payment,
            refund=of.refund,
        )

    def disputed(self, of: PaymentSucceeded, held: int = 42_373, fee: int = 0) -> PaymentDisputed:
        """All of the payment; *held* of its net price was still deferred."""
        event = PaymentDisputed(event_id=ids.encode("evt", ids.new()), time_unix_micros=self.micros + 5)
        event.payment.CopyFrom(of.payment)
        dispute = event.dispute
        dispute.dispute_id = ids.encode("dsp", ids.new())
        dispute.amount.CopyFrom(of.payment.amount)
        dispute.tax.CopyFrom(of.payment.tax)
        dispute.value_held, dispute.fee_minor = held, fee
        return event

    def dispute_won(self, of: PaymentDisputed) -> PaymentDisputeWon:
        return PaymentDisputeWon(
            event_id=ids.encode("evt", ids.new()),
            time_unix_micros=self.micros + 6,
            payment=of.payment,
            dispute=of.dispute,
        )

    def dispute_lost(self, of: PaymentDisputed) -> PaymentDisputeLost:
        return PaymentDisputeLost(
            event_id=ids.encode("evt", ids.new()),
            time_unix_micros=self.micros + 6,
            payment=of.payment,
            dispute=of.dispute,
        )

    def settled(
        self, gross: int = 50_000, fee: int = 950, fee_tax: int = 171, adjustment: int = 0
    ) -> SettlementImported:
        event = SettlementImported(
            event_id=ids.encode("evt", ids.new()),
            time_unix_micros=self.micros + 7,
            gross_minor=gross,
            fee_minor=fee,
            fee_tax_minor=fee_tax,
            adjustment_minor=adjustment,
            net_minor=gross - fee - fee_tax - adjustment,
        )
        settlement = event.settlement
        settlement.settlement_id = ids.encode("stl", ids.new())
        settlement.merchant_id, settlement.gateway, settlement.currency = "mer_commdesk", "cashfree", "INR"
        return event

    def locked(self, paid: int = 5_000, bonus: int = 500, payment_id: str = "") -> WalletLocked:
        return WalletLocked(**self._of_hold(paid, bonus, payment_id))

    def released(self, paid: int = 5_000, bonus: int = 500, payment_id: str = "") -> WalletReleased:
        return WalletReleased(**self._of_hold(paid, bonus, payment_id))

    def reversed(self, paid: int = 5_000, bonus: int = 500, payment_id: str = "", debt: int = 0) -> WalletReversed:
        return WalletReversed(debt=debt, **self._of_hold(paid, bonus, payment_id))

    def debt_settled(
        self, paid: int = 0, bonus: int = 0, value: int = 0, forgiven: int = 0, actor_id: str = ""
    ) -> WalletDebtSettled:
        fields = self._of_hold(paid, bonus, "")
        for name in ("payment_id", "hold_id"):
            del fields[name]
        money = Money(minor=value, currency="INR")
        return WalletDebtSettled(value=money, credits_forgiven=forgiven, actor_id=actor_id, **fields)

    def _of_hold(self, paid: int, bonus: int, payment_id: str) -> dict[str, Any]:
        return {
            "event_id": ids.encode("evt", ids.new()),
            "time_unix_micros": self.micros + 8,
            "owner": Owner(merchant_id="mer_commdesk", kind="USER", id="usr_asha"),
            "transaction_id": ids.encode("wtx", ids.new()),
            "credits_paid": paid,
            "credits_bonus": bonus,
            "payment_id": payment_id,
            "hold_id": ids.encode("hld", ids.new()),
        }

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
