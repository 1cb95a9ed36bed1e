"""Domain → the messages that payment announces. Personal data goes into mails only."""

from datetime import datetime
from typing import Any
from uuid import UUID, uuid5

from commdesk.common.v1.common_pb2 import Money as MoneyMessage
from commdesk.common.v1.events_pb2 import AdminAlertRaised, AuditRecorded
from commdesk.payment.v1 import events_pb2 as pb
from commdesk.payment.v1 import payment_pb2
from common import events, ids
from common.events import head, micros
from common.money import Money
from payment.domain.decisions import ACTOR
from payment.domain.invoices import Invoice
from payment.domain.payments import Origin, Payment
from payment.domain.pricing import Tax
from payment.domain.receipts import Receipt
from payment.domain.review_queue import Case, ReviewAction, ReviewRequest
from payment.domain.states import CLOSED_UNPAID, Status

SERVICE = "payment"
_STATUS: dict[Status, Any] = {
    status: payment_pb2.PaymentStatus.Value(f"PAYMENT_STATUS_{status.value}") for status in Status
}
# The gateway's answer moved the payment, no request.
_NO_REQUEST = Origin(actor_id=ACTOR)


def money(amount: Money) -> MoneyMessage:
    return MoneyMessage(minor=amount.minor, currency=amount.currency)


def tax(parts: Tax) -> payment_pb2.Tax:
    return payment_pb2.Tax(net=money(parts.net), cgst=money(parts.cgst), sgst=money(parts.sgst), igst=money(parts.igst))


def payment_message(payment: Payment) -> payment_pb2.Payment:
    """A payment as other services see it: no personal data."""
    return payment_pb2.Payment(
        payment_id=ids.encode("pay", payment.id),
        merchant_id=payment.merchant_id,
        user_id=payment.user_id,
        order_id=payment.order_id,
        gateway=payment.gateway,
        status=_STATUS[payment.status],
        amount=money(payment.amount),
        tax=tax(payment.tax),
        platform_fee=money(payment.platform_fee),
        credits_paid=payment.credits.paid,
        credits_bonus=payment.credits.bonus,
        pack_id=payment.pack_id,
        seq=payment.seq,
        method=payment.method,
        created_unix_micros=micros(payment.created_at),
        gateway_payment_id=payment.gateway_payment_id,
        owner_kind=payment.owner_kind,
        owner_id=payment.owner_id,
    )


# ── Payments ─────────────────────────────────────────────────────────────────────────────────────────────────────


def created(payment: Payment, at: datetime) -> pb.PaymentCreated:
    return pb.PaymentCreated(
        **head(at), payment=payment_message(payment), ip=payment.origin.ip, device_id=payment.origin.device_id
    )


def processing(payment: Payment, at: datetime) -> pb.PaymentProcessing:
    return pb.PaymentProcessing(**head(at), payment=payment_message(payment))


def succeeded(
    payment: Payment, transaction_id: UUID, at: datetime, receipt_id: UUID | None = None
) -> pb.PaymentSucceeded:
    """*receipt_id* names the receipt that the success uses up; its money is in the books already."""
    return pb.PaymentSucceeded(
        **head(at),
        payment=payment_message(payment),
        transaction_id=ids.encode("txn", transaction_id),
        ip=payment.origin.ip,
        device_id=payment.origin.device_id,
        receipt_id="" if receipt_id is None else ids.encode("rcp", receipt_id),
    )


def received(payment: Payment, receipt: Receipt, at: datetime) -> pb.PaymentReceived:
    """The event has the receipt's own id: it is the permanent key of its journal."""
    return pb.PaymentReceived(
        **head(at, receipt.id),
        payment=payment_message(payment),
        receipt_id=ids.encode("rcp", receipt.id),
        gateway_payment_id=receipt.gateway_payment_id,
        amount=money(receipt.amount),
        reason=receipt.reason,
    )


def receipt_returned(
    payment: Payment, receipt: Receipt, minor: int, refund_id: UUID, at: datetime
) -> pb.PaymentReceived:
    """What had gone back by the refund was received once more; the refund comes back once, so it is the key."""
    return pb.PaymentReceived(
        **head(at, uuid5(refund_id, "receipt_returned")),
        payment=payment_message(payment),
        receipt_id=ids.encode("rcp", receipt.id),
        gateway_payment_id=receipt.gateway_payment_id,
        amount=MoneyMessage(minor=minor, currency=receipt.amount.currency),
        reason="REFUND_REVERSED",
    )


