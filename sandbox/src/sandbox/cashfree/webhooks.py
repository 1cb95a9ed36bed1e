"""Webhooks as Cashfree sends them: compact JSON with two-decimal amounts, signed over its raw bytes."""

import base64
import hashlib
import hmac
from typing import Any

import msgspec

from sandbox.cashfree import entities
from sandbox.cashfree.domain import Order, Payment, PaymentStatus, Refund, RefundStatus
from sandbox.clock import ist
from sandbox.faults import TRUTH, Report
from sandbox.money import two_decimals

EVENTS = {
    PaymentStatus.SUCCESS: "PAYMENT_SUCCESS_WEBHOOK",
    PaymentStatus.FAILED: "PAYMENT_FAILED_WEBHOOK",
    PaymentStatus.USER_DROPPED: "PAYMENT_USER_DROPPED_WEBHOOK",
}
REFUND_EVENT = "REFUND_STATUS_WEBHOOK"
AUTO_REFUND_EVENT = "AUTO_REFUND_STATUS_WEBHOOK"
PING_EVENT = "WEBHOOK"
ATTEMPT_HEADER = "x-webhook-attempt"
_FIRST_WITH_KEYS = "2025-01-01"  # earlier versions have neither x-idempotency-key nor the newer payment fields


def sign(secret: str, timestamp: str, body: bytes) -> str:
    """base64(HMAC-SHA256(secret, timestamp + raw body)), nothing between the two."""
    digest = hmac.digest(secret.encode(), timestamp.encode() + body, hashlib.sha256)
    return base64.b64encode(digest).decode()


def headers(secret: str, version: str, timestamp_ms: int, body: bytes) -> dict[str, str]:
    """The headers of a webhook but for the attempt, which the sender counts."""
    timestamp = str(timestamp_ms)
    result = {
        "content-type": "application/json",
        "x-webhook-timestamp": timestamp,
        "x-webhook-signature": sign(secret, timestamp, body),
        "x-webhook-version": version,
    }
    if version >= _FIRST_WITH_KEYS:
        result["x-idempotency-key"] = base64.b64encode(hashlib.sha256(body).digest()).decode()
    return result


def payment_body(of: Order, it: Payment, event_time: int, version: str, report: Report = TRUTH) -> bytes:
    """The body for a decided payment."""
    newer = version >= _FIRST_WITH_KEYS
    payment: dict[str, Any] = {
        "cf_payment_id": str(it.cf_payment_id),
        "payment_status": it.status,
        "payment_amount": _amount(report.amount(it.amount_paise)),
        "payment_currency": report.currency or it.currency,
        "payment_message": entities.message(it),
        "payment_time": ist(it.started_at),
        "bank_reference": entities.bank_reference(it) or "NA",
        "auth_id": None,
        "payment_method": msgspec.Raw(it.method.webhook),
        "payment_group": it.method.group,
    }
    if newer:
        payment["international_payment"] = {"international": False}
        payment["payment_surcharge"] = None
    data: dict[str, Any] = {
        "order": {
            "order_id": of.order_id,
            "order_amount": _amount(report.amount(of.amount_paise)),
            "order_currency": report.currency or of.currency,
            "order_tags": msgspec.Raw(of.tags),
        },
        "payment": payment,
        "customer_details": msgspec.Raw(of.customer),
    }
    if it.status is PaymentStatus.FAILED:
        data["error_details"] = entities.error_details(it)
    if it.status is not PaymentStatus.USER_DROPPED:
        data["payment_gateway_details"] = entities.gateway_details(of, it, "CASHFREE")
        data["payment_offers"] = None
    if newer:
        data["terminal_details"] = None
    return envelope(data, event_time, EVENTS[it.status])


def refund_body(it: Refund, event_time: int, version: str, report: Report = TRUTH) -> bytes:
    """The body for a refund; its cf ids are numbers and its entity has a capital, as Cashfree has it."""
    refund: dict[str, Any] = {
        "cf_refund_id": it.cf_refund_id,
        "cf_payment_id": it.cf_payment_id,
        "refund_id": it.refund_id,
        "order_id": it.order_id,
        "refund_amount": _amount(report.amount(it.amount_paise)),
        "refund_currency": report.currency or it.currency,
        "entity": "Refund",
        "refund_type": "MERCHANT_INITIATED",
        "refund_arn": entities.arn(it),
        "refund_status": it.status,
        "status_description": entities.description(it),
        "created_at": ist(it.created_at),
        "processed_at": None if it.processed_at is None else ist(it.processed_at),
        "refund_note": it.note,
        "refund_splits": [],
        "metadata": None,
        "requested_speed": it.speed,
        "processed_speed": "STANDARD",
        "service_charge": _amount(0),
        "service_tax": _amount(0),
    }
    data: dict[str, Any] = {"refund": refund}
    if version >= _FIRST_WITH_KEYS:
        refund |= {
            "forex_conversion_handling_charge": None,
            "forex_conversion_handling_tax": None,
            "forex_conversion_rate": None,
            "charges_currency": None,
        }
        data["terminalDetails"] = None
    return envelope(data, event_time, REFUND_EVENT)


def auto_refund_body(it: Refund, event_time: int, version: str, report: Report = TRUTH) -> bytes:
    """The body for a refund that the gateway made by itself: no refund_id, a payment id as a text, its own words."""
    is_done = it.status is not RefundStatus.PENDING
    refund: dict[str, Any] = {
        "event": "AUTO-REFUND",
        "cf_refund_id": it.cf_refund_id,
        "cf_payment_id": str(it.cf_payment_id),
        "bank_reference": str(it.cf_payment_id)[-12:],
        "order_id": it.order_id,
        "refund_amount": _amount(report.amount(it.amount_paise)),
        "refund_currency": report.currency or it.currency,
        "refund_type": "PAYMENT_AUTO_REFUND",
        "refund_arn": entities.arn(it),
        "refund_status": it.status if is_done else "INITIATED",
        "status_description": f"Auto-Refund {'processed' if is_done else 'initiated'} successfully",
        "refund_reason": "Multiple payments were performed against same order.",
        "created_at": ist(it.created_at),
        "processed_at": None if it.processed_at is None else ist(it.processed_at),
        "refund_charge": _amount(0),
        "refund_splits": None,
        "metadata": None,
    }
    data: dict[str, Any] = {"auto_refund": refund}
    if version >= _FIRST_WITH_KEYS:
        data["terminalDetails"] = None
    return envelope(data, event_time, AUTO_REFUND_EVENT)


def ping_body(event_time: int) -> bytes:
    """The dashboard's endpoint test."""
    return msgspec.json.encode(
        {"data": {"test_object": {"test_key": "test_value"}}, "type": PING_EVENT, "event_time": ist(event_time)}
    )


def customer_details(customer: dict[str, str | None]) -> bytes:
    """The customer as webhooks carry it."""
    names = ("customer_name", "customer_id", "customer_email", "customer_phone")
    return msgspec.json.encode({name: customer[name] for name in names})


def envelope(data: dict[str, Any], event_time: int, event: str) -> bytes:
    return msgspec.json.encode({"data": data, "event_time": ist(event_time), "type": event})


def _amount(paise: int) -> msgspec.Raw:
    return msgspec.Raw(two_decimals(paise).encode())
