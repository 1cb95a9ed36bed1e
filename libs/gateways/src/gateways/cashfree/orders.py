"""Cashfree's orders, API version 2025-01-01: build the request, parse the answer. Pure.

Amounts are rupees as JSON numbers there and are written and parsed as exact decimals; unknown fields are ignored and
unknown words are never errors. Nothing but an explicit yes or no of a well-formed answer is taken for one.
"""

import hashlib
import re
from datetime import UTC
from decimal import Decimal
from typing import Any

import msgspec

from common.money import format as format_money
from common.texts import printable
from gateways import OrderMissing, OrderRefused, OrderRequest, OrderSnapshot, OrderStatus, PaymentMethod, Unknown
from gateways.bounds import ID_CHARACTERS_MAX
from gateways.cashfree.amounts import parse_rupees
from gateways.cashfree.answers import error_of, unanswered
from gateways.client import HttpRequest
from gateways.json_duplicates import has_duplicate_keys
from gateways.json_repair import UNREADABLE, repairing

# The order tag that carries our payment id.
TAG = "payment_id"
NOTE_LENGTH_MIN, NOTE_LENGTH_MAX = 3, 200
_SESSION_CHARACTERS_MAX = 1024


class ReadInstead(msgspec.Struct, frozen=True):
    """The call was refused because of the state of an order that exists: read it."""


# ── Requests ─────────────────────────────────────────────────────────────────────────────────────────────────────

_encode = msgspec.json.Encoder(decimal_format="number").encode

_METHODS: dict[str, str] = {
    PaymentMethod.UPI: "upi",
    PaymentMethod.CARD: "cc,dc",
    PaymentMethod.CREDIT_CARD: "cc",
    PaymentMethod.DEBIT_CARD: "dc",
    PaymentMethod.NETBANKING: "nb",
    PaymentMethod.WALLET: "app",
    PaymentMethod.PAYLATER: "paylater",
}


def build_create_order(order: OrderRequest, notify_url: str, phone: str) -> HttpRequest:
    """POST /orders, with *phone* (E.164) as the number that Cashfree asks for of every customer.

    The idempotency key changes with the attempt: Cashfree replays even a stored 500 for a used key.
    """
    customer: dict[str, Any] = {"customer_id": customer_id(order.customer_id)}
    if phone:
        customer["customer_phone"] = customer_phone(phone)
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
        "order_amount": Decimal(format_money(order.amount)),
        "order_currency": order.amount.currency,
        "customer_details": customer,
        "order_tags": {TAG: order.payment_id},
        "order_expiry_time": order.expires_at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S+00:00"),
    }
    if meta:
        body["order_meta"] = meta
    if len(order.note) >= NOTE_LENGTH_MIN:
        body["order_note"] = order.note[:NOTE_LENGTH_MAX]
    headers = {"x-idempotency-key": f"{order.order_id}:{order.attempt}"}
    return HttpRequest("create_order", "POST", "/orders", _encode(body), headers)


def build_get_order(order_id: str) -> HttpRequest:
    return HttpRequest("read_order", "GET", f"/orders/{order_id}")


def build_terminate_order(order_id: str) -> HttpRequest:
    return HttpRequest("close_order", "PATCH", f"/orders/{order_id}", b'{"order_status":"TERMINATED"}')


# The country code of the numbers that are written without one.
INDIA = "+91"
_NOT_PLAIN = re.compile(r"[^A-Za-z0-9_-]")


def customer_id(user_id: str) -> str:
    """3 to 50 characters that Cashfree takes; the same user always gets the same one."""
    if 3 <= len(user_id) <= 50 and not _NOT_PLAIN.search(user_id):
        return user_id
    return "cus_" + hashlib.sha256(user_id.encode()).hexdigest()[:40]


def customer_phone(phone: str) -> str:
    """Cashfree takes Indian numbers as their ten digits and others in E.164."""
    national = phone.removeprefix(INDIA)
    return national if len(national) == 10 else phone


# ── Answers ──────────────────────────────────────────────────────────────────────────────────────────────────────


class _Order(msgspec.Struct):
    order_id: str
    order_status: str
    order_amount: Decimal
    order_currency: str
    # What does not decide may be of any type without making the order unreadable.
    cf_order_id: Any = None
    payment_session_id: Any = None
    order_tags: Any = None


_decode_order = repairing(msgspec.json.Decoder(_Order).decode)

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


def parse_create_order(order_id: str, status: int, body: bytes) -> OrderSnapshot | OrderRefused | ReadInstead | Unknown:
    """The answer to POST /orders.

    401 and 403 are Unknown on purpose: our keys are wrong, which says nothing about the payment; it waits until they
    are right.
    """
    if status == 200:
        return _order(order_id, body)
    if status in (409, 422):
        return ReadInstead()
    error = error_of(body)
    if status in _REFUSALS and error is not None:
        return OrderRefused(error.word or "refused")
    return unanswered(status)


def parse_get_order(order_id: str, status: int, body: bytes) -> OrderSnapshot | OrderMissing | Unknown:
    """The answer to GET /orders/{id}; a 404 counts only with Cashfree's own error body (proxies say 404 too)."""
    if status == 200:
        return _order(order_id, body)
    error = error_of(body)
    if status == 404 and error is not None and error.is_missing:
        return OrderMissing(order_id)
    return unanswered(status)


def parse_terminate_order(
    order_id: str, status: int, body: bytes
) -> OrderSnapshot | OrderMissing | ReadInstead | Unknown:
    """The answer to PATCH /orders/{id}. A 4xx means that it may not be terminated (paid, for example): read it."""
    answer = parse_get_order(order_id, status, body)
    if isinstance(answer, Unknown) and status in (400, 409, 422):
        return ReadInstead()
    return answer


def _order(order_id: str, body: bytes) -> OrderSnapshot | Unknown:
    try:
        order = _decode_order(body)
        status = _ORDER_STATUS.get(order.order_status)
        if status is None:
            return Unknown("unknown_order_status")
        if order.order_id != order_id:
            return Unknown("foreign_order")
        if has_duplicate_keys(body, _DECISIVE, 1):
            return Unknown("ambiguous")
        amount = parse_rupees(order.order_amount, order.order_currency)
    except UNREADABLE:
        return Unknown("unreadable")
    tag = order.order_tags.get(TAG) if isinstance(order.order_tags, dict) else None
    return OrderSnapshot(
        order_id,
        printable(order.cf_order_id, ID_CHARACTERS_MAX),
        status,
        amount,
        printable(order.payment_session_id, _SESSION_CHARACTERS_MAX),
        printable(tag, ID_CHARACTERS_MAX) if isinstance(tag, str) else "",
    )
