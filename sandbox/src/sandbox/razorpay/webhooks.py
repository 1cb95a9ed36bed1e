"""Webhooks and proofs as Razorpay signs them: hex HMAC-SHA256 of the raw body, or of an order's and a payment's ids."""

import hashlib
import hmac
from typing import Any

import msgspec

from sandbox.razorpay.accounts import Account
from sandbox.razorpay.ids import new_id

SIGNATURE = "X-Razorpay-Signature"
EVENT_ID = "x-razorpay-event-id"


def sign(secret: str, message: bytes) -> str:
    """Lowercase hex HMAC-SHA256."""
    return hmac.digest(secret.encode(), message, hashlib.sha256).hex()


def proof(account: Account, order_id: str, payment_id: str) -> dict[str, str]:
    """What checkout hands to the shop's page, signed with the key's secret."""
    return {
        "razorpay_order_id": order_id,
        "razorpay_payment_id": payment_id,
        "razorpay_signature": sign(account.key_secret, f"{order_id}|{payment_id}".encode()),
    }


def body(account: Account, event: str, entities: dict[str, dict[str, Any]], at: int) -> bytes:
    """The body about *entities* by their names, as they are now."""
    return msgspec.json.encode(
        {
            "entity": "event",
            "account_id": account.account_id,
            "event": event,
            "contains": list(entities),
            "payload": {name: {"entity": entity} for name, entity in entities.items()},
            "created_at": at,
        }
    )


def headers(account: Account, content: bytes, event_id: str = "") -> dict[str, str]:
    """The headers of a webhook; a retry and a resend have the same event id."""
    return {
        "content-type": "application/json",
        SIGNATURE: sign(account.webhook_secret, content),
        EVENT_ID: event_id or new_id("evt").removeprefix("evt_"),
    }
