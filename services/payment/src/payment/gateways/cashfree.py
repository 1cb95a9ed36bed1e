"""Cashfree PG, API version 2025-01-01: build the request, read the answer, read a webhook. All pure.

Amounts are rupees as JSON numbers there and are written and parsed as exact decimals; unknown fields are ignored and
unknown words are never errors. Nothing but an explicit yes or no of a well-formed answer is taken for one.
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import msgspec

from common.money import EXPONENTS, Money
from common.money import format as money_text
from payment.domain import (
    AttemptStatus,
    Claim,
    OrderMissing,
    OrderRefused,
    OrderStatus,
    OrderView,
    Unknown,
)
from payment.gateways import Heard, OrderRequest, Parked, Unreadable
from payment.gateways.cashfree_reasons import reason_of

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


class _ErrorDetails(msgspec.Struct):
    error_code: str | None = None
    error_reason: str | None = None
    error_source: str | None = None


class _Payment(msgspec.Struct):
    cf_payment_id: str | int
    payment_status: str
    order_id: str = ""
    order_amount: Decimal | None = None
    order_currency: str | None = None
    payment_amount: Decimal | None = None
    payment_currency: str | None = None
    payment_group: str | None = None
    payment_method: Any = None
    payment_time: str | None = None
    payment_completion_time: str | None = None
    bank_reference: str | int | None = None
    is_captured: bool | None = None
    error_details: _ErrorDetails | None = None


_read_order = msgspec.json.Decoder(_Order).decode
_read_payments = msgspec.json.Decoder(list[_Payment]).decode
_read_error = msgspec.json.Decoder(_Error).decode

_ORDER_STATUS = {
    "ACTIVE": OrderStatus.ACTIVE,
    "PAID": OrderStatus.PAID,
    "EXPIRED": OrderStatus.EXPIRED,
    "TERMINATED": OrderStatus.TERMINATED,
    "TERMINATION_REQUESTED": OrderStatus.TERMINATING,
}
_ATTEMPT_STATUS = {
    "SUCCESS": AttemptStatus.SUCCESS,
    "FAILED": AttemptStatus.FAILED,
    "VOID": AttemptStatus.FAILED,
    "CANCELLED": AttemptStatus.FAILED,
    "USER_DROPPED": AttemptStatus.DROPPED,
    "PENDING": AttemptStatus.PENDING,
    "NOT_ATTEMPTED": AttemptStatus.AUTHORIZING,
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
    try:
        return [
            _claim(order_id, payment, payment.error_details)
            for payment in _read_payments(body)
            if payment.order_id in ("", order_id)
        ]
    except (msgspec.MsgspecError, ValueError):
        return Unknown("unreadable")


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


def exact(amount: Decimal, currency: str) -> Money:
    """The amount in minor units. Raises ValueError when it is not a whole number of them, or not a number at all."""
    digits = EXPONENTS.get(currency)
    if digits is None or not amount.is_finite() or abs(amount.adjusted()) > 15:
        raise ValueError("not an amount")
    minor = amount.scaleb(digits)
    if minor != minor.to_integral_value():
        raise ValueError("not a whole number of minor units")
    return Money(int(minor), currency)


# ── Attempts and webhooks ────────────────────────────────────────────────────────────────────────────────────────

# Words that stand for nothing in Cashfree's answers.
_NOTHING = frozenset({"", "NA", "N/A", "null"})
# payment_method's key in REST and in webhooks → the word of ours.
_OUR_METHOD = {
    "upi": "upi",
    "card": "card",
    "emi": "card",
    "netbanking": "netbanking",
    "app": "wallet",
    "cardless_emi": "cardless_emi",
    "paylater": "paylater",
    "pay_later": "paylater",
    "banktransfer": "bank_transfer",
    "bank_transfer": "bank_transfer",
    "vba_transfer": "bank_transfer",
}


def _claim(order_id: str, payment: _Payment, error: _ErrorDetails | None) -> Claim:
    status = _ATTEMPT_STATUS.get(payment.payment_status, AttemptStatus.UNKNOWN)
    if status is AttemptStatus.SUCCESS and payment.is_captured is False:
        # Authorised only: the money is not ours before the capture.
        status = AttemptStatus.PENDING
    reason = ""
    if status is AttemptStatus.DROPPED:
        reason = "dropped_by_customer"
    elif status is AttemptStatus.FAILED:
        reason = reason_of(error.error_reason or "", error.error_code or "") if error else "failed"
    bank = "" if payment.bank_reference is None else str(payment.bank_reference)
    return Claim(
        order_id,
        str(payment.cf_payment_id),
        status,
        _money(payment.order_amount, payment.order_currency),
        _money(payment.payment_amount, payment.payment_currency),
        _method(payment.payment_method),
        (payment.payment_group or "")[:32],
        "" if bank in _NOTHING else bank[:64],
        reason,
        _time(payment.payment_completion_time or payment.payment_time),
    )


def _money(amount: Decimal | None, currency: str | None) -> Money | None:
    return None if amount is None or currency is None else exact(amount, currency)


def _method(method: object) -> str:
    if isinstance(method, Mapping) and method:
        return _OUR_METHOD.get(str(next(iter(method))), "other")
    return ""


def _time(text: str | None) -> datetime | None:
    """Times without an offset are IST by Cashfree's habit; such a one is not worth guessing for."""
    if not text:
        return None
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return None
    return at.astimezone(UTC) if at.tzinfo else None


class _HookOrder(msgspec.Struct):
    order_id: str
    order_amount: Decimal | None = None
    order_currency: str | None = None


class _HookData(msgspec.Struct):
    order: _HookOrder | None = None
    payment: _Payment | None = None
    error_details: _ErrorDetails | None = None


class _Hook(msgspec.Struct):
    type: str
    data: _HookData


class _HookType(msgspec.Struct):
    type: str = ""


_read_hook = msgspec.json.Decoder(_Hook).decode
_read_hook_type = msgspec.json.Decoder(_HookType).decode

# PAYMENT_CHARGES_WEBHOOK repeats a SUCCESS and is about fees: it must never count as a payment.
PAYMENT_WEBHOOKS = frozenset({"PAYMENT_SUCCESS_WEBHOOK", "PAYMENT_FAILED_WEBHOOK", "PAYMENT_USER_DROPPED_WEBHOOK"})


def read_webhook(body: bytes) -> Heard | Parked | Unreadable:
    """The claim of a payment webhook; another kind of event is Parked, what cannot be read is Unreadable."""
    try:
        kind = _read_hook_type(body).type
        if kind not in PAYMENT_WEBHOOKS:
            return Parked("unsupported_type" if kind else "no_type")
        data = _read_hook(body).data
        if data.order is None or data.payment is None:
            return Unreadable("incomplete")
        payment = data.payment
        payment.order_amount, payment.order_currency = data.order.order_amount, data.order.order_currency
        return Heard(data.order.order_id, _claim(data.order.order_id, payment, data.error_details))
    except (msgspec.MsgspecError, ValueError):
        return Unreadable("unreadable")
