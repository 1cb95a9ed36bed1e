"""Razorpay's webhooks as its documentation shows them, signed as Razorpay signs; for tests."""

import hmac
import json
from typing import Any, Final

SECRET: Final = "whsec_0123456789abcdef0123456789abcdef"  # noqa: S105 (made up)


def payment_entity(**fields: Any) -> dict[str, Any]:
    """A captured payment of an order."""
    usual: dict[str, Any] = {
        "id": "pay_DESlfW9H8K9uqM",
        "entity": "payment",
        "amount": 17_000,
        "currency": "INR",
        "status": "captured",
        "order_id": "order_DESlLckIVRkHWj",
        "method": "netbanking",
        "amount_refunded": 0,
        "refund_status": None,
        "captured": True,
        "notes": [],
        "error_code": None,
        "error_reason": None,
        "acquirer_data": {"bank_transaction_id": "0125836177"},
        "created_at": 1_767_225_590,
    }
    return usual | fields


def payment_body(event: str = "payment.captured", **fields: Any) -> bytes:
    """The body of a payment webhook; *fields* are the payment's."""
    document = {
        "entity": "event",
        "account_id": "acc_BFQ7uQEaa7j2z7",
        "event": event,
        "contains": ["payment"],
        "payload": {"payment": {"entity": payment_entity(**fields)}},
        "created_at": 1_767_225_600,
    }
    return json.dumps(document, separators=(",", ":")).encode()


def signed_headers(body: bytes, secret: str = SECRET, event_id: str = "evt_1") -> dict[str, str]:
    """The headers that Razorpay sends beside *body*."""
    return {
        "content-type": "application/json",
        "x-razorpay-signature": hmac.digest(secret.encode(), body, "sha256").hex(),
        "x-razorpay-event-id": event_id,
    }
