"""Cashfree's refunds, API version 2025-01-01: build the request, parse the answer and the webhook. Pure.

The refund's id is ours and unique in the account, so no idempotency key is sent: Cashfree would replay a stored 500
under it, whereas a repeated id is refused, and the refund that has it is read.
"""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Final

import msgspec
from loguru import logger

from common.money import format as format_money
from gateways import Unknown
from gateways.cashfree.amounts import parse_rupees
from gateways.cashfree.answers import (
    Error,
    Id,
    entries_of,
    error_of,
    id_of,
    reference_of,
    time_of,
    unanswered,
)
from gateways.client import HttpRequest
from gateways.json_duplicates import has_duplicate_keys
from gateways.json_repair import UNREADABLE, repairing
from gateways.refunds import RefundMissing, RefundRefused, RefundRequest, RefundSnapshot, RefundStatus

_NOTE_LENGTH_MIN: Final = 3
_NOTE_LENGTH_MAX: Final = 100

_encode = msgspec.json.Encoder(decimal_format="number").encode


class ReadInstead(msgspec.Struct, frozen=True):
    """The call was refused, perhaps because the refund exists: read it. It was refused for *reason* if it does not."""

    # From REFUND_REFUSALS, or "" when only the refund itself can say.
    reason: str


class Refund(msgspec.Struct):
    """A refund; in a webhook its ids are numbers. What does not decide may be of any type."""

    cf_refund_id: Id = None
    refund_id: str | None = None
    cf_payment_id: Id = None
    order_id: str | None = None
    refund_status: str | None = None
    refund_amount: Decimal | None = None
    refund_currency: str | None = None
    refund_arn: Any = None
    refund_type: Any = None
    processed_at: Any = None


_decode_refund = repairing(msgspec.json.Decoder(Refund).decode)

DECISIVE: Final = (b'"refund_status"', b'"refund_amount"', b'"refund_currency"', b'"refund_id"', b'"order_id"')

# What is not listed is not decided: PENDING, ONHOLD, ACTIVE, INITIATED, and words that nobody knows yet.
_STATUS = {
    "SUCCESS": RefundStatus.SUCCESS,
    "CANCELLED": RefundStatus.FAILED,
    "FAILED": RefundStatus.FAILED,
    "REVERSED": RefundStatus.REVERSED,
}
# Cashfree gave back by itself what it took twice, late or without an order.
_AUTOMATIC: Final = frozenset({"PAYMENT_AUTO_REFUND", "UNRECONCILED_AUTO_REFUND"})
# Refused before it did anything, unless the refund exists already.
_REFUSALS = frozenset({400, 404, 405, 413})
_REASON_OF_CODE = {
    "order_id_not_paid": "not_paid",
    "order_not_found": "not_paid",
    "refund_amount_invalid": "amount_too_large",
    "refund_unsupported": "refund_unsupported",
}
# Looked for in the message of other refusals, whose code is refund_post_failed for most; the first one decides.
_REASON_OF_WORDS = (
    ("greater than the transaction amount", "amount_too_large"),
    ("balance", "balance_insufficient"),
    ("dispute", "disputed"),
    ("chargeback", "disputed"),
    ("month", "window_over"),
    ("days", "window_over"),
    ("not supported", "refund_unsupported"),
)


def build_create_refund(refund: RefundRequest) -> HttpRequest:
    """POST /orders/{id}/refunds. The payment is Cashfree's choice: an order has one capture, and it gives back others
    by itself."""
    body: dict[str, Any] = {
        "refund_id": refund.refund_id,
        "refund_amount": Decimal(format_money(refund.amount)),
        "refund_speed": str(refund.speed),
    }
    if len(refund.note) >= _NOTE_LENGTH_MIN:
        body["refund_note"] = refund.note[:_NOTE_LENGTH_MAX]
    return HttpRequest("create_refund", "POST", f"/orders/{refund.order.order_id}/refunds", _encode(body))


def build_get_refund(order_id: str, refund_id: str) -> HttpRequest:
    return HttpRequest("read_refund", "GET", f"/orders/{order_id}/refunds/{refund_id}")


