"""What happened → the messages that tell it. Personal data goes into mails only."""

from collections.abc import Callable
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from google.protobuf.message import Message

from commdesk.common.v1.common_pb2 import Money as MoneyMessage
from commdesk.common.v1.events_pb2 import AdminAlertRaised, AuditRecorded
from commdesk.payment.v1 import events_pb2 as pb
from commdesk.payment.v1 import payment_pb2
from common import context, ids
from common.money import Money
from payment.domain import (
    ACTOR,
    Alerted,
    Announcement,
    Created,
    Invoice,
    Moved,
    Origin,
    Payment,
    Status,
    Tax,
)

SERVICE = "payment"
_json = msgspec.json.Encoder().encode
_STATUS: dict[Status, Any] = {
    status: payment_pb2.PaymentStatus.Value(f"PAYMENT_STATUS_{status.value}") for status in Status
}


def micros(at: datetime) -> int:
    return int(at.timestamp() * 1_000_000)


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


def announcements(happened: Announcement, public_url: str) -> list[Message]:
    """All that is said about one happening."""
    return _TOLD[type(happened)](happened, public_url)


def head(at: datetime) -> dict[str, Any]:
    """Every event's first two fields; its id is minted here, once."""
    return {"event_id": ids.encode("evt", ids.new()), "time_unix_micros": micros(at)}


def _created(happened: Created, _: str) -> list[Message]:
    payment, at = happened.payment, happened.at
    return [
        pb.PaymentCreated(
            **head(at), payment=payment_message(payment), ip=payment.origin.ip, device_id=payment.origin.device_id
        ),
        pb.AnalyticsPaymentCreated(
            **head(at),
            merchant_id=payment.merchant_id,
            payment_id=ids.encode("pay", payment.id),
            amount=money(payment.amount),
            gateway=payment.gateway,
            pack_id=payment.pack_id,
        ),
        audit(payment, "payment.create", None, at, origin=payment.origin),
    ]


def _moved(happened: Moved, public_url: str) -> list[Message]:
    teller = _MOVES.get(happened.payment.status)
    return teller(happened, public_url) if teller else []


def _succeeded(happened: Moved, _: str) -> list[Message]:
    payment, at = happened.payment, happened.at
    assert happened.transaction_id is not None, "a success names its transaction"
    return [
        pb.PaymentSucceeded(
            **head(at),
            payment=payment_message(payment),
            transaction_id=ids.encode("txn", happened.transaction_id),
            ip=payment.origin.ip,
            device_id=payment.origin.device_id,
        ),
        pb.AnalyticsPaymentSucceeded(
            **head(at),
            merchant_id=payment.merchant_id,
            payment_id=ids.encode("pay", payment.id),
            amount=money(payment.amount),
            gateway=payment.gateway,
            method=payment.method,
            pack_id=payment.pack_id,
            # Clocks may be put back, and two processes' differ: no age is below zero.
            duration_micros=max(0, micros(at) - micros(payment.created_at)),
        ),
        audit(payment, "payment.succeed", happened.before, at),
    ]


def _failed(happened: Moved, public_url: str) -> list[Message]:
    payment, at = happened.payment, happened.at
    told: list[Message] = [
        pb.PaymentFailed(
            **head(at),
            payment=payment_message(payment),
            reason=happened.reason,
            ip=payment.origin.ip,
            device_id=payment.origin.device_id,
        ),
        pb.AnalyticsPaymentFailed(
            **head(at),
            merchant_id=payment.merchant_id,
            payment_id=ids.encode("pay", payment.id),
            amount=money(payment.amount),
            gateway=payment.gateway,
            reason=happened.reason,
        ),
        audit(payment, "payment.fail", happened.before, at, mailed=bool(payment.customer.email)),
    ]
    if payment.customer.email:
        told.append(
            pb.EmailPaymentFailed(
                **head(at),
                merchant_id=payment.merchant_id,
                recipient=recipient(payment),
                payment_id=ids.encode("pay", payment.id),
                order_id=payment.order_id,
                amount=money(payment.amount),
                reason=happened.reason,
                retry_url=payment.return_url or public_url,
            )
        )
    return told