def receipt_refunded(
    payment: Payment, receipt: Receipt, gateway_refund_id: str, at: datetime, refund_id: UUID | None = None
) -> pb.PaymentReceiptRefunded:
    """All that was left of *receipt*. The event's id is the permanent key of its journal."""
    event_id = receipt.refund_event_id if refund_id is None else uuid5(refund_id, "receipt_refunded")
    return pb.PaymentReceiptRefunded(
        **head(at, event_id),
        payment=payment_message(payment),
        receipt_id=ids.encode("rcp", receipt.id),
        gateway_payment_id=receipt.gateway_payment_id,
        amount=MoneyMessage(minor=receipt.open_minor, currency=receipt.amount.currency),
        gateway_refund_id=gateway_refund_id,
    )


def held(payment: Payment, receipt: Receipt, at: datetime) -> pb.PaymentFlagged:
    return pb.PaymentFlagged(**head(at), payment=payment_message(payment), receipt_id=ids.encode("rcp", receipt.id))


def released(payment: Payment, at: datetime, *, granted: bool) -> pb.PaymentReleased:
    return pb.PaymentReleased(
        **head(at), payment=payment_message(payment), outcome="RELEASED" if granted else "REFUSED"
    )


def review_decided(payment: Payment, action: ReviewAction, actor_id: str, at: datetime) -> pb.PaymentReviewDecided:
    """For fraud it is one whether the money goes back through us or went back in the dashboard."""
    told = ReviewAction.REFUNDED if action is ReviewAction.REFUND else action
    return pb.PaymentReviewDecided(**head(at), payment=payment_message(payment), action=told, actor_id=actor_id)


def attempt_failed(payment: Payment, gateway_payment_id: str, reason: str, at: datetime) -> pb.PaymentAttemptFailed:
    return pb.PaymentAttemptFailed(
        **head(at),
        payment=payment_message(payment),
        gateway_payment_id=gateway_payment_id,
        reason=reason,
        ip=payment.origin.ip,
        device_id=payment.origin.device_id,
    )


def failed(payment: Payment, reason: str, at: datetime) -> pb.PaymentFailed:
    return pb.PaymentFailed(
        **head(at),
        payment=payment_message(payment),
        reason=reason,
        ip=payment.origin.ip,
        device_id=payment.origin.device_id,
    )


def expired(payment: Payment, at: datetime) -> pb.PaymentExpired:
    return pb.PaymentExpired(**head(at), payment=payment_message(payment))


def cancelled(payment: Payment, at: datetime) -> pb.PaymentCancelled:
    return pb.PaymentCancelled(**head(at), payment=payment_message(payment))


def sync_requested(payment_id: UUID, merchant_id: str, requested_by: str, at: datetime) -> pb.PaymentSyncRequested:
    """The command to look an order up; *requested_by* is VERIFY, WEBHOOK, SWEEP or OPERATOR."""
    return pb.PaymentSyncRequested(
        **head(at), payment_id=ids.encode("pay", payment_id), merchant_id=merchant_id, asked_by=requested_by
    )


# ── Analytics ────────────────────────────────────────────────────────────────────────────────────────────────────


def analytics_created(payment: Payment, at: datetime) -> pb.AnalyticsPaymentCreated:
    return pb.AnalyticsPaymentCreated(
        **head(at),
        merchant_id=payment.merchant_id,
        payment_id=ids.encode("pay", payment.id),
        amount=money(payment.amount),
        gateway=payment.gateway,
        pack_id=payment.pack_id,
    )


def analytics_succeeded(payment: Payment, before: Status, at: datetime) -> pb.AnalyticsPaymentSucceeded:
    return pb.AnalyticsPaymentSucceeded(
        **head(at),
        merchant_id=payment.merchant_id,
        payment_id=ids.encode("pay", payment.id),
        amount=money(payment.amount),
        gateway=payment.gateway,
        method=payment.method,
        pack_id=payment.pack_id,
        # Clocks are set back, and those of two processes differ: no duration is negative.
        duration_micros=max(0, micros(at) - micros(payment.created_at)),
        is_late=before in CLOSED_UNPAID,
    )


