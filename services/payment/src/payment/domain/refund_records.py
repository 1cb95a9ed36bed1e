"""Refunds as people read them, and which of them a page shows."""

from uuid import UUID

import msgspec

from payment.domain.refunds import Refund, RefundStatus


class RefundFilter(msgspec.Struct, frozen=True, kw_only=True):
    """A merchant's refunds, newest first; *before* is the last refund of the page before."""

    merchant_id: str
    status: RefundStatus | None = None
    payment_id: UUID | None = None
    before: UUID | None = None
    limit: int


class RefundRecord(msgspec.Struct, frozen=True):
    """A refund, how its payment was made, and the number of its credit note, "" while there is none."""

    refund: Refund
    method: str
    credit_note_number: str = ""
