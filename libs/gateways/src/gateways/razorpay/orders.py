"""Razorpay's orders: build the request, parse the answer. Pure.

Razorpay makes the order's id. Ours is its receipt, which is asked to be unique, so that the order can be found by it.
An order is never closed and never expires: `OrderSnapshot.stays_open`. What was authorised is captured automatically.
"""

from typing import Any, Final
from urllib.parse import quote, urlencode

import msgspec

from common.texts import printable
from gateways import OrderMissing, OrderRefused, OrderRequest, OrderSnapshot, OrderStatus, Unknown
from gateways.bounds import ID_CHARACTERS_MAX
from gateways.client import HttpRequest
from gateways.json_duplicates import has_duplicate_keys
from gateways.json_repair import UNREADABLE, repairing
from gateways.razorpay.answers import PAGE_ITEMS, error_of, id_of, items_of, money_of, note_of, unanswered

# Razorpay's longest receipt.
RECEIPT_CHARACTERS_MAX: Final = 40
# The note that carries our payment id. The order's notes are written by us alone; a payment's own may come from the
# customer's browser.
TAG: Final = "payment_id"
# Five days, Razorpay's maximum: money that a bank confirms late is captured, and then granted or refunded here.
CAPTURE_MINUTES: Final = 7_200

_encode = msgspec.json.Encoder().encode


class ReadInstead(msgspec.Struct, frozen=True):
    """The call was refused because an order with this receipt exists: read it."""


# ── Requests ─────────────────────────────────────────────────────────────────────────────────────────────────────


def build_create_order(order: OrderRequest) -> HttpRequest:
    """POST /v1/orders. A repeated receipt gets the order that it made before."""
    body: dict[str, Any] = {
        "amount": order.amount.minor,
        "currency": order.amount.currency,
        "receipt": order.order_id,
        "unique_receipt": True,
        "notes": {TAG: order.payment_id},
        "payment": {
            "capture": "automatic",
            "capture_options": {
                "automatic_expiry_period": CAPTURE_MINUTES,
                "manual_expiry_period": CAPTURE_MINUTES,
                "refund_speed": "normal",
            },
        },
    }
    return HttpRequest("create_order", "POST", "/v1/orders", _encode(body))


def build_get_order(gateway_order_id: str) -> HttpRequest:
    return HttpRequest("read_order", "GET", f"/v1/orders/{quote(gateway_order_id, safe='')}")


def build_find_order(order_id: str) -> HttpRequest:
    """GET /v1/orders by our receipt."""
    query = urlencode({"receipt": order_id, "count": PAGE_ITEMS})
    return HttpRequest("find_order", "GET", f"/v1/orders?{query}")


# ── Answers ──────────────────────────────────────────────────────────────────────────────────────────────────────


class Order(msgspec.Struct):
    """An order; what does not decide may be of any type."""

    id: str
    status: str
    amount: int
    currency: str
    receipt: Any = None
    notes: Any = None


_decode_order = repairing(msgspec.json.Decoder(Order).decode)
_DECISIVE: Final = (b'"id"', b'"status"', b'"amount"', b'"currency"', b'"receipt"', b'"notes"')
_STATUS = {
    "created": OrderStatus.ACTIVE,
    "attempted": OrderStatus.ACTIVE,
    "paid": OrderStatus.PAID,
}
# Refused before it did anything, whatever the reason.
_REFUSALS: Final = frozenset({400, 404, 405, 413, 422})


def parse_create_order(order_id: str, status: int, body: bytes) -> OrderSnapshot | OrderRefused | ReadInstead | Unknown:
    """The answer to POST /v1/orders. 401 and 403 say that our keys are wrong, nothing about the payment."""
    if status == 200:
        order = _snapshot(body)
        return Unknown("foreign_order") if isinstance(order, OrderSnapshot) and order.order_id != order_id else order
    error = error_of(body)
    if error is None:
        return unanswered(status)
    if status == 409 or "receipt should be unique" in error.text:
        return ReadInstead()
    return OrderRefused(error.word or "refused") if status in _REFUSALS and error.is_refusal else unanswered(status)


def parse_get_order(
    order_id: str, gateway_order_id: str, status: int, body: bytes
) -> OrderSnapshot | OrderMissing | Unknown:
    """The answer to GET /v1/orders/{id}. With *order_id* "" it is the order's receipt that tells ours."""
    if status == 200:
        order = _snapshot(body)
        if isinstance(order, Unknown):
            return order
        if order.gateway_order_id != gateway_order_id or order.order_id != (order_id or order.order_id):
            return Unknown("foreign_order")
        # Made without a receipt, so by somebody else.
        return order if order.order_id else OrderMissing(order_id)
    error = error_of(body)
    if status in (400, 404) and error is not None and error.is_missing:
        return OrderMissing(order_id)
    return unanswered(status)


def parse_find_order(order_id: str, status: int, body: bytes) -> OrderSnapshot | OrderMissing | Unknown:
    """The answer to GET /v1/orders by receipt.

    Of several orders, which uniqueness rules out, the one that was paid counts, or else the first that was made: they
    are listed newest first.
    """
    items = items_of(status, body)
    if isinstance(items, Unknown):
        return items
    orders = [_snapshot(item) for item in items]
    own = [order for order in orders if isinstance(order, OrderSnapshot) and order.order_id == order_id]
    if own:
        return min(reversed(own), key=lambda order: order.status is not OrderStatus.PAID)
    # Orders of others: the filter was not applied, so the answer does not say that ours is missing.
    return Unknown("foreign_order") if orders else OrderMissing(order_id)


def order_id_of(order: Order) -> str:
    """Ours, or "" where the order has none of ours."""
    return printable(order.receipt, RECEIPT_CHARACTERS_MAX)


def _snapshot(body: bytes) -> OrderSnapshot | Unknown:
    try:
        order = _decode_order(body)
        status = _STATUS.get(order.status)
        if status is None:
            return Unknown("unknown_order_status")
        gateway_order_id = id_of(order.id)
        if not gateway_order_id:
            return Unknown("unreadable")
        if has_duplicate_keys(body, _DECISIVE, 1):
            return Unknown("ambiguous")
        amount = money_of(order.amount, order.currency)
    except UNREADABLE:
        return Unknown("unreadable")
    return OrderSnapshot(
        order_id_of(order),
        gateway_order_id,
        status,
        amount,
        # The checkout opens the order by its id.
        session_id=gateway_order_id,
        payment_id=note_of(order.notes, TAG, ID_CHARACTERS_MAX),
        stays_open=True,
    )
