"""Razorpay's refunds: build the request, parse the answer and the webhook. Pure.

A refund names the payment that is given back. Ours carries our id as its receipt and in its notes. Razorpay repeats its
answer to a repeated idempotency key for a time that it does not publish, so an earlier refund is looked for first.
"""

import re
from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import quote

import msgspec
from loguru import logger

from common.keys import digest
from common.texts import printable
from gateways import Unknown
from gateways.bounds import ID_CHARACTERS_MAX
from gateways.client import HttpRequest
from gateways.json_duplicates import has_duplicate_keys
from gateways.json_repair import UNREADABLE, repairing
from gateways.razorpay.answers import (
    PAGE_ITEMS,
    Error,
    error_of,
    id_of,
    items_of,
    money_of,
    note_of,
    reference_of,
    time_of,
    unanswered,
)
from gateways.refunds import RefundRefused, RefundRequest, RefundSnapshot, RefundSpeed, RefundStatus

# The note that carries our refund id.
TAG: Final = "refund_id"
_NOTE_CHARACTERS_MAX: Final = 256
_IDEMPOTENCY_KEY: Final = re.compile(r"[A-Za-z0-9_-]{10,}")
# A failure may be remembered for a key and answered for ever, so so many attempts share one. With their pauses they
# take minutes: by then no call under the key before is at work, and what it made is in the list that is read first.
_ATTEMPTS_OF_KEY: Final = 10

_encode = msgspec.json.Encoder().encode


class ReadInstead(msgspec.Struct, frozen=True):
    """The key was used for another request, or for one that is still worked: read the refund."""


class Refund(msgspec.Struct):
    """A refund; what does not decide may be of any type."""

    id: str | None = None
    payment_id: str | None = None
    status: str | None = None
    amount: int | None = None
    currency: str | None = None
    receipt: Any = None
    notes: Any = None
    acquirer_data: Any = None
    created_at: Any = None


_decode_refund = repairing(msgspec.json.Decoder(Refund).decode)

_DECISIVE: Final = (b'"id"', b'"payment_id"', b'"status"', b'"amount"', b'"currency"', b'"receipt"', b'"notes"')

# What is not listed is not decided: pending, created, and words that nobody knows yet.
_STATUS = {
    "processed": RefundStatus.SUCCESS,
    "failed": RefundStatus.FAILED,
}
_SPEED = {RefundSpeed.STANDARD: "normal", RefundSpeed.INSTANT: "optimum"}
_REFUSALS: Final = frozenset({400, 404, 405, 413, 422})
# Looked for in the description; the first one decides.
_REASON_OF_WORDS: Final = (
    ("month", "window_over"),
    ("greater than", "amount_too_large"),
    ("fully refunded", "amount_too_large"),
    ("balance", "balance_insufficient"),
    ("dispute", "disputed"),
    ("captured", "not_paid"),
    ("does not exist", "not_paid"),
    ("not supported", "refund_unsupported"),
)


def build_create_refund(refund: RefundRequest) -> HttpRequest:
    """POST /v1/payments/{id}/refund, under an idempotency key made from our id."""
    notes = {TAG: refund.refund_id}
    if refund.note:
        notes["reason"] = refund.note[:_NOTE_CHARACTERS_MAX]
    body = {
        "amount": refund.amount.minor,
        "speed": _SPEED[refund.speed],
        "receipt": refund.refund_id,
        "notes": notes,
    }
    key, number = refund.refund_id, (refund.attempt - 1) // _ATTEMPTS_OF_KEY
    if number:
        key = f"{key}-{number}"
    if not _IDEMPOTENCY_KEY.fullmatch(key):
        key = digest("refund", key).hex()
    path = f"/v1/payments/{quote(refund.gateway_payment_id, safe='')}/refund"
    return HttpRequest("create_refund", "POST", path, _encode(body), {"x-refund-idempotency": key})