def analytics_failed(payment: Payment, reason: str, at: datetime) -> pb.AnalyticsPaymentFailed:
    return pb.AnalyticsPaymentFailed(
        **head(at),
        merchant_id=payment.merchant_id,
        payment_id=ids.encode("pay", payment.id),
        amount=money(payment.amount),
        gateway=payment.gateway,
        reason=reason,
    )


# ── Mails ────────────────────────────────────────────────────────────────────────────────────────────────────────


def mail_failed(payment: Payment, reason: str, retry_url: str, at: datetime) -> pb.EmailPaymentFailed:
    return pb.EmailPaymentFailed(
        **head(at),
        merchant_id=payment.merchant_id,
        recipient=recipient(payment),
        payment_id=ids.encode("pay", payment.id),
        order_id=payment.order_id,
        amount=money(payment.amount),
        reason=reason,
        retry_url=retry_url,
    )


def mail_succeeded(payment: Payment, invoice: Invoice, transaction_id: str, at: datetime) -> pb.EmailPaymentSucceeded:
    """The success mail, with the invoice's number and amounts."""
    return pb.EmailPaymentSucceeded(
        **head(at),
        merchant_id=payment.merchant_id,
        recipient=recipient(payment),
        payment_id=ids.encode("pay", payment.id),
        order_id=payment.order_id,
        transaction_id=transaction_id,
        invoice_id=ids.encode("inv", invoice.id),
        invoice_number=invoice.text,
        amount=money(payment.amount),
        tax=tax(payment.tax),
        credits_paid=payment.credits.paid,
        credits_bonus=payment.credits.bonus,
        method=payment.method,
        paid_unix_micros=micros(payment.paid_at or at),
    )


def recipient(payment: Payment) -> pb.Recipient:
    return pb.Recipient(email=payment.customer.email, name=payment.customer.name)


# ── Audit log and alerts ─────────────────────────────────────────────────────────────────────────────────────────


def audit(
    payment: Payment,
    action: str,
    before: Status | None,
    at: datetime,
    *,
    origin: Origin = _NO_REQUEST,
    **details: str | int | bool,
) -> AuditRecorded:
    """A line for the audit log about a payment. Without *origin* the service itself acted on the gateway's answer."""
    return events.audit(
        action,
        ("payment", ids.encode("pay", payment.id)),
        service=SERVICE,
        at=at,
        merchant_id=payment.merchant_id,
        actor_id=origin.actor_id,
        before={"status": before.value} if before else None,
        after={"status": payment.status.value, "seq": payment.seq, "amount": payment.amount.minor, **details},
        origin=origin,
    )


def audit_review(
    before: Case, after: Case, request: ReviewRequest, receipt: Receipt | None, at: datetime
) -> AuditRecorded:
    """A person's decision in the review queue, with its reason. The request's own context says from where."""
    payment = after.payment
    details = {"gatewayRefundId": request.gateway_refund_id} if request.gateway_refund_id else {}
    if receipt is not None:
        details |= {"receiptId": ids.encode("rcp", receipt.id)}
    return events.audit(
        f"payment.review.{request.action.lower()}",
        ("payment", ids.encode("pay", payment.id)),
        service=SERVICE,
        at=at,
        merchant_id=payment.merchant_id,
        actor_id=request.actor_id,
        before={"status": before.payment.status, "review": before.payment.review, "kinds": before.kinds},
        after={
            "status": payment.status,
            "review": payment.review,
            "kinds": after.kinds,
            "reason": request.reason,
            **details,
        },
    )


def audit_blocked(payment: Payment, score: int, reasons: str, at: datetime) -> AuditRecorded:
    """The fraud rules refused a payment, which is not stored."""
    origin = payment.origin
    return events.audit(
        "payment.block",
        ("user", origin.actor_id),
        service=SERVICE,
        at=at,
        merchant_id=payment.merchant_id,
        actor_id=origin.actor_id,
        after={"score": score, "reasons": reasons},
        origin=origin,
    )


def alert(payment: Payment, cause: str, detail: str, at: datetime) -> AdminAlertRaised:
    payment_id = ids.encode("pay", payment.id)
    return events.alert(
        cause,
        f"payment {payment_id}: {detail}",
        service=SERVICE,
        at=at,
        fields={"paymentId": payment_id, "orderId": payment.order_id, "amount": str(payment.amount)},
    )
