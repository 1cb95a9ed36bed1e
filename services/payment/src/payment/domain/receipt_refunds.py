"""Receipts given back through the gateway: when the policy does it, and when only a person can.

Some gateways' refunds name the order and not the capture, and the gateway picks one of them. That is safe where it
comes to the same: the order has one capture, or all are over the same amount and go back whole or not at all.
"""

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from uuid import UUID

import msgspec

from common.money import Money
from payment.domain.payments import Payment
from payment.domain.pricing import Credits, no_tax
from payment.domain.receipts import Receipt, ReceiptReason
from payment.domain.refund_errors import ReceiptRefundAmbiguous
from payment.domain.refunds import Refund, RefundSource, RefundStatus, check_number
from payment.domain.spent_credits import SpentCreditsPolicy
from payment.domain.states import PAID, LateSuccessPolicy, SecondCapturePolicy, Status


class ReceiptRefundPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """*second_captures* of merchants go before *second_capture*. A gateway that gives second captures back by itself
    has *after* to do so."""

    second_capture: SecondCapturePolicy = SecondCapturePolicy.REVIEW
    second_captures: Mapping[str, SecondCapturePolicy] = {}
    after: timedelta = timedelta(days=1)
    late_success: LateSuccessPolicy = LateSuccessPolicy.FULFIL

    def due_at(self, receipt: Receipt, now: datetime) -> datetime | None:
        """When a new receipt is given back; None when a person decides about it."""
        if receipt.reason is ReceiptReason.DUPLICATE:
            policy = self.second_captures.get(receipt.merchant_id, self.second_capture)
            return now + self.after if policy is SecondCapturePolicy.REFUND else None
        if receipt.reason is ReceiptReason.LATE_SUCCESS and self.late_success is LateSuccessPolicy.REFUND:
            return now
        return None


class OrderMoney(msgspec.Struct, frozen=True, kw_only=True):
    """A locked payment with all that its order took and gave back."""

    payment: Payment
    receipts: Collection[Receipt]
    refunds: Collection[Refund]
    # What of the payment disputes took that were lost.
    lost_minor: int

    @property
    def captures(self) -> dict[str, Money]:
        """What the gateway captured, by its own payment ids."""
        captures = {each.gateway_payment_id: each.amount for each in self.receipts}
        if self.payment.status in PAID:
            captures.setdefault(self.payment.gateway_payment_id, self.payment.amount)
        return captures

    @property
    def is_whole(self) -> bool:
        """All captures are over one amount, and what went back of them, or is about to, are whole captures."""
        amounts = set(self.captures.values()) | {each.amount for each in self.refunds if each.is_counted}
        parts = any(each.applied_minor or each.refunded_minor not in (0, each.amount.minor) for each in self.receipts)
        return len(amounts) == 1 and not parts and not self.lost_minor and self.payment.status is not Status.DISPUTED


def check_certain(order: OrderMoney, *, names_payments: bool) -> None:
    """Raises ReceiptRefundAmbiguous where it matters which capture the gateway picks, and the refund cannot name it;
    RefundsTooMany."""
    check_number(order.refunds)
    captures = len(order.captures)
    if not names_payments and captures > 1 and not order.is_whole:
        raise ReceiptRefundAmbiguous(
            f"the order has {captures} captures, and the gateway would pick the one that it gives back"
        )


def new_refund(
    payment: Payment,
    receipt: Receipt,
    *,
    reason: str,
    source: RefundSource,
    requested_by: str,
    policy: SpentCreditsPolicy,
    refund_id: UUID,
    now: datetime,
) -> Refund:
    """The refund of all that is left of *receipt*. It takes no credits and no tax, so that there is no hold to wait
    for."""
    return Refund(
        id=refund_id,
        payment_id=payment.id,
        merchant_id=payment.merchant_id,
        gateway=payment.gateway,
        gateway_payment_id=receipt.gateway_payment_id,
        receipt_id=receipt.id,
        amount=Money(receipt.open_minor, receipt.amount.currency),
        tax=no_tax(receipt.amount.currency),
        credits=Credits(),
        policy=policy,
        status=RefundStatus.PROCESSING,
        reason=reason,
        source=source,
        requested_by=requested_by,
        created_at=now,
        updated_at=now,
    )