def build_get_refunds(gateway_payment_id: str) -> HttpRequest:
    path = f"/v1/payments/{quote(gateway_payment_id, safe='')}/refunds?count={PAGE_ITEMS}"
    return HttpRequest("read_refunds", "GET", path)


def parse_create_refund(
    order_id: str, refund: RefundRequest, status: int, body: bytes
) -> RefundSnapshot | RefundRefused | ReadInstead | Unknown:
    """The answer to POST /v1/payments/{id}/refund. Before it, the refund was looked for and was not there."""
    if status == 200:
        return _created(order_id, refund, body)
    error = error_of(body)
    if error is None:
        return unanswered(status)
    if status == 409:
        return ReadInstead()
    return RefundRefused(_reason(error)) if status in _REFUSALS and error.is_refusal else unanswered(status)


def parse_get_refunds(
    order_id: str, gateway_payment_id: str, status: int, body: bytes, *, whole: bool = False
) -> Sequence[RefundSnapshot] | Unknown:
    """The answer to GET /v1/payments/{id}/refunds: all refunds of one payment.

    An entry that cannot be read is left out and does not hide the others; a full page may hide some. *whole*: who asks
    whether a refund is missing gets Unknown instead, because the entry may be that refund.
    """
    items = items_of(status, body)
    if isinstance(items, Unknown):
        return items
    if len(items) >= PAGE_ITEMS:
        return Unknown("too_many_refunds")
    refunds = []
    for item in items:
        try:
            refund = _decode_refund(item)
            if has_duplicate_keys(item, _DECISIVE, 1):
                raise ValueError("a key is repeated")
            snapshot = snapshot_of(order_id, refund)
        except UNREADABLE:
            logger.bind(order_id=order_id).warning("a refund cannot be read")
            if whole:
                return Unknown("refund_unreadable")
            continue
        if snapshot.gateway_payment_id == gateway_payment_id:
            refunds.append(snapshot)
    return refunds


def snapshot_of(order_id: str, refund: Refund) -> RefundSnapshot:
    """The refund in our words. Raises ValueError when it has no id, no payment, no status or no exact amount."""
    gateway_id, payment_id = id_of(refund.id), id_of(refund.payment_id)
    if not gateway_id or not payment_id or refund.status is None:
        raise ValueError("a refund without its id, its payment or its status")
    if refund.amount is None or refund.currency is None:
        raise ValueError("a refund without its amount")
    status = _STATUS.get(refund.status, RefundStatus.PENDING)
    return RefundSnapshot(
        printable(refund.receipt, ID_CHARACTERS_MAX) or note_of(refund.notes, TAG, ID_CHARACTERS_MAX),
        gateway_id,
        order_id,
        payment_id,
        status,
        money_of(refund.amount, refund.currency),
        _bank_reference(refund.acquirer_data),
        # Razorpay does not say when it was processed; it was made before that.
        processed_at=time_of(refund.created_at) if status is RefundStatus.SUCCESS else None,
    )


def _created(order_id: str, request: RefundRequest, body: bytes) -> RefundSnapshot | Unknown:
    try:
        refund = _decode_refund(body)
        if has_duplicate_keys(body, _DECISIVE, 1):
            return Unknown("ambiguous")
        snapshot = snapshot_of(order_id, refund)
    except UNREADABLE:
        return Unknown("unreadable")
    if (snapshot.refund_id, snapshot.gateway_payment_id) != (request.refund_id, request.gateway_payment_id):
        return Unknown("foreign_refund")
    return snapshot


def _reason(error: Error) -> str:
    """Why it was refused, from REFUND_REFUSALS."""
    return next((reason for words, reason in _REASON_OF_WORDS if words in error.text), "refused")


def _bank_reference(acquirer_data: object) -> str:
    if not isinstance(acquirer_data, dict):
        return ""
    references = (reference_of(acquirer_data.get(name)) for name in ("arn", "rrn", "utr"))
    return next((reference for reference in references if reference), "")
