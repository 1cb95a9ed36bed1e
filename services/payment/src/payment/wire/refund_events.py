"""Refunds → the messages that payment announces about them. Personal data goes into mails only."""

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

from commdesk.common.v1.events_pb2 import AdminAlertRaised, AuditRecorded
from commdesk.payment.v1 import refunds_pb2 as pb
from common import events, ids
from common.events import head, micros
from payment.domain.credit_notes import CreditNote
from payment.domain.payments import Payment
from payment.domain.refunds import Refund, RefundStatus
from payment.domain.spent_credits import SpentCreditsPolicy
from payment.wire.events import SERVICE, money, payment_message, recipient, tax

_STATUS: Mapping[RefundStatus, Any] = {
    status: pb.RefundStatus.Value(f"REFUND_STATUS_{status.value}") for status in RefundStatus
}
_POLICY: Mapping[SpentCreditsPolicy, Any] = {
    policy: pb.SpentCreditsPolicy.Value(f"SPENT_CREDITS_POLICY_{policy.value}") for policy in SpentCreditsPolicy
}


def refund_message(refund: Refund) -> pb.Refund:
    """A refund as other services see it."""
    return pb.Refund(
        refund_id=refund.text_id,
        merchant_id=refund.merchant_id,
        payment_id=ids.encode("pay", refund.payment_id),
        status=_STATUS[refund.status],
        amount=money(refund.amount),
        tax=tax(refund.tax),
        credits_paid=refund.credits.paid,
        credits_bonus=refund.credits.bonus,
        policy=_POLICY[refund.policy],
        hold_id=refund.hold_id,
        value_held=refund.value_held,
        gateway_refund_id=refund.gateway_refund_id,
        bank_reference=refund.bank_reference,
        seq=refund.seq,
        created_unix_micros=micros(refund.created_at),
        failure_reason=refund.failure_reason,
        requested_by=refund.requested_by,
        receipt_id=ids.encode("rcp", refund.receipt_id) if refund.receipt_id else "",
    )


def created(refund: Refund, at: datetime) -> pb.RefundCreated:
    return pb.RefundCreated(**head(at), refund=refund_message(refund))


def analytics_created(payment: Payment, refund: Refund, at: datetime) -> pb.AnalyticsRefundCreated:
    return pb.AnalyticsRefundCreated(
        **head(at),
        merchant_id=refund.merchant_id,
        refund_id=refund.text_id,
        payment_id=ids.encode("pay", payment.id),
        amount=money(refund.amount),
        gateway=refund.gateway,
    )


def refunded(payment: Payment, refund: Refund, note: CreditNote, at: datetime) -> pb.PaymentRefunded:
    return pb.PaymentRefunded(
        **head(at),
        payment=payment_message(payment),
        refund=refund_message(refund),
        credit_note_number=note.text,
        credit_note_id=ids.encode("crn", note.id),
    )


def failed(payment: Payment, refund: Refund, at: datetime) -> pb.RefundFailed:
    return pb.RefundFailed(**head(at), payment=payment_message(payment), refund=refund_message(refund))


def reversed_(payment: Payment, refund: Refund, at: datetime) -> pb.RefundReversed:
    return pb.RefundReversed(**head(at), payment=payment_message(payment), refund=refund_message(refund))


def mail_refunded(
    payment: Payment, refund: Refund, note: CreditNote, expected: date, at: datetime
) -> pb.EmailPaymentRefunded:
    return pb.EmailPaymentRefunded(
        **head(at),
        merchant_id=payment.merchant_id,
        recipient=recipient(payment),
        payment_id=ids.encode("pay", payment.id),
        order_id=payment.order_id,
        refund_id=refund.text_id,
        amount=money(refund.amount),
        status=_STATUS[refund.status],
        expected_date=expected.isoformat(),
        method=payment.method,
        credit_note_number=note.text,
        bank_reference=refund.bank_reference,
        credits=refund.held.paid + refund.held.bonus,
    )


def audit_requested(payment: Payment, refund: Refund, refundable_before: int, at: datetime) -> AuditRecorded:
    """A person, an operator or a rule asked for a refund; what becomes of the money its journals say."""
    return events.audit(
        "refund.request",
        ("refund", refund.text_id),
        service=SERVICE,
        at=at,
        merchant_id=refund.merchant_id,
        actor_id=refund.requested_by,
        before={"payment": payment.status, "refundable": refundable_before},
        after={
            "payment": payment.status,
            "status": refund.status,
            "amount": refund.amount.minor,
            "refundable": refundable_before - (0 if refund.receipt_id else refund.amount.minor),
            "reason": refund.reason,
            **({"receiptId": ids.encode("rcp", refund.receipt_id)} if refund.receipt_id else {}),
        },
        payment_id=ids.encode("pay", payment.id),
    )


def hold_overdue(prefix: str, row: Any, at: datetime) -> AdminAlertRaised:
    """A refund's or a dispute's credits are not held since long."""
    payment_id, waiting = ids.encode("pay", row.payment_id), ids.encode(prefix, row.id)
    return events.alert(
        "hold_overdue",
        f"payment {payment_id}: the credits of {waiting} are not held since {row.created_at:%Y-%m-%d %H:%M} UTC",
        service=SERVICE,
        at=at,
        fields={"paymentId": payment_id, "waiting": waiting},
    )


def alert(payment: Payment, cause: str, detail: str, at: datetime, **fields: str) -> AdminAlertRaised:
    payment_id = ids.encode("pay", payment.id)
    return events.alert(
        cause,
        f"payment {payment_id}: {detail}",
        service=SERVICE,
        at=at,
        fields={"paymentId": payment_id, "orderId": payment.order_id} | fields,
    )
