"""Events of ours → what merchants are told of them. Amounts are in minor units; no personal data."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, TypeAlias
from uuid import UUID

import msgspec

from commdesk.common.v1.common_pb2 import Money
from commdesk.payment.v1 import disputes_pb2, refunds_pb2
from commdesk.payment.v1.payment_pb2 import Payment, PaymentStatus
from common import ids
from common.events import from_micros
from common.times import rfc3339
from notifier.domain.webhook_events import VERSION, WebhookEvent
from notifier.use_cases.webhook_events import Announced

_encode = msgspec.json.Encoder().encode
Data: TypeAlias = Callable[[Any], dict[str, object]]


def announced(kind: str, data: Data, event: Any) -> Announced:
    """*kind* is the merchant's name for it, *data* makes what it says of *event*.

    Raises IdInvalid or TimeOutOfRange for one that nobody of ours wrote.
    """
    event_id, at = ids.decode("evt", event.event_id), from_micros(event.time_unix_micros)
    payment: Payment | None = event.payment if "payment" in event.DESCRIPTOR.fields_by_name else None
    about: Any = payment if payment is not None else event.refund

    def render() -> WebhookEvent:
        return webhook_event(event_id, kind, about.merchant_id, about.payment_id, about.seq, at, data(event))

    return Announced(about.merchant_id, render)


def test_event(merchant_id: str, at: datetime) -> WebhookEvent:
    """What "send a test" sends."""
    event_id = ids.new()
    data: dict[str, object] = {"test": {"message": "This is a test of your webhook endpoint."}}
    return webhook_event(event_id, "webhook.test", merchant_id, ids.encode("evt", event_id), 1, at, data)


def webhook_event(
    event_id: UUID, kind: str, merchant_id: str, object_id: str, seq: int, at: datetime, data: Mapping[str, object]
) -> WebhookEvent:
    body = {
        "id": ids.encode("evt", event_id),
        "event": kind,
        "version": VERSION,
        "timestamp": rfc3339(at),
        "merchantId": merchant_id,
        "data": data,
    }
    return WebhookEvent(
        id=event_id, merchant_id=merchant_id, type=kind, object_id=object_id, seq=seq, at=at, body=_encode(body)
    )


def payment_data(event: Any) -> dict[str, object]:
    view = _payment_view(event.payment)
    reason = getattr(event, "reason", "")
    return {"payment": {**view, "failureReason": reason} if reason else view}


def refund_data(event: Any) -> dict[str, object]:
    data: dict[str, object] = {"refund": _refund_view(event.refund)}
    if "payment" in event.DESCRIPTOR.fields_by_name:
        data["payment"] = _payment_view(event.payment)
    return data


def dispute_data(event: Any) -> dict[str, object]:
    dispute = event.dispute
    view = {
        "id": dispute.dispute_id,
        "paymentId": dispute.payment_id,
        **_amount(dispute.amount),
        "status": disputes_pb2.DisputeStatus.Name(dispute.status).removeprefix("DISPUTE_STATUS_"),
        "reasonCode": dispute.reason_code,
        "respondBy": _moment(dispute.respond_by_unix_micros),
        "createdAt": _moment(dispute.created_unix_micros),
    }
    return {"dispute": view, "payment": _payment_view(event.payment)}


def _payment_view(payment: Payment) -> dict[str, object]:
    return {
        "id": payment.payment_id,
        "orderId": payment.order_id,
        **_amount(payment.amount),
        "status": PaymentStatus.Name(payment.status).removeprefix("PAYMENT_STATUS_"),
        "method": payment.method,
        "gateway": payment.gateway,
        "gatewayPaymentId": payment.gateway_payment_id,
        "userId": payment.user_id,
        "credits": payment.credits_paid + payment.credits_bonus,
        "createdAt": _moment(payment.created_unix_micros),
        "sequence": payment.seq,
    }


def _refund_view(refund: refunds_pb2.Refund) -> dict[str, object]:
    return {
        "id": refund.refund_id,
        "paymentId": refund.payment_id,
        **_amount(refund.amount),
        "status": refunds_pb2.RefundStatus.Name(refund.status).removeprefix("REFUND_STATUS_"),
        "bankReference": refund.bank_reference,
        "failureReason": refund.failure_reason,
        "createdAt": _moment(refund.created_unix_micros),
    }


def _amount(money: Money) -> dict[str, object]:
    return {"amount": money.minor, "currency": money.currency or "INR"}


def _moment(unix_micros: int) -> str | None:
    return rfc3339(from_micros(unix_micros)) if unix_micros else None
