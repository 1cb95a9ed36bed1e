"""Razorpay's disputes: build the request, parse the answer and the webhook. Pure.

A dispute names the payment, and disputes are listed for the whole account: those of an order are picked out of the list
since its first payment.
"""

from collections.abc import Collection
from datetime import datetime
from typing import Any, Final
from urllib.parse import urlencode

import msgspec
from loguru import logger

from common.texts import printable
from gateways import Unknown
from gateways.client import HttpRequest
from gateways.disputes import DisputeSnapshot, DisputeStatus
from gateways.json_duplicates import has_duplicate_keys
from gateways.json_repair import UNREADABLE, repairing
from gateways.razorpay.answers import PAGE_ITEMS, id_of, items_of, money_of, time_of

# Beyond so many pages an account has more disputes since one payment than anybody answers.
PAGES_MAX: Final = 20
_REASON_CHARACTERS_MAX: Final = 32


class Dispute(msgspec.Struct):
    """A dispute; what does not decide may be of any type."""

    id: str | None = None
    payment_id: str | None = None
    status: str | None = None
    amount: int | None = None
    currency: str | None = None
    amount_deducted: Any = None
    reason_code: Any = None
    respond_by: Any = None
    created_at: Any = None


_decode_dispute = repairing(msgspec.json.Decoder(Dispute).decode)

_DECISIVE: Final = (b'"id"', b'"payment_id"', b'"status"', b'"currency"')

# What is not listed leaves the dispute open: a person has to look before its deadline.
_STATUS = {
    "open": DisputeStatus.OPEN,
    "action_required": DisputeStatus.OPEN,
    "under_review": DisputeStatus.UNDER_REVIEW,
    "won": DisputeStatus.WON,
    "lost": DisputeStatus.LOST,
}


def build_get_disputes(since: datetime | None, skip: int) -> HttpRequest:
    """GET /v1/disputes: those of the account that were raised since then."""
    query = {"count": PAGE_ITEMS, "skip": skip}
    if since is not None:
        query["from"] = int(since.timestamp())
    return HttpRequest("read_disputes", "GET", f"/v1/disputes?{urlencode(query)}")


def parse_get_disputes(
    order_id: str, gateway_payment_ids: Collection[str], status: int, body: bytes
) -> tuple[list[DisputeSnapshot], bool] | Unknown:
    """The disputes of these payments on a page, and whether another page may follow.

    An entry that cannot be read is left out.
    """
    items = items_of(status, body)
    if isinstance(items, Unknown):
        return items
    disputes = []
    for item in items:
        try:
            dispute = _decode_dispute(item)
            if has_duplicate_keys(item, _DECISIVE, 1):
                raise ValueError("a key is repeated")
            if dispute.payment_id in gateway_payment_ids:
                disputes.append(snapshot_of(order_id, dispute))
        except UNREADABLE:
            logger.bind(order_id=order_id).warning("a dispute cannot be read")
    return disputes, len(items) >= PAGE_ITEMS


def snapshot_of(order_id: str, dispute: Dispute) -> DisputeSnapshot:
    """The dispute in our words. Raises ValueError when it has no id, no payment, no status or no exact amount."""
    dispute_id, payment_id = id_of(dispute.id), id_of(dispute.payment_id)
    if not dispute_id or not payment_id or dispute.status is None:
        raise ValueError("a dispute without its id, its payment or its status")
    if dispute.amount is None or dispute.currency is None:
        raise ValueError("a dispute without its amount")
    return DisputeSnapshot(
        dispute_id,
        order_id,
        payment_id,
        _status(dispute),
        money_of(dispute.amount, dispute.currency),
        printable(dispute.reason_code, _REASON_CHARACTERS_MAX),
        time_of(dispute.respond_by),
        # Razorpay says when it was raised, not when it changed.
        time_of(dispute.created_at),
    )


def _status(dispute: Dispute) -> DisputeStatus:
    if dispute.status == "closed":
        # A retrieval or a fraud report that ended; what it cost says for whom.
        deducted = dispute.amount_deducted
        return DisputeStatus.LOST if isinstance(deducted, int) and deducted > 0 else DisputeStatus.WON
    return _STATUS.get(dispute.status or "", DisputeStatus.OPEN)
