"""Cashfree's webhooks as its documentation shows them, signed as Cashfree signs; for tests."""

import base64
import hmac
import json
from datetime import UTC, datetime, timedelta
from typing import Final

SECRET: Final = "cfsk_ma_test_0123456789abcdef0123456789abcdef_deadbeef"  # noqa: S105 (made up)


def payment_body(
    payment_id: object = "1453002795",
    type_: str = "PAYMENT_SUCCESS_WEBHOOK",
    status: str = "SUCCESS",
    order_id: str = "ord_1",
    event_time: str = "2025-01-15T12:20:31+05:30",
) -> bytes:
    """The body of a payment webhook."""
    document = {
        "data": {
            "order": {"order_id": order_id, "order_amount": 170.0, "order_currency": "INR", "order_tags": None},
            "payment": {"cf_payment_id": payment_id, "payment_status": status, "payment_amount": 170.0},
        },
        "event_time": event_time,
        "type": type_,
    }
    return json.dumps(document, separators=(",", ":")).encode()


def signed_headers(body: bytes, at: datetime, secret: str = SECRET, **more: str) -> dict[str, str]:
    """The headers that Cashfree sends beside *body*; *more* with `_` for `-`."""
    timestamp = str((at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1))
    mac = hmac.digest(secret.encode(), timestamp.encode() + body, "sha256")
    return {
        "content-type": "application/json",
        "x-webhook-timestamp": timestamp,
        "x-webhook-signature": base64.b64encode(mac).decode(),
        "x-webhook-version": "2025-01-01",
        "x-webhook-attempt": "1",
    } | {name.replace("_", "-"): value for name, value in more.items()}
