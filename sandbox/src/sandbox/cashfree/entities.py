"""Orders, payments and refunds as API answers, 2025-01-01 shapes."""

from typing import Any

import msgspec

from sandbox.cashfree.domain import Order, Payment, PaymentStatus, Refund, RefundStatus
from sandbox.cashfree.requests import NewOrder
from sandbox.clock import ist, now
from sandbox.faults import TRUTH, Report
from sandbox.money import shortest

_MESSAGES = {
    PaymentStatus.NOT_ATTEMPTED: None,
    PaymentStatus.PENDING: "Transaction pending",
    PaymentStatus.SUCCESS: "Simulated response message",
}
_DESCRIPTIONS = {
    RefundStatus.PENDING: "In Progress",
    RefundStatus.SUCCESS: "Refund processed successfully",
    RefundStatus.CANCELLED: "Refund cancelled",
    RefundStatus.ONHOLD: "Refund on hold for insufficient balance",
    RefundStatus.FAILED: "Refund failed",
    RefundStatus.REVERSED: "Refund reversed by the bank",
}


def order_head(new: NewOrder, order_id: str, cf_order_id: int, session_id: str, created_at: int) -> bytes:
    """An order's entity without its closing brace and without what may change."""
    fields: dict[str, Any] = {
        "cf_order_id": str(cf_order_id),
        "order_id": order_id,
        "entity": "order",
        "order_note": new.note,
        "created_at": ist(created_at),
        "payment_session_id": session_id,
        "customer_details": new.customer,
        "order_meta": new.meta,
        "order_splits": new.splits,
        "order_tags": new.tags,
        "cart_details": None,
        "terminal_data": None,
    }
    return msgspec.json.encode(fields)[:-1]


def order(it: Order, report: Report = TRUTH) -> bytes:
    """OrderEntity."""
    tail = (
        f',"order_expiry_time":"{ist(it.expires_at)}"'
        f',"order_amount":{shortest(report.amount(it.amount_paise))}'
        f',"order_currency":"{report.currency or it.currency}","order_status":"{it.status_at(now())}"}}'
    )
    return it.head + tail.encode()


def payment(of: Order, it: Payment, report: Report = TRUTH) -> bytes:
    """PaymentEntity."""
    success = it.status is PaymentStatus.SUCCESS
    return msgspec.json.encode(
        {
            "cf_payment_id": str(it.cf_payment_id),
            "order_id": of.order_id,
            "entity": "payment",
            "is_captured": success,
            "order_amount": _number(report.amount(of.amount_paise)),
            "order_currency": report.currency or of.currency,
            "payment_group": it.method.group,
            "payment_currency": report.currency or it.currency,
            "payment_amount": _number(report.amount(it.amount_paise)),
            "payment_time": ist(it.started_at),
            "payment_completion_time": None if it.completed_at is None else ist(it.completed_at),
            "payment_status": it.status,
            "payment_message": message(it),
            "bank_reference": bank_reference(it),
            "auth_id": None,
            "authorization": None,
            "payment_method": msgspec.Raw(it.method.rest),
            "error_details": error_details(it),
            "international_payment": {"international": False},
            "payment_gateway_details": gateway_details(of, it, "cashfree"),
            "payment_surcharge": {"payment_surcharge_service_charge": 0, "payment_surcharge_service_tax": 0},
            "payment_offers": None,
        }
    )


def payments(of: Order, report: Report = TRUTH) -> bytes:
    """A bare array of PaymentEntity, as Cashfree answers."""
    return b"[" + b",".join(payment(of, each, report) for each in of.payments) + b"]"


