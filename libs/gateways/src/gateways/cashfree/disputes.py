"""Cashfree's disputes, API version 2025-01-01: build the request, parse the answer and the webhook. Pure."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Final

import msgspec
from loguru import logger

from common.texts import printable
from gateways import Unknown
from gateways.cashfree.amounts import parse_rupees
from gateways.cashfree.answers import Id, entries_of, id_of, time_of
from gateways.client import HttpRequest
from gateways.disputes import DisputeSnapshot, DisputeStatus
from gateways.json_duplicates import has_duplicate_keys
from gateways.json_repair import UNREADABLE, repairing

_REASON_CHARACTERS_MAX: Final = 32
# Webhooks name no currency beside the disputed amount, but the order's; Cashfree settles in rupees.
_CURRENCY: Final = "INR"


class Dispute(msgspec.Struct):
    """A dispute; its id and its reason code are texts in webhooks and numbers in answers."""

    dispute_id: Id = None
    dispute_status: str | None = None
    dispute_amount: Decimal | None = None
    dispute_amount_currency: str | None = None
    # What does not decide may be of any type.
    dispute_update: Any = None
    reason_code: Any = None
    respond_by: Any = None
    updated_at: Any = None
    created_at: Any = None


class DisputedOrder(msgspec.Struct):
    """The order that a dispute is about."""

    order_id: str | None = None
    order_amount: Decimal | None = None
    order_currency: str | None = None
    cf_payment_id: Id = None


class _Listed(Dispute):
    order_details: DisputedOrder | None = None


_decode_dispute = repairing(msgspec.json.Decoder(_Listed).decode)

DECISIVE: Final = (b'"dispute_id"', b'"dispute_status"', b'"dispute_amount"')

# A status is a stage (DISPUTE, CHARGEBACK, RETRIEVAL, PRE_ARBITRATION, ARBITRATION) and one of these. What is not
# listed leaves the dispute open: a person has to look before its deadline.
_STATUS_OF_ENDING = {
    "_CREATED": DisputeStatus.OPEN,
    # The bank asks for more.
    "_INSUFFICIENT_EVIDENCE": DisputeStatus.OPEN,
    "_DOCS_RECEIVED": DisputeStatus.UNDER_REVIEW,
    "_UNDER_REVIEW": DisputeStatus.UNDER_REVIEW,
    "_MERCHANT_WON": DisputeStatus.WON,
    "_MERCHANT_LOST": DisputeStatus.LOST,
    "_MERCHANT_ACCEPTED": DisputeStatus.LOST,
}


def build_get_disputes(order_id: str) -> HttpRequest:
    return HttpRequest("read_disputes", "GET", f"/orders/{order_id}/disputes")


def parse_get_disputes(order_id: str, status: int, body: bytes) -> Sequence[DisputeSnapshot] | Unknown:
    """The answer to GET /orders/{id}/disputes. An entry that cannot be read is left out."""
    entries = entries_of(status, body)
    if isinstance(entries, Unknown):
        return entries
    disputes = []
    for entry in entries:
        try:
            dispute = _decode_dispute(entry)
            if has_duplicate_keys(entry, DECISIVE, 1):
                raise ValueError("a key is repeated")
            snapshot = snapshot_of(dispute, dispute.order_details or DisputedOrder(order_id))
        except UNREADABLE:
            logger.bind(order_id=order_id).warning("a dispute cannot be read")
            continue
        if snapshot.order_id == order_id:
            disputes.append(snapshot)
    return disputes


def snapshot_of(dispute: Dispute, order: DisputedOrder) -> DisputeSnapshot:
    """The dispute in our words. Raises ValueError when it names no dispute, no order, no status or no exact amount."""
    dispute_id, order_id = id_of(dispute.dispute_id), id_of(order.order_id)
    if not dispute_id or not order_id or dispute.dispute_status is None or dispute.dispute_amount is None:
        raise ValueError("a dispute without its id, its order, its status or its amount")
    currency = dispute.dispute_amount_currency or order.order_currency or _CURRENCY
    return DisputeSnapshot(
        dispute_id,
        order_id,
        id_of(order.cf_payment_id),
        _status(dispute.dispute_status),
        parse_rupees(dispute.dispute_amount, currency),
        printable(dispute.reason_code, _REASON_CHARACTERS_MAX),
        time_of(dispute.respond_by),
        time_of(dispute.updated_at) or time_of(dispute.created_at),
    )


def _status(word: str) -> DisputeStatus:
    return next((status for ending, status in _STATUS_OF_ENDING.items() if word.endswith(ending)), DisputeStatus.OPEN)