def build_get_refunds(order_id: str) -> HttpRequest:
    return HttpRequest("read_refunds", "GET", f"/orders/{order_id}/refunds")


def parse_create_refund(
    order_id: str, refund_id: str, status: int, body: bytes
) -> RefundSnapshot | ReadInstead | Unknown:
    """The answer to POST /orders/{id}/refunds.

    Every refusal is checked against the refund itself: the one that a lost answer made may have used up the amount,
    and the documents do not say which of two reasons is named.
    """
    if status == 200:
        return _asked(order_id, refund_id, body)
    if status in (409, 422):
        return ReadInstead("")
    error = error_of(body)
    if status in _REFUSALS and error is not None:
        return ReadInstead(_reason(error))
    return unanswered(status)


def refused_unless_read(
    refusal: ReadInstead, read: RefundSnapshot | RefundMissing | Unknown
) -> RefundSnapshot | RefundRefused | Unknown:
    """What a refusal comes to once the refund was looked for."""
    if not isinstance(read, RefundMissing):
        return read
    return RefundRefused(refusal.reason) if refusal.reason else Unknown("refund_not_found_after_conflict")


def parse_get_refund(
    order_id: str, refund_id: str, status: int, body: bytes
) -> RefundSnapshot | RefundMissing | Unknown:
    """The answer to GET /orders/{id}/refunds/{refund_id}; a 404 counts only with Cashfree's own error body."""
    if status == 200:
        return _asked(order_id, refund_id, body)
    error = error_of(body)
    if status == 404 and error is not None and error.is_missing:
        return RefundMissing(refund_id)
    return unanswered(status)


def parse_get_refunds(order_id: str, status: int, body: bytes) -> Sequence[RefundSnapshot] | Unknown:
    """The answer to GET /orders/{id}/refunds. An entry that cannot be read is left out and does not hide the others."""
    entries = entries_of(status, body)
    if isinstance(entries, Unknown):
        return entries
    refunds = []
    for entry in entries:
        try:
            refund = _decode_refund(entry)
            if has_duplicate_keys(entry, DECISIVE, 1):
                raise ValueError("a key is repeated")
            snapshot = snapshot_of(refund)
        except UNREADABLE:
            logger.bind(order_id=order_id).warning("a refund cannot be read")
            continue
        if snapshot.order_id == order_id:
            refunds.append(snapshot)
    return refunds


def snapshot_of(refund: Refund) -> RefundSnapshot:
    """The refund in our words. Raises ValueError when it names no order, no refund, no status or no exact amount."""
    order_id, refund_id, gateway_id = id_of(refund.order_id), id_of(refund.refund_id), id_of(refund.cf_refund_id)
    if not order_id or not (refund_id or gateway_id) or refund.refund_status is None:
        raise ValueError("a refund without its order, its id or its status")
    if refund.refund_amount is None or refund.refund_currency is None:
        raise ValueError("a refund without its amount")
    return RefundSnapshot(
        refund_id,
        gateway_id,
        order_id,
        id_of(refund.cf_payment_id),
        _STATUS.get(refund.refund_status, RefundStatus.PENDING),
        parse_rupees(refund.refund_amount, refund.refund_currency),
        reference_of(refund.refund_arn),
        isinstance(refund.refund_type, str) and refund.refund_type in _AUTOMATIC,
        time_of(refund.processed_at),
    )


def _asked(order_id: str, refund_id: str, body: bytes) -> RefundSnapshot | Unknown:
    try:
        refund = _decode_refund(body)
        if has_duplicate_keys(body, DECISIVE, 1):
            return Unknown("ambiguous")
        snapshot = snapshot_of(refund)
    except UNREADABLE:
        return Unknown("unreadable")
    if (snapshot.order_id, snapshot.refund_id) != (order_id, refund_id):
        return Unknown("foreign_refund")
    return snapshot


def _reason(error: Error) -> str:
    """Why it was refused, from REFUND_REFUSALS; "" for a repeated id, which is no refusal."""
    text = error.text
    if error.code == "refund_id_invalid" and "duplicate" in text:
        return ""
    reason = _REASON_OF_CODE.get(error.code)
    return reason or next((reason for words, reason in _REASON_OF_WORDS if words in text), "refused")