def _expired(happened: Moved, _: str) -> list[Message]:
    payment, at = happened.payment, happened.at
    return [
        pb.PaymentExpired(**head(at), payment=payment_message(payment)),
        audit(payment, "payment.expire", happened.before, at),
    ]


def _cancelled(happened: Moved, _: str) -> list[Message]:
    payment, at = happened.payment, happened.at
    return [
        pb.PaymentCancelled(**head(at), payment=payment_message(payment)),
        audit(payment, "payment.cancel", happened.before, at),
    ]


def _processing(happened: Moved, _: str) -> list[Message]:
    return [pb.PaymentProcessing(**head(happened.at), payment=payment_message(happened.payment))]


_MOVES: dict[Status, Callable[[Moved, str], list[Message]]] = {
    Status.SUCCESS: _succeeded,
    Status.FAILED: _failed,
    Status.EXPIRED: _expired,
    Status.CANCELLED: _cancelled,
    Status.PROCESSING: _processing,
    Status.AUTHORIZING: _processing,
}


def _alerted(happened: Alerted, _: str) -> list[Message]:
    payment, at = happened.payment, happened.at
    payment_id = ids.encode("pay", payment.id)
    return [
        AdminAlertRaised(
            **head(at),
            cause=happened.cause,
            service=SERVICE,
            summary=f"payment {payment_id}: {happened.detail}",
            fields={"paymentId": payment_id, "orderId": payment.order_id, "amount": str(payment.amount)},
        ),
        audit(payment, f"payment.{happened.cause}", payment.status, at, detail=happened.detail),
    ]


_TOLD: dict[type, Callable[[Any, str], list[Message]]] = {Created: _created, Moved: _moved, Alerted: _alerted}


def recipient(payment: Payment) -> pb.Recipient:
    return pb.Recipient(email=payment.customer.email, name=payment.customer.name)


def audit(
    payment: Payment,
    action: str,
    before: Status | None,
    at: datetime,
    *,
    origin: Origin | None = None,
    **more: str | int | bool,
) -> AuditRecorded:
    """A line for the audit log. Without *origin* the service itself acted, on the gateway's word."""
    source = origin or Origin(actor_id=ACTOR)
    after = {"status": payment.status.value, "seq": payment.seq, "amount": payment.amount.minor, **more}
    return AuditRecorded(
        **head(at),
        merchant_id=payment.merchant_id,
        actor_id=source.actor_id,
        action=action,
        resource_type="payment",
        resource_id=ids.encode("pay", payment.id),
        before_json=_json({"status": before.value}).decode() if before else "",
        after_json=_json(after).decode(),
        ip=source.ip,
        user_agent=source.user_agent,
        trace_id=source.trace_id or context.trace_id(),
        request_id=source.request_id,
        service=SERVICE,
    )


def invoiced(payment: Payment, invoice: Invoice, transaction_id: str) -> list[Message]:
    """The invoice exists: the audit line, and the success mail when there is an address for it."""
    at = invoice.issued_at
    mailed = bool(payment.customer.email)
    told: list[Message] = [
        audit(payment, "invoice.issue", payment.status, at, invoice=invoice.text, mailed=mailed),
    ]
    if mailed:
        told.append(
            pb.EmailPaymentSucceeded(
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
        )
    return told


def blocked(merchant_id: str, origin: Origin, score: int, reasons: str, at: datetime) -> Message:
    """The fraud rules refused a payment before there was one."""
    return AuditRecorded(
        **head(at),
        merchant_id=merchant_id,
        actor_id=origin.actor_id,
        action="payment.block",
        resource_type="user",
        resource_id=origin.actor_id,
        after_json=_json({"score": score, "reasons": reasons}).decode(),
        ip=origin.ip,
        user_agent=origin.user_agent,
        trace_id=origin.trace_id,
        request_id=origin.request_id,
        service=SERVICE,
    )


def sync_requested(payment_id: UUID, merchant_id: str, asked_by: str, at: datetime) -> Message:
    return pb.PaymentSyncRequested(
        **head(at), payment_id=ids.encode("pay", payment_id), merchant_id=merchant_id, asked_by=asked_by
    )
