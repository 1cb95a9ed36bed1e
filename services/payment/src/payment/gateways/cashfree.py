"""Cashfree PG, API version 2025-01-01: build the request, read the answer, read a webhook. All pure.

Amounts are rupees as JSON numbers there and are written and parsed as exact decimals; unknown fields are ignored and
unknown words are never errors. Nothing but an explicit yes or no of a well-formed answer is taken for one.
"""

import hashlib
import re
from collections.abc import Sequence
from datetime import UTC
from decimal import Decimal
from typing import Any

import msgspec

from common.money import format as money_text
from payment.domain import (
    Claim,
    OrderMissing,
    OrderRefused,
    OrderStatus,
    OrderView,
    Unknown,
)
from payment.gateways import OrderRequest
from payment.gateways.cashfree_attempts import attempts, exact, read_webhook
from payment.gateways.said_twice import says_twice

__all__ = [
    "METHOD_HINTS",
    "NAME",
    "Call",
    "Exists",
    "build_create_order",
    "build_read_order",
    "build_read_payments",
    "build_terminate_order",
    "customer_id",
    "exact",
    "read_create_order",
    "read_read_order",
    "read_read_payments",
    "read_terminate_order",
    "read_webhook",
]

NAME = "cashfree"
# The order tag that carries our payment id.
TAG = "payment_id"
NOTE_LENGTH_MIN, NOTE_LENGTH_MAX = 3, 200


class Call(msgspec.Struct, frozen=True):
    """One HTTP request, without host and credentials."""

    operation: str
    method: str
    path: str
    body: bytes = b""
    idempotency_key: str = ""


class Exists(msgspec.Struct, frozen=True):
    """409 or 422: an order of ours with this id is there already; read it."""


# ── Requests ─────────────────────────────────────────────────────────────────────────────────────────────────────

_encode = msgspec.json.Encoder(decimal_format="number").encode

_METHODS = {
    "upi": "upi",
    "card": "cc,dc",
    "credit_card": "cc",
    "debit_card": "dc",
    "netbanking": "nb",
    "wallet": "app",
    "paylater": "paylater",
}
METHOD_HINTS = frozenset(_METHODS)


def build_create_order(order: OrderRequest, notify_url: str) -> Call:
    """POST /orders. The idempotency key changes with the attempt: Cashfree replays even a stored 500 for a used key."""
    customer: dict[str, Any] = {
        "customer_id": customer_id(order.customer_id),
        "customer_phone": order.customer.phone,
    }
    if order.customer.email:
        customer["customer_email"] = order.customer.email
    if 3 <= len(order.customer.name) <= 100:
        customer["customer_name"] = order.customer.name
    meta: dict[str, Any] = {}
    if order.return_url:
        meta["return_url"] = order.return_url
    if notify_url:
        meta["notify_url"] = notify_url
    if order.method_hint in _METHODS:
        meta["payment_methods"] = _METHODS[order.method_hint]
    body: dict[str, Any] = {
        "order_id": order.order_id,
        "order_amount": Decimal(money_text(order.amount)),
        "order_currency": order.amount.currency,
        "customer_details": customer,
        "order_tags": {TAG: order.payment_id},
        "order_expiry_time": order.expires_at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S+00:00"),
    }
    if meta:
        body["order_meta"] = meta
    if len(order.note) >= NOTE_LENGTH_MIN:
        body["order_note"] = order.note[:NOTE_LENGTH_MAX]
    return Call("create_order", "POST", "/orders", _encode(body), f"{order.order_id}:{order.attempt}")


def build_read_order(order_id: str) -> Call:
    return Call("read_order", "GET", f"/orders/{order_id}")


def build_read_payments(order_id: str) -> Call:
    return Call("read_payments", "GET", f"/orders/{order_id}/payments")


def build_terminate_order(order_id: str) -> Call:
    return Call("terminate_order", "PATCH", f"/orders/{order_id}", b'{"order_status":"TERMINATED"}')


_NOT_PLAIN = re.compile(r"[^A-Za-z0-9_-]")