def refund(it: Refund, report: Report = TRUTH) -> bytes:
    """RefundEntity."""
    done = it.status is RefundStatus.SUCCESS
    return msgspec.json.encode(
        {
            "cf_payment_id": str(it.cf_payment_id),
            "cf_refund_id": str(it.cf_refund_id),
            "order_id": it.order_id,
            "refund_id": None if it.is_automatic else it.refund_id,
            "entity": "refund",
            "refund_amount": _number(report.amount(it.amount_paise)),
            "refund_currency": report.currency or it.currency,
            "refund_note": it.note,
            "refund_status": it.status,
            "refund_arn": arn(it),
            "refund_charge": 0,
            "status_description": description(it),
            "metadata": None,
            "refund_splits": [],
            "refund_type": "PAYMENT_AUTO_REFUND" if it.is_automatic else "MERCHANT_INITIATED",
            "refund_mode": "NORMAL",
            "created_at": ist(it.created_at),
            "processed_at": None if it.processed_at is None else ist(it.processed_at),
            # INSTANT is accepted as STANDARD without a word, as measured on the real sandbox.
            "refund_speed": {
                "requested": it.speed,
                "accepted": "STANDARD",
                "processed": "STANDARD" if done else None,
                "message": None,
            },
            "forex_conversion_handling_charge": 0,
            "forex_conversion_handling_tax": 0,
            "forex_conversion_rate": 0,
            "charges_currency": "INR",
        }
    )


def refunds(of: Order, report: Report = TRUTH) -> bytes:
    """A bare array of RefundEntity."""
    return b"[" + b",".join(refund(each, report) for each in of.refunds) + b"]"


def pay_order(it: Payment, base_url: str, session_id: str) -> bytes:
    """PayOrderEntity: what the caller's page does next."""
    page = f"{base_url}/checkout/{session_id}/payments/{it.cf_payment_id}"
    action = "link"
    url: str | None = page
    payload: dict[str, str] | None = None
    if it.method.kind == "upi":
        action, url = "custom", None
        if it.method.channel == "link":
            payload = dict.fromkeys(("default", "bhim", "gpay", "paytm", "phonepe", "web"), page)
        elif it.method.channel == "qrcode":
            payload = {"qrcode": _QRCODE}
    elif it.method.channel == "post":
        action = "post"
    return msgspec.json.encode(
        {
            "payment_amount": _number(it.amount_paise),
            "cf_payment_id": str(it.cf_payment_id),
            "payment_method": it.method.kind,
            "channel": it.method.channel,
            "action": action,
            "data": {"url": url, "payload": payload, "content_type": None, "method": None},
        }
    )


def message(it: Payment) -> str | None:
    """payment_message."""
    return it.failure.message if it.failure else _MESSAGES.get(it.status)


def bank_reference(it: Payment) -> str | None:
    """The bank's number; unlike the real sandbox's constant 1234567890 it differs from payment to payment."""
    return str(it.cf_payment_id)[-12:] if it.status is PaymentStatus.SUCCESS else None


def error_details(it: Payment) -> dict[str, Any] | None:
    """Why the payment failed, or None."""
    if it.failure is None:
        return None
    return {
        "error_code": it.failure.code,
        "error_description": it.failure.message,
        "error_reason": it.failure.reason,
        "error_source": it.failure.source,
        "error_code_raw": None,
        "error_description_raw": None,
        "error_subcode_raw": None,
    }


def gateway_details(of: Order, it: Payment, settlement: str) -> dict[str, Any]:
    """payment_gateway_details; *settlement* is lower case in answers and upper case in webhooks."""
    return {
        "gateway_name": "CASHFREE",
        "gateway_order_id": str(of.cf_order_id),
        "gateway_payment_id": str(it.cf_payment_id),
        "gateway_order_reference_id": None,
        "gateway_settlement": settlement,
        "gateway_status_code": None,
    }


def arn(it: Refund) -> str | None:
    """The bank's reference of a refund, once there is one."""
    return str(it.cf_refund_id)[-12:] if it.status in (RefundStatus.SUCCESS, RefundStatus.REVERSED) else None


def description(it: Refund) -> str:
    """status_description."""
    return _DESCRIPTIONS[it.status]


def _number(paise: int) -> msgspec.Raw:
    return msgspec.Raw(shortest(paise).encode())


# One black pixel: enough for a client that shows whatever image comes.
_QRCODE = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAAAgABSK+kcQAAAABJRU5ErkJggg=="
)