def customer_id(user_id: str) -> str:
    """3 to 50 characters that Cashfree takes; the same user always gets the same one."""
    if 3 <= len(user_id) <= 50 and not _NOT_PLAIN.search(user_id):
        return user_id
    return "cus_" + hashlib.sha256(user_id.encode()).hexdigest()[:40]


# ── Answers ──────────────────────────────────────────────────────────────────────────────────────────────────────


class _Order(msgspec.Struct):
    order_id: str
    order_status: str
    order_amount: Decimal
    order_currency: str
    cf_order_id: str | int = ""
    payment_session_id: str | None = None
    order_tags: Any = None


class _Error(msgspec.Struct):
    code: str
    message: str = ""
    type: str = ""


_read_order = msgspec.json.Decoder(_Order).decode
_read_error = msgspec.json.Decoder(_Error).decode

_DECISIVE = (b'"order_id"', b'"order_status"', b'"order_amount"', b'"order_currency"')

_ORDER_STATUS = {
    "ACTIVE": OrderStatus.ACTIVE,
    "PAID": OrderStatus.PAID,
    "EXPIRED": OrderStatus.EXPIRED,
    "TERMINATED": OrderStatus.TERMINATED,
    "TERMINATION_REQUESTED": OrderStatus.TERMINATING,
}
# Rejected before it did anything, whatever the reason: there is no order and there will be none from this request.
_REFUSALS = frozenset({400, 404, 405, 413})


def read_create_order(order_id: str, status: int, body: bytes) -> OrderView | OrderRefused | Exists | Unknown:
    """The answer to POST /orders.

    401 and 403 are Unknown on purpose: our keys are wrong, which says nothing about the payment; it waits until they
    are right.
    """
    if status == 200:
        return _order(order_id, body)
    if status in (409, 422):
        return Exists()
    error = _error(body)
    if status in _REFUSALS and error is not None:
        return OrderRefused(error.code[:80])
    return _unknown(status)


def read_read_order(order_id: str, status: int, body: bytes) -> OrderView | OrderMissing | Unknown:
    """The answer to GET /orders/{id}; a 404 counts only with Cashfree's own error body (proxies say 404 too)."""
    if status == 200:
        return _order(order_id, body)
    error = _error(body)
    if status == 404 and error is not None and error.code.endswith("not_found"):
        return OrderMissing(order_id)
    return _unknown(status)


def read_read_payments(order_id: str, status: int, body: bytes) -> Sequence[Claim] | Unknown:
    """The answer to GET /orders/{id}/payments."""
    if status != 200:
        return _unknown(status)
    claims = attempts(order_id, body)
    return Unknown("unreadable") if claims is None else claims


def read_terminate_order(order_id: str, status: int, body: bytes) -> OrderView | OrderMissing | Exists | Unknown:
    """The answer to PATCH /orders/{id}. A 4xx means that it may not be terminated (paid, for example): read it."""
    answer = read_read_order(order_id, status, body)
    if isinstance(answer, Unknown) and status in (400, 409, 422):
        return Exists()
    return answer


def _order(order_id: str, body: bytes) -> OrderView | Unknown:
    try:
        order = _read_order(body)
        status = _ORDER_STATUS.get(order.order_status)
        if status is None:
            return Unknown("unknown_order_status")
        if order.order_id != order_id:
            return Unknown("foreign_order")
        if says_twice(body, _DECISIVE, 1):
            return Unknown("ambiguous")
        amount = exact(order.order_amount, order.order_currency)
    except (msgspec.MsgspecError, ValueError):
        return Unknown("unreadable")
    tag = order.order_tags.get(TAG) if isinstance(order.order_tags, dict) else None
    session_id = order.payment_session_id or ""
    return OrderView(order_id, str(order.cf_order_id), status, amount, session_id, tag if isinstance(tag, str) else "")


def _error(body: bytes) -> _Error | None:
    try:
        return _read_error(body)
    except (msgspec.MsgspecError, ValueError):
        return None


def _unknown(status: int) -> Unknown:
    return Unknown("rate_limited" if status == 429 else f"http_{status}")
